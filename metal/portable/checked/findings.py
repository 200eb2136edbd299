"""What checked mode found, in words: the finding, its place in the source, and the exception that carries them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from ..errors import error


@dataclass(frozen=True)
class Finding:
    """One thing that a kernel did, with the first thread that did it and how many times it was done.

    `check` is one of CHECKS. `buffer` is the index, -1 for none; `name` the parameter's or the threadgroup variable's; `offset`
    in bytes. `thread` has the thread's position in the grid, its threadgroup's position, its place in the threadgroup, its
    SIMD-group and lane; None where no thread is known.
    """

    check: str
    kernel: str
    file: str
    line: int
    column: int
    source: str
    message: str
    buffer: int = -1
    name: str = ""
    offset: int | None = None
    thread: dict[str, int | tuple[int, ...]] | None = None
    count: int = 1

    def __str__(self) -> str:
        pad = "".join("\t" if c == "\t" else " " for c in self.source[: self.column - 1])
        where = f"\n    thread {_thread(self.thread)}" if self.thread else ""
        times = f"\n    {self.count:,} times in all" if self.count > 1 else ""
        return (
            f"{self.file}:{self.line}:{self.column}: {self.check}: {self.message} (kernel '{self.kernel}')\n"
            f"{self.source}\n{pad}^{where}{times}"
        )

    def json(self) -> dict:
        """The finding as JSON has it; the keys are stable."""
        return asdict(self)


class KernelFault(error):
    """A checked dispatch did what a right kernel does not. `findings` holds what, sorted by place."""

    def __init__(self, findings: Sequence[Finding]):
        self.findings = tuple(findings)
        super().__init__("\n".join(str(f) for f in findings))


def _thread(thread: dict) -> str:
    grid, group = thread["grid"], thread["threadgroup"]
    return (
        f"{position(grid)} of the grid: thread {thread['index']} of threadgroup {position(group)}, "
        f"lane {thread['lane']} of SIMD-group {thread['simdgroup']}"
    )


def position(at: Sequence[int]) -> str:
    """(x, y, z), or x alone where the others are 0."""
    return str(at[0]) if not any(at[1:]) else f"({', '.join(map(str, at))})"
