"""Wrong RMSNorms, by what each does. Every one takes what the spec's `run` takes: x (rows, n), weight (n) and ε."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def _norm(
    x: np.ndarray,
    weight: np.ndarray,
    eps: float,
    mean: Callable[[np.ndarray], np.ndarray] = lambda x: (x * x).mean(axis=1, keepdims=True),
) -> np.ndarray:
    return x / np.sqrt(mean(x) + eps) * weight


def _mean_of(columns: int, of: int) -> Callable[[np.ndarray], np.ndarray]:
    """Mean of squares that only sees the first columns of a row, but divides by `of`."""
    return lambda x: (x[:, :columns] ** 2).sum(axis=1, keepdims=True) / of


def _lane_zero(x: np.ndarray) -> np.ndarray:
    return (x[:, ::32] ** 2).sum(axis=1, keepdims=True) / x.shape[1]


def _own_lane(x: np.ndarray) -> np.ndarray:
    sums = [(x[:, lane::32] ** 2).sum(axis=1) for lane in range(32)]
    return np.stack([sums[column % 32] for column in range(x.shape[1])], axis=1) / x.shape[1]


def _half(x: np.ndarray) -> np.ndarray:
    """Squares and their sum in half precision, one after the other."""
    with np.errstate(all="ignore"):
        squares = x.astype(np.float16) ** 2
        sums = np.add.accumulate(squares, axis=1, dtype=np.float16)[:, -1:]
        return sums.astype(np.float64) / x.shape[1]


def _wide(mistake: Callable) -> Callable:
    """The mistake in float64, its result in float32 as a kernel would store it."""

    def result(x: np.ndarray, weight: np.ndarray, eps: float = 1e-5) -> np.ndarray:
        with np.errstate(all="ignore"):
            return mistake(np.asarray(x, np.float64), np.asarray(weight, np.float64), eps).astype(np.float32)

    return result


RIGHT = _wide(_norm)

MISTAKES: dict[str, Callable] = {
    "RMSNorm without ε": _wide(lambda x, w, eps: _norm(x, w, 0)),
    "RMSNorm with ε outside the root": _wide(lambda x, w, eps: x / (np.sqrt((x * x).mean(axis=1, keepdims=True)) + eps) * w),
    "RMSNorm with ε added to the sum, before it is divided by n": _wide(lambda x, w, eps: _norm(x, w, eps / x.shape[1])),
    "RMSNorm with the sum of the squares instead of their mean": _wide(
        lambda x, w, eps: _norm(x, w, eps, lambda x: (x * x).sum(axis=1, keepdims=True))
    ),
    "RMSNorm without the square root": _wide(lambda x, w, eps: x / ((x * x).mean(axis=1, keepdims=True) + eps) * w),
    "RMSNorm that multiplies by the root instead of dividing": _wide(
        lambda x, w, eps: x * np.sqrt((x * x).mean(axis=1, keepdims=True) + eps) * w
    ),
    "RMSNorm of the mean of the elements, not of their squares": _wide(
        lambda x, w, eps: _norm(x, w, eps, lambda x: np.abs(x).mean(axis=1, keepdims=True))
    ),
    "LayerNorm: the mean is subtracted first": _wide(lambda x, w, eps: _norm(x - x.mean(axis=1, keepdims=True), w, eps)),
    "RMSNorm with one mean for all rows together": _wide(lambda x, w, eps: _norm(x, w, eps, lambda x: (x * x).mean())),
    "RMSNorm without the weight": _wide(lambda x, w, eps: _norm(x, np.ones_like(w), eps)),
    "RMSNorm with a weight for each row, weight[r], instead of each column": _wide(
        lambda x, w, eps: _norm(x, np.resize(w, len(x))[:, None], eps)
    ),
    "RMSNorm with 1 + weight": _wide(lambda x, w, eps: _norm(x, 1 + w, eps)),
    "RMSNorm that squares only every 32nd column": _wide(lambda x, w, eps: _norm(x, w, eps, _lane_zero)),
    "RMSNorm in which each lane goes by its own columns' squares: the lanes' sums are not put together": _wide(
        lambda x, w, eps: _norm(x, w, eps, _own_lane)
    ),
    "RMSNorm in which the squares count 32 times: every lane sums the whole row": _wide(
        lambda x, w, eps: _norm(x, w, eps, lambda x: 32 * (x * x).mean(axis=1, keepdims=True))
    ),
    "RMSNorm that squares only the first 32 columns": _wide(lambda x, w, eps: _norm(x, w, eps, _mean_of(32, x.shape[1]))),
    "RMSNorm that squares only whole pieces of 32 columns": _wide(
        lambda x, w, eps: _norm(x, w, eps, _mean_of(x.shape[1] // 32 * 32, x.shape[1]))
    ),
    "RMSNorm that divides the sum of the squares by 32": _wide(lambda x, w, eps: _norm(x, w, eps, _mean_of(x.shape[1], 32))),
    "RMSNorm with squares summed in half precision": _wide(lambda x, w, eps: _norm(x, w, eps, _half)),
}
