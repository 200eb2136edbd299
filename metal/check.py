"""Every kernel of a `.metal` file read as the portable Metal device reads it: what `firstlight check` reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Finding:
    """Something that is wrong, with its place; line and column count from 1."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


def check_file(path: Path, *, std: str = "2.3", folders: Sequence[Path] = ()) -> tuple[list[Finding], int]:
    """(what is wrong with the file, how many kernels it has). `folders` are where `#include` looks, after the file's own.

    Nothing is run, and no device is needed. Raises OSError if the file cannot be read, UnicodeDecodeError if it is not UTF-8.
    """
    from metal.portable.errors import SourceError
    from metal.portable.frontend import check
    from metal.portable.function import THREADGROUP_MEMORY
    from metal.portable.lowered import MAX_THREADS, VERSIONS
    from metal.portable.translate import lower

    def include(name: str, includer: str | None) -> tuple[str, str] | None:
        beside = [Path(includer).parent] if includer is not None else []
        for folder in (*beside, *folders):
            if (folder / name).is_file():
                return str(folder / name), (folder / name).read_text(encoding="utf-8")
        return None

    text = path.read_text(encoding="utf-8")
    try:
        lowered = lower(text, str(path), version=VERSIONS[std], include=include)
        check(lowered)
    except SourceError as problem:
        return [Finding(*found) for found in problem.findings], 0
    found = []
    for kernel in lowered.kernels.values():
        if kernel.most > MAX_THREADS:
            text = f"kernel '{kernel.name}' has max_total_threads_per_threadgroup({kernel.most}), the limit is {MAX_THREADS:,}"
            found.append(Finding(*lowered.where.locate(kernel.at)[:3], text))
        if kernel.threadgroup_bytes > THREADGROUP_MEMORY:
            size = f"{kernel.threadgroup_bytes:,} bytes of threadgroup memory, the limit is {THREADGROUP_MEMORY:,}"
            found.append(Finding(*lowered.where.locate(kernel.at)[:3], f"kernel '{kernel.name}' uses {size}"))
    return found, len(lowered.kernels)
