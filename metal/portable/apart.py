"""Python in a process of its own, where a driver or its compiler may end it; and large programs, built in one.

In about one of fifteen builds of the largest checked program Intel's compiler (2026.2) corrupts its memory and ends the process
that it is in ("free(): corrupted unsorted chunks"): a child's end costs another try, and nobody's session.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

from .errors import error

TRIES = 4
LONGEST = 900  # seconds for one
REFUSED = 3  # exit status
_CHILD = "from metal.portable import apart; apart.child()"


class RefusedError(Exception):
    """The compiler's findings, as it words them."""


def python(code: str, seconds: float, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run Python code that finds what this process would import. Raises subprocess.TimeoutExpired after so many seconds."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.run([sys.executable, "-c", code], input=given, env=env, capture_output=True, timeout=seconds)


def build(text: str, options: str) -> bytes:
    """A program's binary. Raises RefusedError with the compiler's log, `metal.error` if the compiler ends with every try."""
    given, ended = json.dumps([text, options]).encode(), ""
    for _ in range(TRIES):
        try:
            done = python(_CHILD, LONGEST, given)
        except subprocess.TimeoutExpired:
            ended = f"not done after {LONGEST} seconds"
            continue
        if done.returncode == 0:
            return done.stdout
        if done.returncode == REFUSED:
            raise RefusedError(done.stdout.decode())
        ended = next(iter(done.stderr.decode(errors="replace").strip().splitlines()), f"status {done.returncode}")
    raise error(f"the device's compiler ended without a program, {TRIES} times: {ended}")


def child() -> None:
    """In that process: text and options from standard input, the binary to standard output, which is nobody else's."""
    from .opencl import runtime

    out = os.dup(1)
    os.dup2(2, 1)
    text, options = json.load(sys.stdin)
    try:
        made, status = runtime().compiled(text, options), 0
    except RefusedError as problem:
        made, status = str(problem).encode(), REFUSED
    with os.fdopen(out, "wb") as file:
        file.write(made)
    os._exit(status)
