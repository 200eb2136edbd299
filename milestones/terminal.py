"""The terminal: what goes to standard output and error, what comes from standard input, and how Ctrl-C ends things."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from milestones.errors import UserError

LARGEST_TEXT = 1 << 28  # bytes; what never ends (/dev/zero) would take all memory there is


def write(text: str) -> None:
    """Text to standard output as UTF-8, at once, whatever the terminal's own encoding."""
    if sys.stdout is None:
        raise UserError("standard output is closed: there is nowhere to write to")
    try:
        data = text.encode("utf-8", "surrogateescape")  # names of files that are no UTF-8 come out as they are
    except UnicodeEncodeError:
        data = text.encode("utf-8", "surrogatepass")
    with writing():
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


@contextmanager
def writing() -> Iterator[None]:
    """Whatever writes to standard output: a reader that has enough ends the program, a full disk is one line.

    So is a file of any kind that cannot be read or written, and that nobody has said more of.
    """
    try:
        yield
    except BrokenPipeError:  # `firstlight generate … | head`: the reader has what it wanted
        _discard_output()
        sys.exit(0)
    except OSError as problem:
        if problem.filename is not None:  # another file, then, that someone has not looked after
            raise UserError(f"{os.fsdecode(problem.filename)} cannot be used: {problem.strerror}") from None
        _discard_output()
        raise UserError(f"the output cannot be written: {problem.strerror}") from None


@contextmanager
def tables() -> Iterator[Any]:
    """A rich Console for standard output's width and colours; what is printed to it is written at the end, like all else."""
    from rich.console import Console

    console = Console()
    with console.capture() as held:
        yield console
    write(held.get())


def errors_are_seen() -> bool:
    """Whether standard error is a terminal."""
    return sys.stderr is not None and sys.stderr.isatty()


def _discard_output() -> None:
    """So that nothing complains of unwritten output at exit once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Progress:
    """Progress bars on a terminal's standard error, gone before the first token is written; elsewhere nothing."""

    def __init__(self, quiet: bool):
        self._bar: Any = None
        self._tasks: dict[str, Any] = {}
        self._shown = not quiet and errors_are_seen()

    def __enter__(self) -> Progress:
        if self._shown:
            from rich.console import Console
            from rich.progress import Progress as Bars

            self._bar = Bars(console=Console(stderr=True), transient=True)
            self._bar.start()
        return self

    def __call__(self, what: str, done: int, total: int) -> None:
        """`what` is "" where there is nothing to show, only a chance to raise what Ctrl-C could not."""
        check_interrupt()
        if self._bar is None or not what:
            return
        if what not in self._tasks:
            self._tasks[what] = self._bar.add_task(what, total=total or None)
        self._bar.update(self._tasks[what], completed=done, total=total or None)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def __exit__(self, *_: object) -> None:
        self.close()


_interrupted = False


def swallow_interrupt(problem: Any) -> None:
    """As sys.unraisablehook: where Ctrl-C comes upon a destructor or a callback, its exception is lost; the flag is not."""
    if problem.exc_type is not KeyboardInterrupt:
        sys.__unraisablehook__(problem)


def on_interrupt(signum: int, frame: FrameType | None) -> None:
    """Ctrl-C. An exception raised inside a `__del__` (a run handle that waits) would be lost: then only the flag is set."""
    global _interrupted
    _interrupted = True
    if frame is None or frame.f_code.co_name != "__del__":
        raise KeyboardInterrupt


def check_interrupt() -> None:
    """Raise the KeyboardInterrupt that could not be raised when Ctrl-C was pressed. Called at every step."""
    if _interrupted:
        raise KeyboardInterrupt


def forget_interrupt() -> None:
    """Ctrl-C has been dealt with: go on."""
    global _interrupted
    _interrupted = False


def read_stdin() -> str:
    """All of standard input as text. Raises UserError if it is too long, or naming the first byte that is not UTF-8."""
    if sys.stdin is None:
        raise UserError("standard input is closed: there is nothing to read")
    try:
        data = sys.stdin.buffer.read(LARGEST_TEXT + 1)
    except OSError as problem:
        raise UserError(f"standard input cannot be read: {problem.strerror}") from None
    _check_length("standard input", data)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as problem:
        found = f"byte 0x{data[problem.start]:02X} at offset {problem.start}"
        raise UserError(f"standard input is not UTF-8 text: {found}: convert it first (iconv -t utf-8)") from None


def read_text(path: Path) -> str:
    """A file as text. Raises UserError, one line, if it cannot be read, is too long or is not UTF-8."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_TEXT + 1)
        _check_length(repr(str(path)), data)
        return data.decode("utf-8")
    except OSError as problem:
        raise UserError(f"{str(path)!r} cannot be read ({problem.strerror}): give a text file") from None
    except UnicodeDecodeError as problem:
        raise UserError(f"{str(path)!r} is not UTF-8 text: byte {problem.start:,} is none: give a text file") from None


def _check_length(name: str, data: bytes) -> None:
    if len(data) > LARGEST_TEXT:
        raise UserError(f"{name} is larger than {LARGEST_TEXT:,} bytes: give a shorter text")
