"""Wrong softmaxes, by what each does. Every one takes what the spec's `run` takes: x (rows, n) and the temperature."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def _peak(x: np.ndarray) -> np.ndarray:
    return x.max(axis=1, keepdims=True)


def _sum(weights: np.ndarray) -> np.ndarray:
    return weights.sum(axis=1, keepdims=True)


def _with(
    peak: Callable[[np.ndarray], np.ndarray] = _peak,
    exponent: Callable[[np.ndarray, float], np.ndarray] = lambda z, t: z / t,
    total: Callable[[np.ndarray], np.ndarray] = _sum,
    power: Callable[[np.ndarray], np.ndarray] = np.exp,
    last: Callable[[np.ndarray], np.ndarray] = lambda p: p,
) -> Callable:
    """Softmax with one of its parts replaced. In float64, but a weight overflows and vanishes where it would in float32."""

    def result(x: np.ndarray, temperature: float = 1.0) -> np.ndarray:
        wide = np.asarray(x, np.float64)
        with np.errstate(all="ignore"):
            weights = power(exponent(wide - peak(wide), temperature))
            narrow = weights.astype(np.float32)
            weights = np.where(np.isinf(narrow) | (narrow == 0), narrow, weights)
            return last(weights / total(weights)).astype(np.float32)

    return result


def _own_group(width: int) -> Callable[[np.ndarray], np.ndarray]:
    """Each column's sum over those columns alone that its SIMD-group has, in a threadgroup of `width` threads."""

    def total(weights: np.ndarray) -> np.ndarray:
        group = np.arange(weights.shape[1]) % width // 32
        sums = np.stack([weights[:, group == g].sum(axis=1) for g in range(group.max() + 1)], axis=1)
        return sums[:, group]

    return total


def _half(x: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Weights and their sum in half precision."""
    weights = RIGHT(x, temperature).astype(np.float16)
    return (weights / weights.sum(axis=1, keepdims=True, dtype=np.float16)).astype(np.float32)


RIGHT = _with()

MISTAKES: dict[str, Callable] = {
    "softmax without the largest logit subtracted: exp overflows, or every weight vanishes": _with(lambda x: 0 * x),
    "softmax with the first logit subtracted, not the largest: exp overflows": _with(lambda x: x[:, :1]),
    "softmax with the largest of the first 32 logits subtracted: exp overflows if a larger one comes later": _with(
        lambda x: _peak(x[:, :32])
    ),
    "softmax with a largest logit that is at least 0: it began at 0, and every weight vanishes": _with(
        lambda x: np.maximum(_peak(x), 0)
    ),
    "softmax with the temperature multiplied instead of divided": _with(exponent=lambda z, t: z * t),
    "softmax without the temperature": _with(exponent=lambda z, t: z),
    "softmax with −z for z: the least likely token weighs most": _with(exponent=lambda z, t: -z / t),
    "weights that are not divided by their sum": _with(total=lambda w: np.ones((1, 1))),
    "weights divided by their number, not by their sum": _with(total=lambda w: np.full((1, 1), w.shape[1])),
    "weights divided by the largest of them": _with(total=_peak),
    "weights divided by a sum that begins at 1": _with(total=lambda w: 1 + _sum(w)),
    "weights divided by the sum over all rows: it is never set back to 0": _with(total=lambda w: w.sum()),
    "weights divided by the sum of this and all rows before": _with(total=lambda w: _sum(w).cumsum(axis=0)),
    "weights divided by the sum of their column, over the rows": _with(total=lambda w: w.sum(axis=0, keepdims=True)),
    "weights divided by the sum of the first 32": _with(total=lambda w: _sum(w[:, :32])),
    "weights divided by lane 0's sum: the lanes' sums are not put together": _with(total=lambda w: _sum(w[:, ::32])),
    "exp2 for exp": _with(power=np.exp2),
    "logarithms of the probabilities": _with(last=np.log),
    "weights and their sum in half precision": _half,
} | {
    f"weights divided by their own SIMD-group's sum alone, in a threadgroup of {width}": _with(total=_own_group(width))
    for width in (64, 256, 448, 832, 1024)
}
