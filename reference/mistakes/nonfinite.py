"""Wrong counts of NaN and ∞, by what each does. Every one takes what the spec's `run` takes: x (rows, n)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def _count(
    bad: Callable[[np.ndarray], np.ndarray] = lambda bits: bits & 0x7F800000 == 0x7F800000,
    columns: Callable[[int], slice] = lambda n: slice(0, n),
    count: Callable[[np.ndarray], np.ndarray] = lambda bad: bad.sum(axis=1),
) -> Callable:
    """A count with one of its parts replaced: which bits count, in which columns, and what becomes of them."""

    def result(x: np.ndarray) -> np.ndarray:
        return count(bad(x.view(np.uint32)[:, columns(x.shape[1])])).astype(np.uint32)

    return result


RIGHT = _count()

MISTAKES: dict[str, Callable] = {
    "NaNs counted, but not infinities": _count(lambda bits: bits & 0x7FFFFFFF > 0x7F800000),
    "infinities counted, but not NaNs": _count(lambda bits: bits & 0x7FFFFFFF == 0x7F800000),
    "only those of positive sign counted: the sign bit is compared too": _count(lambda bits: bits & 0xFF800000 == 0x7F800000),
    "quiet NaNs counted alone: the highest bit of the fraction is asked for too": _count(
        lambda bits: bits & 0x7FC00000 == 0x7FC00000
    ),
    "finite numbers from 2¹²⁷ on counted too: the mask has seven of the exponent's eight bits": _count(
        lambda bits: bits & 0x7F000000 == 0x7F000000
    ),
    "finite elements counted": _count(lambda bits: bits & 0x7F800000 != 0x7F800000),
    "0 everywhere: a comparison like x != x, which fast math makes false": _count(lambda bits: bits != bits),
    "whether there is one (1 or 0), not how many": _count(count=lambda bad: bad.sum(axis=1) > 0),
    "lane 0's columns only: the lanes' counts are not put together": _count(columns=lambda n: slice(0, None, 32)),
    "whole strides of 32 columns only: the tail is left out": _count(columns=lambda n: slice(0, n // 32 * 32)),
    "the first 32 columns only": _count(columns=lambda n: slice(0, 32)),
    "the last column left out": _count(columns=lambda n: slice(0, n - 1)),
    "each row with the rows before it: the count is never set back to 0": _count(count=lambda bad: bad.sum(axis=1).cumsum()),
}
