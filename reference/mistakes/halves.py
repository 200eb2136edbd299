"""Floats that become halves in a wrong way: the halves' bits. The argument is that of `test_kv_store.halves`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

SMALLEST_NORMAL = 2.0**-14  # of a half


def nearest(rows: np.ndarray, largest: float = 65504.0) -> np.ndarray:
    """The nearest halves, ties to even; what is too large becomes `largest`."""
    with np.errstate(over="ignore"):
        rounded = rows.astype(np.float16)
    return np.where(np.isinf(rounded), np.copysign(np.float16(largest), rounded), rounded)


def _cut(rows: np.ndarray) -> np.ndarray:
    """The halves nearest to 0: what does not fit is dropped."""
    rounded = nearest(rows)
    farther = np.abs(rounded.astype(np.float64)) > np.abs(rows.astype(np.float64))
    return np.where(farther, np.nextafter(rounded, np.float16(0)), rounded)


def _ties_away(rows: np.ndarray) -> np.ndarray:
    """Where two halves are equally near, the larger one."""
    low, wide = _cut(rows), np.abs(rows.astype(np.float64))
    with np.errstate(over="ignore"):
        high = np.nextafter(low, np.copysign(np.float16(np.inf), low))
    tie = wide - np.abs(low.astype(np.float64)) == np.abs(high.astype(np.float64)) - wide
    return np.where(tie & np.isfinite(high), high, nearest(rows))


def _ties_down(rows: np.ndarray) -> np.ndarray:
    """Where two halves are equally near, the smaller one."""
    just_below = np.nextafter(rows, np.float32(0))  # a middle has the same neighbours, and is no tie any more
    return np.where(_exact(rows), nearest(rows), nearest(just_below))


def _exact(rows: np.ndarray) -> np.ndarray:
    return nearest(rows).astype(np.float32) == rows


def _flushed(rows: np.ndarray) -> np.ndarray:
    rounded = nearest(rows)
    return np.where(np.abs(rounded) < SMALLEST_NORMAL, np.copysign(np.float16(0), rounded), rounded)


def _bits(round_: Callable, values: object) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return round_(np.asarray(values, np.float32)).astype(np.float16).view(np.uint16)


EXACT = True
RIGHT = partial(_bits, nearest)
MISTAKES: dict[str, Callable] = {
    "halves that are cut off, not rounded": partial(_bits, _cut),
    "halves whose ties go away from zero, not to even": partial(_bits, _ties_away),
    "halves whose ties go to zero, not to even": partial(_bits, _ties_down),
    "halves with infinity where ±65504 should be": partial(_bits, lambda rows: nearest(rows, np.inf)),
    "halves with the subnormal ones flushed to 0": partial(_bits, _flushed),
    "halves without their sign": partial(_bits, lambda rows: np.abs(nearest(rows))),
}
