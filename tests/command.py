"""The `firstlight` command as a process, for specs: run, refused, or talked with at a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import subprocess
import sys
import termios
import time
from pathlib import Path

COMMAND = str(Path(sys.executable).parent / "firstlight")


def firstlight(
    *arguments: str | bytes, env: dict[str, str] | None = None, stdin: bytes | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess:
    return subprocess.run(
        [COMMAND, *arguments], capture_output=True, timeout=120, input=stdin or b"", env={**os.environ, **(env or {})}, cwd=cwd
    )


def refused(done: subprocess.CompletedProcess, *words: str) -> None:
    """One clear line on standard error, nothing on standard output, exit status 2, no traceback."""
    error = done.stderr.decode()
    assert done.returncode == 2, f"exit status {done.returncode}: {error}"
    assert done.stdout == b""
    assert error.count("\n") == 1 and error.startswith("firstlight: "), f"not one line: {error!r}"
    for word in words:
        assert word in error, f"{word!r} is not in {error!r}"


class Terminal:
    """The command at a pseudo-terminal. With `only_stderr`, standard output is a pipe of `process` instead."""

    def __init__(self, *arguments: str, only_stderr: bool = False, env: dict[str, str] | None = None):
        self._ours, theirs = pty.openpty()
        out = subprocess.PIPE if only_stderr else theirs
        self.process = subprocess.Popen(
            [COMMAND, *arguments],
            stdin=theirs,
            stdout=out,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "100", **(env or {})},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(theirs, termios.TIOCSCTTY, 0),  # so that Ctrl-C typed there is a signal
        )
        os.close(theirs)
        self.seen = ""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def wait_for(self, words: str, seconds: float = 60) -> str:
        """Everything shown so far, once `words` are among it; what came before is forgotten."""
        deadline = time.monotonic() + seconds
        while words not in self.seen:
            if not self._read(deadline):
                raise AssertionError(f"{words!r} was not shown within {seconds} s; shown: {self.seen[-2000:]!r}")
        before, _, self.seen = self.seen.partition(words)
        return before + words

    def rest(self, seconds: float = 20) -> str:
        """What is shown until the command ends."""
        deadline = time.monotonic() + seconds
        while self._read(deadline):
            pass
        return self.seen

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self._ours], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return False
        try:
            data = os.read(self._ours, 65536)
        except OSError:  # the other side is closed
            return False
        self.seen += data.decode("utf-8", "replace")
        return bool(data)
