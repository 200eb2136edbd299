"""A translated program: its text, its kernels as the host sees them, and the way back to the source."""

from __future__ import annotations

import bisect
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from .errors import SourceMap

if TYPE_CHECKING:
    from .needed import Declaration

VERSIONS = {"2.3": 203, "2.4": 204, "3.0": 300, "3.1": 301}
PROLOGUE, EPILOGUE = "namespace metal {\n", "\n}\n"  # what a translated program stands between
SIMD_WIDTH = 32
MAX_THREADS = 1024  # of a threadgroup
# where it starts and ends, in libclang's bytes, and what to write in front; the parentheses that it opens are closed behind
Wrap = tuple[int, int, str]


@dataclass
class Buffer:
    """One buffer parameter of a kernel: its index in metalcompute's order, its name, whether the kernel may write it.

    `position` is the OpenCL argument's; `align` what an offset into the buffer must be a multiple of (rules.py knows it);
    `reference`: declared as `T &`, so there is no null that the kernel could test for.
    """

    index: int
    name: str
    writable: bool
    position: int = 0
    align: int = 1
    floats: str = ""  # "float" or "half", if it is made of them
    when: str | None = None  # the function constant that it is there for; None: always
    reference: bool = False


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
    absent: list[int] = field(default_factory=list)  # positions of buffers that a function constant leaves out
    template: str | None = None  # what it is an instantiation of
    at: int = 0  # where its name stands in the source

    @property
    def width(self) -> int:
        return max(self.most // SIMD_WIDTH, 1) * SIMD_WIDTH


@dataclass
class Constant:
    """A function constant: `constant T name [[function_constant(index)]];`"""

    index: int
    name: str
    type: str


@dataclass
class _Part:
    text: str
    origin: int  # offset in the source
    verbatim: bool  # the text stands in the source as it is
    kernel: str | None  # the kernel that it belongs to; None: the whole program
    constant: Constant | None = None  # the function constant that it declares


class Lowered:
    """The translated text with its kernels, and the way back from its offsets to the source's."""

    def __init__(self, where: SourceMap, version: int = 0):
        self.where, self.version = where, version  # the language's, as 203
        self.kernels: dict[str, KernelInfo] = {}
        self.constants: dict[str, Constant] = {}
        self.lenient = False  # whether threadgroup variables may stand in its functions
        self.refused: dict[str, Exception] = {}  # kernels that cannot run here, and why
        self.unused: list[str] = []  # template kernels without instances: read in a program of their own, never compiled
        self._parts: list[_Part] = []
        self._kernel: str | None = None
        self._index: dict[str | None, list[int]] | None = None  # kernel → its parts, once some kernels are asked for
        self._declarations: list[Declaration] | None = None
        self._starts: list[int] | None = None  # offsets of the parts in the text, once it is asked for
        self._text = ""

    def put(self, text: str, origin: int, verbatim: bool = False, constant: Constant | None = None) -> None:
        if text:
            self._parts.append(_Part(text, origin, verbatim, self._kernel, constant))
            self._starts = None

    @contextmanager
    def kernel(self, name: str) -> Iterator[None]:
        """What is put meanwhile belongs to that kernel."""
        self._kernel = name
        try:
            yield
        finally:
            self._kernel = None

    def templates(self) -> Lowered | None:
        """A program of the template kernels without instances, which are taken out of this one; None where there are none."""
        if not self.unused:
            return None
        made = Lowered(self.where, self.version)
        made.lenient = True
        made._parts = [part for part in self._parts if part.kernel is None or part.kernel in self.unused]
        self._parts = [part for part in self._parts if part.kernel not in self.unused]
        self.unused, self._starts, self._index = [], None, None
        return made

    def refuse(self, name: str, problem: Exception) -> None:
        """A kernel that cannot run here: what has been put of it is taken away; whoever asks for it is told."""
        self._parts = [part for part in self._parts if part.kernel != name]
        self._starts = None
        self.refused[name] = problem

    def insert_all(self, texts: dict[int, str]) -> None:
        """Put texts in, by offset of the output; what is around them keeps its origin."""
        text, made = self.text, []
        assert self._starts is not None
        rest = sorted(texts)
        for start, part in zip(self._starts, self._parts, strict=True):
            done = 0
            while rest and rest[0] - start < len(part.text) + (start + len(part.text) == len(text)):
                at = rest.pop(0)
                cut = at - start
                origin = part.origin + (done if part.verbatim else 0)
                made.append(replace(part, text=part.text[done:cut], origin=origin))
                made.append(_Part(texts[at], part.origin + (cut if part.verbatim else 0), False, part.kernel))
                done = cut
            made.append(
                replace(part, text=part.text[done:], origin=part.origin + (done if part.verbatim else 0)) if done else part
            )
        self._parts, self._starts = [part for part in made if part.text], None

    @property
    def text(self) -> str:
        if self._starts is None:
            self._starts, at = [], 0
            for part in self._parts:
                self._starts.append(at)
                at += len(part.text)
            self._text = "".join(part.text for part in self._parts)
        return self._text

    def origin(self, offset: int) -> int:
        """The source offset that the output's character at `offset` came from."""
        assert self.text is not None and self._starts is not None
        if not self._starts:
            return 0
        i = max(0, bisect.bisect_right(self._starts, offset) - 1)
        part = self._parts[i]
        return part.origin + (offset - self._starts[i] if part.verbatim else 0)

    def only(self, kernels: Collection[str], values: dict[str, str] | None = None, *, bare: bool = False) -> Lowered:
        """The same program with no other kernels, and with these values (in Metal's words) of function constants.

        `bare`: also without the declarations that these kernels have no need of (needed.py).
        """
        made = Lowered(self.where, self.version)
        made.kernels = {name: self.kernels[name] for name in kernels}
        made.constants = self.constants
        if self._index is None:
            self._index = {}
            for n, part in enumerate(self._parts):
                self._index.setdefault(part.kernel, []).append(n)
        own = [n for name in kernels for n in self._index.get(name, ())]
        shared = self._index.get(None, [])
        if bare:
            from .needed import declarations, needed

            if self._declarations is None:
                self._declarations = declarations((n, self._parts[n].text) for n in shared)
            words = frozenset(re.findall(r"[A-Za-z_]\w*", " ".join(self._parts[n].text for n in own)))
            kept = needed(self._declarations, words)
            shared = [n for one in kept for n in range(one.first, one.last + 1) if self._parts[n].kernel is None]
        for part in (self._parts[n] for n in sorted([*own, *shared])):
            given = (values or {}).get(part.constant.name) if part.constant else None
            made._parts.append(
                part if given is None or part.constant is None else replace(part, text=declare(part.constant, given))
            )
        return made


def declare(constant: Constant, value: str | None) -> str:
    """The declaration of a function constant; one without a value is 0, and undefined to is_function_constant_defined."""
    known = "true" if value is not None else "false"
    start = value if value is not None else f"({constant.type})(0)"
    return f"__constant {constant.type} {constant.name} = {start}; __constant bool fl_defined_{constant.name} = {known};"
