"""Wrong copies, by what each does. Every one takes what the spec's `run` takes: x (n) whole numbers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

RIGHT: Callable = np.copy
MISTAKES: dict[str, Callable] = {
    "the first element everywhere: the thread's number is missing from the index": lambda x: np.full_like(x, x[0]),
    "the threads' numbers, not the elements that they stand for": lambda x: np.arange(len(x), dtype=x.dtype),
    "the next element of x: an index off by one": lambda x: np.roll(x, -1),
    "the element of x before: an index off by one": lambda x: np.roll(x, 1),
    "x back to front": lambda x: x[::-1].copy(),
    "x counted in lanes: every SIMD-group copies the first 32 elements": lambda x: np.resize(x[:32], len(x)),
    "n minus the element": lambda x: np.uint32(len(x)) - x,
    "x with each element's lowest byte alone": lambda x: x & 0xFF,
    "x as if its numbers had gone through a float": lambda x: x.astype(np.float32).astype(np.float64).astype(np.uint32),
}
