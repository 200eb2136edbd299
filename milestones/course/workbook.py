"""The learner's workbook: started milestones, copies of stubs, backups, and the files' fingerprints."""

from __future__ import annotations

import hashlib
import re
import time
from pathlib import Path

from metal.source import LARGEST, workbook
from milestones.course import exercises
from milestones.course.exercises import Op
from milestones.errors import UserError

_INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"/]+)"', re.MULTILINE)


def started() -> list[str]:
    """The milestones of which the workbook has a folder."""
    return [name for name in exercises.milestones() if (workbook() / name).is_dir()]


def start(milestone: str, *, reset: bool = False) -> tuple[list[Path], Path | None]:
    """Copy a milestone's stubs into the workbook: the files written, and the backup made.

    A file that is there already is left alone; with `reset` the whole folder is set aside first, as `mN.backup-DATE`.
    """
    names = [name for op in exercises.ops(milestone) for name in op.files]
    home, backup = workbook() / milestone, None
    if reset and home.is_dir():
        backup = _free(home.with_name(f"{milestone}.backup-{time.strftime('%Y%m%d-%H%M%S')}"))
        home.rename(backup)
    home.mkdir(parents=True, exist_ok=True)
    written = []
    for name in dict.fromkeys(names):
        try:
            with (home / name).open("xb") as out:
                out.write((exercises.folder(milestone) / name).read_bytes())
        except FileExistsError:
            continue
        written.append(home / name)
    return written, backup


def _free(path: Path) -> Path:
    """`path`, or with a number behind it if something is there."""
    return next(p for p in (path, *(path.with_name(f"{path.name}-{n}") for n in range(2, 1000))) if not p.exists())


def require_started(milestone: str) -> None:
    """Raises UserError if the workbook has no folder for a milestone (or if there is no such milestone)."""
    exercises.ops(milestone)
    if milestone not in started():
        raise UserError(f"{milestone} is not in your workbook yet: firstlight start {milestone}")


def path_of(op: Op, name: str | None = None) -> Path:
    """The learner's file of an op (its first, unless named)."""
    return workbook() / op.milestone / (name or op.files[0])


def untouched(op: Op) -> bool:
    """Whether all of the op's files are as `start` wrote them, or not there at all."""
    stubs = exercises.folder(op.milestone)
    mine = [path_of(op, name) for name in op.files]
    return all(not p.is_file() or _same(p, stubs / p.name) for p in mine)


def _same(a: Path, b: Path) -> bool:
    return a.stat().st_size == b.stat().st_size and a.read_bytes() == b.read_bytes()


def absent(milestone: str) -> list[str]:
    """Files of the milestone's exercises that its folder in the workbook lacks: "m2/add.metal"."""
    names = dict.fromkeys(name for op in exercises.ops(milestone) for name in op.files)
    return [f"{milestone}/{name}" for name in names if not (workbook() / milestone / name).is_file()]


def python_files(milestone: str) -> list[Path]:
    """The learner's Python files of a milestone that stand for shipped ones."""
    names = {name for op in exercises.ops(milestone) for name in op.files if name.endswith(".py")}
    return [path for name in sorted(names) if (path := workbook() / milestone / name).is_file()]


def fingerprint(milestone: str) -> dict[str, str]:
    """file name → SHA-256 of its text, for the learner's files of a milestone, headers too."""
    home = workbook() / milestone
    files = sorted(path for path in home.glob("*") if path.suffix in (".metal", ".h", ".py") and path.is_file())
    return {path.name: _digest(path) for path in files}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def parts(op: Op) -> set[str]:
    """The names of an op's files and of the headers beside them that these include, and those in turn."""
    found: set[str] = set()
    left = list(op.files)
    while left:
        name = left.pop()
        if name not in found and (path := path_of(op, name)).is_file():
            with path.open("rb") as file:
                left += _INCLUDE.findall(file.read(LARGEST).decode("utf-8", "replace"))
        found.add(name)
    return found


def fingerprint_of(op: Op, files: dict[str, str]) -> str:
    """Of an op, what its verdict depends on: its own files and the headers that they include."""
    used = parts(op)
    own = {name: digest for name, digest in files.items() if name in used}
    return hashlib.sha256(repr(sorted(own.items())).encode()).hexdigest()
