"""A translated program: its text, its kernels as the host sees them, and the way back to the source."""

from __future__ import annotations

import bisect
import itertools
from dataclasses import dataclass, field

from .errors import SourceMap


@dataclass
class Buffer:
    """One buffer parameter of a kernel: its index in metalcompute's order, its name, whether the kernel may write it."""

    index: int
    name: str
    writable: bool


@dataclass
class KernelInfo:
    """A kernel function as the host sees it. `entry` is the OpenCL kernel's name; buffers stand in parameter order."""

    name: str
    entry: str
    width: int
    buffers: list[Buffer] = field(default_factory=list)
    threadgroup_bytes: int = 0


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

    def insert(self, offset: int, text: str) -> None:
        """Put `text` in at an offset of the output; what is around it keeps its origin."""
        i = max(0, bisect.bisect_right(self._starts, offset) - 1)
        (origin, verbatim), part, at = self._origins[i], self._parts[i], offset - self._starts[i]
        rest = (origin + at if verbatim else origin, verbatim)
        self._parts[i : i + 1] = [part[:at], text, part[at:]]
        self._origins[i : i + 1] = [(origin, verbatim), (rest[0], False), rest]
        self._starts = [0, *itertools.accumulate(len(p) for p in self._parts)]
        self._length = self._starts.pop()

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
