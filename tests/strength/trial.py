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
    """The kernel files, m3/sample.metal, that m3/philox.h is a part of; a kernel file's is itself."""
    home, name = (SOLUTION / file).parent, Path(file).name
    kernels = sorted(home.glob("*.metal"))
    users = [p for p in kernels if name == p.name or f'#include "{name}"' in p.read_text(encoding="utf-8")]
    return tuple(f"{home.name}/{path.name}" for path in users)


def trial(process: SpecProcess, file: str, text: str, arguments: Sequence[str], seconds: float) -> dict[str, Any]:
    """What pytest says with these arguments where `file`, m2/attention.metal, has this text; see SpecProcess.run.

    The kernels that include the file come with it: a shipped kernel would include the shipped header.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / file
        path.parent.mkdir()
        for user in users_of(file):
            (Path(folder) / user).write_bytes((SOLUTION / user).read_bytes())
        path.write_text(text, encoding="utf-8")
        return process.run(arguments, workbook=Path(folder), seconds=seconds)
