"""A changed kernel or Python file, tried: put into a workbook of its own, and the specs run on it."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from metal.paths import cache_dir, own_cache
from metal.source import SOLUTION
from milestones.course.spec_process import SpecProcess


def spec_process(arguments: Sequence[str]) -> SpecProcess:
    """A process for trials. The hundreds of programs that it compiles are kept apart: they would push out the user's own."""
    folder = own_cache(cache_dir() / "strength")
    with contextlib.suppress(OSError, shutil.Error):  # what is compiled already; files are replaced, never changed
        shutil.copytree(cache_dir() / "programs", folder / "programs", copy_function=os.link, dirs_exist_ok=True)
    return SpecProcess(arguments, cache=folder)


@cache
def users_of(file: str) -> tuple[str, ...]:
    """The kernel files that include m3/philox.h: m3/sample.metal and others of its milestone, then later milestones'.

    A kernel file's is itself.
    """
    if file.endswith(".metal"):
        return (file,)
    kernels = [(path.parent.name, path) for path in sorted(SOLUTION.glob("m*/*.metal"))]
    users = [f"{home}/{path.name}" for home, path in kernels if _include(file, home) in path.read_text(encoding="utf-8")]
    return tuple(sorted(users, key=lambda user: Path(user).parent != Path(file).parent))


def _include(file: str, home: str) -> str:
    """How a kernel of milestone `home` includes the file."""
    milestone, name = Path(file).parts
    return f'#include "{name}"' if milestone == home else f'#include "../{file}"'


def trial(process: SpecProcess, file: str, text: str, arguments: Sequence[str], seconds: float) -> dict[str, Any]:
    """What pytest says with these arguments where `file`, m2/attention.metal, has this text; see SpecProcess.run.

    The kernels that include the file come with it: a shipped kernel would include the shipped header. Those of other milestones
    include a copy beside them instead: a spec takes its own milestone's files from a workbook, and no others.
    """
    with tempfile.TemporaryDirectory() as folder:
        name = Path(file).name
        for user in (*users_of(file), file):
            kernel, path = (SOLUTION / user).read_text(encoding="utf-8"), Path(folder) / user
            path.parent.mkdir(exist_ok=True)
            path.write_text(kernel.replace(_include(file, path.parent.name), f'#include "{name}"'), encoding="utf-8")
            (path.parent / name).write_text(text, encoding="utf-8")
        return process.run(arguments, workbook=Path(folder), seconds=seconds)
