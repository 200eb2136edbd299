"""What is taken from a workbook to be graded: the files that exercise.toml names, and none that could harm by being read."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from metal.source import LARGEST, SOLUTION
from milestones.course import exercises
from milestones.course.exercises import Op
from milestones.course.python_rules import problems


class NotTestedError(Exception):
    """An op with nothing to test: its state ("stub", "missing", "refused"), and the reason as the exception's words."""

    def __init__(self, state: str, reason: str = ""):
        super().__init__(reason)
        self.state = state


def take(home: Path, op: Op) -> dict[str, bytes]:
    """The files with which an op is to be tested: its own and the milestone's headers. Raises NotTestedError."""
    stubs, files = exercises.folder(op.milestone), {name: read(home, op.milestone, name) for name in op.files}
    missing = [name for name, data in files.items() if data is None]
    if missing:
        raise NotTestedError("missing", f"there is no {op.milestone}/{', '.join(missing)}")
    if all(data == (stubs / name).read_bytes() for name, data in files.items()):
        raise NotTestedError("stub")
    headers = {name for other in exercises.ops(op.milestone) for name in other.files if name.endswith(".h")} - set(files)
    for name in sorted(headers):
        data = read(home, op.milestone, name)
        if data != (stubs / name).read_bytes():  # a header that is still a stub is ours
            files[name] = data
    found = {name: data for name, data in files.items() if data is not None}
    for name, data in found.items():
        if name.endswith(".py"):
            shipped = (SOLUTION / op.milestone / name).read_text(encoding="utf-8")
            for problem in problems(data.decode("utf-8", "replace"), shipped):
                raise NotTestedError("refused", f"{op.milestone}/{name}, {problem}")
    return found


def read(home: Path, milestone: str, name: str) -> bytes | None:
    """A file of the workbook, None if there is none. Raises NotTestedError for links, large files, and what is no file."""
    with contextlib.ExitStack() as opened:
        try:
            folder = os.open(home / milestone, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            opened.callback(os.close, folder)
            file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
            opened.callback(os.close, file)
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise NotTestedError("refused", f"{milestone}/{name} is not a plain file")
            data = b""
            while len(data) <= LARGEST and (more := os.read(file, LARGEST + 1 - len(data))):
                data += more
        except FileNotFoundError:
            return None
        except OSError as problem:
            linked = os.path.islink(home / milestone) or os.path.islink(home / milestone / name)
            why = "is a symbolic link" if linked else f"cannot be read: {problem.strerror}"
            raise NotTestedError("refused", f"{milestone}/{name} {why}") from None
    if len(data) > LARGEST:
        raise NotTestedError("refused", f"{milestone}/{name} is larger than {LARGEST >> 20} MB")
    return data
