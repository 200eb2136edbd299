"""Whose kernel, and as one text: the one seam between a learner's workbook and the shipped solution.

`read("m2", "rms_norm")` finds `rms_norm.metal` in `milestones/m2/`; or in `workbook/m2/`, if it is there and `use` was told to
take that file. It inlines the file's own `#include "…"` lines (beside it, or `../mN/…`), and marks every change of file with
`#line`, so that a device, which is only handed text, still reports the file's own lines.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import metal

ROOT = Path(__file__).resolve().parent.parent
SOLUTION = ROOT / "milestones"
LARGEST = 1 << 20  # bytes of a kernel file
_INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"\s*$')
_MILESTONE = re.compile(r"m\d$")
_KERNEL = re.compile(r"^\s*(?:template\s*<[^;{]*>\s*)?kernel\b")

# Widths of a threadgroup at which every kernel must be right; 448 and 832 are what Apple's compiler gives kernels that need
# many registers.
WIDTHS = (32, 64, 256, 448, 832, 1024)


def _nobodys(milestone: str, file: str) -> bool:
    return False


_learners: Callable[[str, str], bool] = _nobodys


def workbook() -> Path:
    """The learner's folder: `FIRSTLIGHT_WORKBOOK`, or `workbook/` at the top of the repository (ignored by git)."""
    return Path(os.environ.get("FIRSTLIGHT_WORKBOOK") or ROOT / "workbook").absolute()


def use(learners: Callable[[str, str], bool] | None) -> None:
    """From now on take the workbook's file, where there is one, if `learners("m2", "rms_norm.metal")`; None: never."""
    global _learners
    _learners = learners or _nobodys


def find(milestone: str, file: str) -> Path:
    """Where a milestone's file is: the workbook's or the shipped one. Raises FileNotFoundError naming the places looked in."""
    places = [SOLUTION / milestone / file]
    if _learners(milestone, file):
        places.insert(0, workbook() / milestone / file)
    for path in places:
        if path.is_file():
            return path
    raise FileNotFoundError(f"no kernel file {milestone}/{file}: looked for {' and '.join(map(str, places))}")


def read(milestone: str, name: str, width: int | None = None) -> str:
    """The text of a kernel file, ready for `Device.kernel`.

    `width` bounds the threadgroup of every kernel in the file: a `[[max_total_threads_per_threadgroup(width)]]` is put
    before each, which works on an Apple GPU and on the portable device alike. Raises ValueError for a width that is no
    multiple of 32 up to 1024, or for includes that go round in a circle.
    """
    if width is not None and (width % 32 or not 32 <= width <= 1024):
        raise ValueError(f"threadgroup width must be a multiple of 32 from 32 to 1024, got {width}")
    return _expand(find(milestone, f"{name}.metal"), f"{milestone}/{name}.metal", width, ())


def too_large(shown: str) -> str:
    """What is wrong with a file of more than LARGEST bytes."""
    return f"{shown} is larger than {LARGEST >> 20} MB: it is no file that somebody has written"


def _expand(path: Path, label: str, width: int | None, above: tuple[Path, ...]) -> str:
    if path in above:
        raise ValueError(f"{label}: #include goes round in a circle: {' → '.join(p.name for p in (*above, path))}")
    shown = label if path.is_relative_to(SOLUTION) else f"workbook/{label}"
    out = [f'#line 1 "{shown}"']
    if path.stat().st_size > LARGEST:
        raise metal.error(too_large(shown))
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as problem:
        raise metal.error(f"{path} is not UTF-8 text: byte {problem.start:,} is none") from None
    for number, line in enumerate(lines, 1):
        include = _INCLUDE.match(line)
        if include:
            milestone, _, file = os.path.normpath(Path(label).parent / include.group(1)).rpartition("/")
            if not _MILESTONE.match(milestone):
                raise metal.error(f"{shown}:{number}: #include {include.group(1)!r} leads out of the milestones' folders")
            shipped = SOLUTION / milestone / file  # what a shipped file includes is shipped, too
            target = shipped if path.is_relative_to(SOLUTION) and shipped.is_file() else find(milestone, file)
            inner = _expand(target, f"{milestone}/{file}", width, (*above, path))
            out += [inner, f'#line {number + 1} "{shown}"']
        elif width is not None and _KERNEL.match(line):
            head, kernel = line.split("kernel", 1)
            mark = f"{head}[[max_total_threads_per_threadgroup({width})]]"
            out += [mark, f'#line {number} "{shown}"', " " * len(head) + "kernel" + kernel]
        else:
            out.append(line)
    return "\n".join(out) + "\n"
