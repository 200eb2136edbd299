"""Wrong products of tokens with a quantized weight in pieces of 8 × 8, in float64. Arguments as its spec's `run`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from reference.mistakes import matmul_q
from reference.mistakes.matmul_q import with_change


def _here(product: Callable) -> Callable:
    return lambda x, raw, kind, shape, y=None, step=1: product(x, raw, kind, shape, y)


def _without(x: np.ndarray, tokens: slice) -> np.ndarray:
    kept = x.copy()
    kept[tokens] = 0
    return kept


def _part(weight: np.ndarray, kept: Callable) -> np.ndarray:
    """The weight with 0 in the columns that are not kept."""
    return weight * kept(np.arange(weight.shape[1]))


def _transposed(weight: np.ndarray) -> np.ndarray:
    """Each piece of 8 × 8 turned over; rows that fill the last one are zeros."""
    n, k = weight.shape
    pieces = np.pad(weight, ((0, -n % 8), (0, 0))).reshape(-1, 8, k // 8, 8)
    return pieces.transpose(0, 3, 2, 1).reshape(-1, k)[:n]


RIGHT = _here(matmul_q.RIGHT)
OWN: dict[str, Callable] = {
    "tokens past the last whole 8 counted as zeros": lambda x, w, y: (_without(x, slice(len(x) // 8 * 8, None)), w, y),
    "a product of the first 8 values of each block alone": lambda x, w, y: (x, _part(w, lambda at: at % 32 < 8), y),
    "a product of the first block alone": lambda x, w, y: (x, _part(w, lambda at: at < 32), y),
    "a product of the last block alone: sums begin anew with each": lambda x, w, y: (
        x, _part(w, lambda at: at >= w.shape[1] - 32), y,
    ),
    "each 8 × 8 piece of the weight turned over: rows for values": lambda x, w, y: (x, _transposed(w), y),
}  # fmt: skip
KEPT = ("what y held is not added", "made of token 0", "nibbles are neighbours", "|weight|")  # of matmul_q's
MISTAKES: dict[str, Callable] = {
    **{sentence: _here(one) for sentence, one in matmul_q.MISTAKES.items() if any(words in sentence for words in KEPT)},
    **{sentence: _here(with_change(change)) for sentence, change in OWN.items()},
}
