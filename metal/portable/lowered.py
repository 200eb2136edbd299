"""A translated program: its text, its kernels as the host sees them, and the way back to the source."""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field

from .errors import SourceMap

SIMD_WIDTH = 32


@dataclass
class Buffer:
    """One buffer parameter of a kernel: its index in metalcompute's order, its name, whether the kernel may write it.

    `position` is the OpenCL argument's; `align` what an offset into the buffer must be a multiple of (frontend.py knows it).
    """

    index: int
    name: str
    writable: bool
    position: int = 0
    align: int = 1


@dataclass
class ThreadgroupArgument:
    """A `threadgroup T *x [[threadgroup(index)]]` parameter: its memory's length is given at the dispatch."""

    index: int
    name: str
    position: int


@dataclass
class KernelInfo:
    """A kernel function as the host sees it. `entry` is the OpenCL kernel's name; buffers stand in parameter order.

    `most` is how many threads a threadgroup may have; `width` how many metalcompute's dispatch makes it of.
    """

    name: str
    entry: str
    most: int
    buffers: list[Buffer] = field(default_factory=list)
    threadgroup_bytes: int = 0
    threadgroups: list[ThreadgroupArgument] = field(default_factory=list)

    @property
    def width(self) -> int:
        return max(self.most // SIMD_WIDTH, 1) * SIMD_WIDTH


class Lowered:
    """The translated text with its kernels, and the way back from its offsets to the source's."""

    def __init__(self, where: SourceMap):
        self.where = where
        self.kernels: dict[str, KernelInfo] = {}
        self._parts: list[str] = []
        self._starts: list[int] = []  # offsets in the output …
        self._origins: list[tuple[int, bool]] = []  # … and in the source; True: the text is verbatim
        self._length = 0

    def put(self, text: str, origin: int, verbatim: bool = False) -> None:
        if text:
            self._starts.append(self._length)
            self._origins.append((origin, verbatim))
            self._parts.append(text)
            self._length += len(text)

    @property
    def text(self) -> str:
        return "".join(self._parts)

    def origin(self, offset: int) -> int:
        """The source offset that the output's character at `offset` came from."""
        i = max(0, bisect.bisect_right(self._starts, offset) - 1)
        if not self._starts:
            return 0
        origin, verbatim = self._origins[i]
        return origin + (offset - self._starts[i] if verbatim else 0)
