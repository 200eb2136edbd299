"""The shape of a dispatch: what the caller gives, checked, and the OpenCL launches that make it.

Metal's `dispatchThreads` cuts smaller threadgroups at the far edges of a grid that is no multiple of the threadgroup. OpenCL
wants one size a launch (this runtime refuses others where the SIMD width is prescribed), so each edge is a launch of its own:
two in one dimension, at most eight in three.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from .errors import error
from .lowered import SIMD_WIDTH

Shape = int | Sequence[int]
Three = tuple[int, int, int]
MOST = 0xFFFFFFFF  # a grid's length is a uint


class Launch(NamedTuple):
    offset: tuple[int, ...] | None
    size: tuple[int, ...]
    group: tuple[int, ...]


def shape(value: Shape, what: str, least: int) -> Three:
    """One, two or three numbers as three. Raises `metal.error` naming `what` if they are no such thing."""
    try:
        given = [operator.index(value)] if not isinstance(value, Sequence) else [operator.index(n) for n in value]
    except TypeError:
        given = []
    if not 1 <= len(given) <= 3 or isinstance(value, (str, bytes)):
        raise error(f"{what} must be a whole number, or (x, y, z) of one to three, got {value!r}")
    if min(given) < least or max(given) > MOST:
        raise error(f"{what} must be from {least} to {MOST} in each dimension, got {value!r}")
    x, y, z = [*given, 1, 1][:3]
    return x, y, z


def extent(grid: Shape | None, threadgroups: Shape | None, threadgroup: Shape, most: int) -> tuple[Three, Three]:
    """(the grid's lengths in threads, the threadgroup's), of a grid in threads or in threadgroups. Raises `metal.error`."""
    if (grid is None) == (threadgroups is None):
        raise error("a dispatch takes either grid= (in threads) or threadgroups= (in whole threadgroups)")
    group = shape(threadgroup, "threadgroup", 1)
    threads = group[0] * group[1] * group[2]
    if threads > most:
        raise error(f"a threadgroup of {'×'.join(map(str, group))} is {threads} threads, the limit is {most}")
    if grid is not None:
        return shape(grid, "grid", 0), group
    x, y, z = (count * length for count, length in zip(shape(threadgroups, "threadgroups", 0), group, strict=True))  # type: ignore[arg-type]
    if max(x, y, z) > MOST:
        raise error(f"threadgroups={threadgroups!r} of {group} are more than {MOST} threads in one dimension")
    return (x, y, z), group


@lru_cache(maxsize=1024)
def launches(grid: Three, group: Three) -> tuple[bool, tuple[Launch, ...]]:
    """(whether the kernel must work out its positions, the launches) of a grid in threads."""
    if 0 in grid:
        return False, ()
    rest = [whole % length for whole, length in zip(grid, group, strict=True)]
    # Rows of whole SIMD-groups, or a single row: here OpenCL’s order is Metal’s, and the program stays as it is.
    if not any(rest) and (group[0] % SIMD_WIDTH == 0 or group[1] == group[2] == 1):
        dimensions = 3 if grid[2] > 1 or group[2] > 1 else 2 if grid[1] > 1 or group[1] > 1 else 1
        return False, (Launch(None, grid[:dimensions], group[:dimensions]),)
    found = []
    for edge in itertools.product(*((False, True) if r else (False,) for r in rest)):
        counts = [1 if e else whole // length for e, whole, length in zip(edge, grid, group, strict=True)]
        if 0 in counts:
            continue  # nothing but edge along this axis
        lengths = [r if e else length for e, r, length in zip(edge, rest, group, strict=True)]
        row = lengths[0] * lengths[1] * lengths[2]
        first = sum(length << 11 * n for n, length in enumerate(group)) + sum(e << 33 + n for n, e in enumerate(edge))
        found.append(Launch((first, grid[0] | grid[1] << 32, grid[2]), (counts[0] * row, counts[1], counts[2]), (row, 1, 1)))
    return True, tuple(found)
