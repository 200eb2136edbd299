"""Wrong residual adds, by what each does. Every one takes what the spec's `run` takes: a and b of one shape."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def _half(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return a.astype(np.float16) + b.astype(np.float16)


def _wide(mistake: Callable) -> Callable:
    """The mistake in float64, its result in float32 as a kernel would store it."""
    return lambda a, b: mistake(np.asarray(a, np.float64), np.asarray(b, np.float64)).astype(np.float32)


RIGHT = _wide(lambda a, b: a + b)

MISTAKES: dict[str, Callable] = {
    "a alone: b is never added": _wide(lambda a, b: a),
    "b alone: a is never added": _wide(lambda a, b: b),
    "a − b: b is subtracted": _wide(lambda a, b: a - b),
    "a · b: multiplied, not added": _wide(lambda a, b: a * b),
    "a + a: one addend is read twice": _wide(lambda a, b: a + a),
    "b + b: one addend is read twice": _wide(lambda a, b: b + b),
    "the first element of b added everywhere: its index is missing": _wide(lambda a, b: a + b.flat[0]),
    "the first element of a added everywhere: its index is missing": _wide(lambda a, b: a.flat[0] + b),
    "a[i] plus the next element of b: an index off by one": _wide(lambda a, b: a + np.roll(b.ravel(), -1).reshape(b.shape)),
    "a sum in half precision": _wide(_half),
}
