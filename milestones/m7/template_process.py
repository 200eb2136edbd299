"""A chat template in a process of its own, and the limits it is held to: this is the end that asks, watches and ends it."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import time
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from milestones.errors import UserError
from milestones.m1.gguf_values import quoted

SECONDS = 2.0  # of processor time a request; an honest template takes milliseconds
PATIENCE = 30.0  # seconds by the clock: a busy machine is no fault of the template's
MEMORY = 1 << 28  # bytes; jinja alone is about 20 MB
ADDRESSES = 2 * MEMORY  # stops one giant step, which watching the memory would see too late
_WORKER = Path(__file__).with_name("template_worker.py")


class TemplateProcess:
    """Renders one template. Its worker is started at once, and anew after one that had to be ended.

    Raises UserError for a template that cannot be read.
    """

    def __init__(self, source: str):
        self._source = source
        self._worker: subprocess.Popen[bytes] | None = None
        self._ask(None)

    def render(self, **values: Any) -> str:
        """The template's text for these values. Raises UserError if it refuses or fails, or takes more than it may."""
        return self._ask(values)["text"]

    def _ask(self, values: dict[str, Any] | None) -> dict[str, str]:
        request = json.dumps({"source": self._source, "values": values}, ensure_ascii=False)
        worker = self._started()
        try:
            line = _exchange(worker, request.encode("utf-8", "surrogatepass") + b"\n")
        except BaseException:  # Ctrl-C: half an answer must not be taken for the next one's
            _end(worker)
            raise
        if not line:
            _end(worker)
            raise UserError(
                "the model's chat template takes too long or too much memory: use `firstlight generate`, or another model"
            )
        reply = json.loads(line)
        if "unreadable" in reply:
            raise UserError(f"the model's chat template cannot be read ({_line(reply['unreadable'])})")
        if "failed" in reply:
            raise UserError(f"the model's chat template refuses this conversation or fails ({_line(reply['failed'])})")
        return reply

    def _started(self) -> subprocess.Popen[bytes]:
        """The worker, which says a line when it is ready."""
        if self._worker is not None and self._worker.poll() is None:
            return self._worker
        # A new program and no fork: this one has threads and gigabytes. -P: no module is taken from the current folder. A
        # session of its own: the terminal's Ctrl-C is for us; the worker ends when its input does.
        command = [sys.executable, "-P", str(_WORKER), str(SECONDS), str(ADDRESSES)]
        pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
        try:
            worker = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=nowhere, start_new_session=True)
        except OSError as problem:
            raise UserError(f"no process can be started for the model's chat template: {problem.strerror}") from None
        weakref.finalize(self, _end, worker)
        self._worker = worker
        if not _exchange(worker, b""):
            _end(worker)
            raise UserError("the process for the model's chat template does not start: is jinja2 installed?")
        return worker


def _exchange(worker: subprocess.Popen[bytes], request: bytes) -> bytes:
    """Send a request and return the answer's line; nothing if the worker ends before, or takes more than it may."""
    assert worker.stdin and worker.stdout
    with suppress(BrokenPipeError):  # it has ended: reading says so
        worker.stdin.write(request)
        worker.stdin.flush()
    said, deadline = bytearray(), time.monotonic() + PATIENCE
    with selectors.DefaultSelector() as output:
        output.register(worker.stdout, selectors.EVENT_READ)
        while not said.endswith(b"\n"):
            if output.select(0.01):
                piece = os.read(worker.stdout.fileno(), 1 << 20)
                if not piece:
                    return b""
                said += piece
            elif time.monotonic() > deadline or _memory(worker) > MEMORY:
                return b""
    return bytes(said)


def _memory(worker: subprocess.Popen[bytes]) -> int:
    try:
        return psutil.Process(worker.pid).memory_info().rss
    except psutil.Error:  # it has just ended
        return 0


def _end(worker: subprocess.Popen[bytes]) -> None:
    worker.kill()
    worker.wait()
    for pipe in (worker.stdin, worker.stdout):
        with suppress(OSError):  # a request that it never read
            pipe.close()  # type: ignore[union-attr]


def _line(problem: str) -> str:
    """A foreign program's words, fit for one line of a terminal."""
    return quoted(" ".join(problem.split()))
