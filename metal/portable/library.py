"""Which parts of the library in include/ a program gets: those whose names stand in it, and of them the lines it needs.

Both compilers take time for every function they read, so a small program must not pay for what it does not use. In a part, a
line that begins with `/*name*/`, or `/*one other*/`, is kept only where one of the names stands in the program; all other lines
always are. A part whose names do not occur at all is left out, unless another one builds on it.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

INCLUDE = Path(__file__).with_name("include")
# part → the parts it builds on, in the order in which they are put together
PARTS: dict[str, tuple[str, ...]] = {
    "metal_stdlib.h": (),
    "metal_fields.h": (),
    "metal_bool.h": ("metal_fields.h",),
    "metal_packed.h": ("metal_fields.h", "metal_bool.h"),
    "metal_matrix.h": (),
    "metal_simd.h": ("metal_matrix.h",),
    "metal_array.h": (),
    "metal_uniform.h": (),
    "metal_atomic.h": (),
    "metal_numeric.h": (),
    "metal_bfloat.h": ("metal_fields.h", "metal_bool.h", "metal_numeric.h"),
    "metal_traits.h": (),
    "metal_integer.h": (),
    "metal_math.h": (),
    "metal_geometric.h": (),
    "metal_relational.h": ("metal_fields.h", "metal_bool.h"),
    "metal_pack.h": (),
    "metal_simdgroup.h": (),
    "metal_quadgroup.h": ("metal_simdgroup.h",),
    "metal_simdgroup_matrix.h": (),
    "metal_internal.h": ("metal_simdgroup.h",),
}
CORE = "metal_stdlib.h"
_MARK = re.compile(r"^/\*((?:\w+ ?)+)\*/ ?")


def text(source: str) -> str:
    """The library as that program gets it."""
    words = frozenset(re.findall(r"[A-Za-z_]\w*", source))
    wanted = {CORE}
    for part in reversed(PARTS):  # what others build on stands before them
        if part in wanted or any(names and names & words for names, _ in _lines(part)):
            wanted |= {part, *PARTS[part]}
    return "".join(line for part in PARTS if part in wanted for names, line in _lines(part) if names is None or names & words)


def names() -> list[str]:
    """Every name that a program may use to get a line of the library."""
    return sorted({name for part in PARTS for marked, _ in _lines(part) for name in marked or ()})


@cache
def macros() -> frozenset[str]:
    """The macros that a program finds defined, for its #ifdef."""
    lines = (line for part in PARTS for _, line in _lines(part))
    return frozenset(m[1] for line in lines if (m := re.match(r"#define (?!FL_)(\w+)", line)))


@cache
def _lines(part: str) -> list[tuple[frozenset[str] | None, str]]:
    """(names that need the line, or None where all do; the line) for each line of a part."""
    found = []
    for line in (INCLUDE / part).read_text(encoding="utf-8").splitlines(keepends=True):
        mark = _MARK.match(line)
        found.append((frozenset(mark[1].split()) if mark else None, line))
    return found
