"""Specs in a process that has imported them already and forks a child for each run: a verdict in a second instead of in five.

The client's side is `SpecProcess`; run as a module, this file is the server: one JSON line in, one out.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from metal.source import ROOT

PYTEST = ("-q", "-n0", "-p", "no:cacheprovider", "--color=no")


class SpecProcess:
    """A warm process for these specs. Use it as a context; runs go one after the other.

    `arguments` are pytest's: the specs' paths, and options of every run (a Hypothesis profile counts when specs are imported).
    `cache` stands for FIRSTLIGHT_CACHE.
    """

    def __init__(self, arguments: Sequence[str], cache: Path | None = None):
        command = [sys.executable, "-m", "milestones.course.spec_process", *arguments]
        self._options = [word for word in arguments if word.startswith("-")]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        env = {**os.environ, "PYTHONPATH": path} | ({"FIRSTLIGHT_CACHE": str(cache)} if cache else {})
        self._process = subprocess.Popen(command, cwd=ROOT, env=env, start_new_session=True, **pipes)

    def __enter__(self) -> SpecProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it, and whatever it runs."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def run(self, arguments: Sequence[str], *, workbook: Path | None = None, seconds: float = 120) -> dict[str, Any]:
        """Run pytest with these arguments: what `--results` says, with `status` (pytest's; -1: took too long; -2: crashed).

        `output` is what it printed. `workbook` stands for FIRSTLIGHT_WORKBOOK.
        """
        env = {} if workbook is None else {"FIRSTLIGHT_WORKBOOK": str(workbook)}
        with tempfile.TemporaryDirectory() as folder:
            job = {"arguments": [*self._options, *arguments], "env": env, "seconds": seconds, "folder": folder}
            assert self._process.stdin is not None and self._process.stdout is not None
            self._process.stdin.write(json.dumps(job) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
            if not answer:
                raise RuntimeError("the process that runs the specs has ended")
            found: dict[str, Any] = {"status": json.loads(answer), "tests": {}, "passed": 0, "failed": 0, "not run here": 0}
            results = Path(folder) / "results.json"
            if results.is_file():
                found |= json.loads(results.read_text(encoding="utf-8"))
            found["output"] = (Path(folder) / "output").read_text(encoding="utf-8", errors="replace")
            return found


def serve(arguments: Sequence[str]) -> None:
    """Import the specs, then run what is asked for, each in a child of its own."""
    import pytest

    from metal import health

    client = os.getppid()
    answers = os.fdopen(os.dup(1), "w")  # standard output is for the specs from here on
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    probe, health.missing_device = health.missing_device, lambda: None  # no device in this process: its threads do not fork
    pytest.main([*PYTEST, "--collect-only", "--solution", *arguments])
    health.missing_device = probe
    gc.collect()
    gc.freeze()  # what is there now stays: a child's collections, pytest's own at its end, need not go through it
    for line in sys.stdin:
        job = json.loads(line)
        child = os.fork()
        if child == 0:
            _child(job)
        answers.write(json.dumps(_wait(child, job["seconds"], client)) + "\n")
        answers.flush()


def _child(job: dict[str, Any]) -> None:
    import pytest

    status = 3
    try:
        folder = Path(job["folder"])
        out = os.open(folder / "output", os.O_WRONLY | os.O_CREAT)
        os.dup2(out, 1)
        os.dup2(out, 2)
        os.environ.update(job["env"])
        status = int(pytest.main([*PYTEST, f"--results={folder / 'results.json'}", *job["arguments"]]))
    finally:
        sys.stdout.flush()
        os._exit(status)


def _wait(child: int, seconds: float, client: int) -> int:
    """The child's exit status; -1 if it had to be killed, -2 if a signal ended it."""
    deadline, pause = time.monotonic() + seconds, 0.005
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else -2
        if time.monotonic() > deadline or os.getppid() != client:  # nobody waits any more
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return -1
        time.sleep(pause)
        pause = min(pause * 1.2, 0.05)


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):  # whoever asked is gone
        serve(sys.argv[1:])
