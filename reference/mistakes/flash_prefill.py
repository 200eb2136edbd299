"""Wrong attentions of a block of tokens: those over a cache, and what goes wrong where rows come 32 at a time. In float64.

Arguments as its spec's `run`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from reference.mistakes import decode_attention


def _in_pieces(q, k, v, position, *, shrink_sums=True, shrink_total=True, last_only=False):
    """Online softmax with one of its steps left out."""
    tokens, heads, d = q.shape
    out, group = np.zeros(q.shape), heads // k.shape[1]
    for t, h in np.ndindex(tokens, heads):
        largest, total, sums = -np.inf, 0.0, np.zeros(d)
        for first in range(0, position + t + 1, 32):
            rows = slice(first, min(first + 32, position + t + 1))
            keys, values = (a[rows, h // group].astype(np.float64) for a in (k, v))
            scores = keys @ q[t, h].astype(np.float64) / d**0.5
            now = max(largest, scores.max())
            shrink, largest, weights = np.exp(largest - now), now, np.exp(scores - now)
            if last_only:
                total, sums = 0.0, 0 * sums
            total = total * (shrink if shrink_total else 1) + weights.sum()
            sums = sums * (shrink if shrink_sums else 1) + weights @ values
        out[t, h] = sums / total
    return out


def _kept(way: Callable) -> Callable:
    """What is kept of an attention, as the spec's `run` asks: floats, or halves."""

    def result(q, k, v, position, capacity=None, kept=np.float32):
        with np.errstate(over="ignore"):
            y = way(q, k, v, position)
            return y if kept == np.float32 else y.astype(kept)

    return result


# whatever an answer is kept as
WAYS: dict[str, Callable] = {
    **decode_attention.MISTAKES,
    "sums of values that are not shrunk when a larger score comes": partial(_in_pieces, shrink_sums=False),
    "a sum of weights that is not shrunk when a larger score comes": partial(_in_pieces, shrink_total=False),
    "sums that are not shrunk at all when a larger score comes": partial(_in_pieces, shrink_sums=False, shrink_total=False),
    "attention over the last 32 rows alone": partial(_in_pieces, last_only=True),
}
RIGHT = _kept(decode_attention.RIGHT)
MISTAKES: dict[str, Callable] = {sentence: _kept(way) for sentence, way in WAYS.items()}
