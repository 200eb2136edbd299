"""Wrong attentions over a cache: what usual mistakes give, in float64. Arguments as in the `run` of `test_decode_attention`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np


def _attention(
    q: np.ndarray,
    k: np.ndarray,
    v: np.ndarray,
    position: int,
    capacity: int | None = None,
    *,
    seen: Callable[[int, int, int], range] = lambda t, p, tokens: range(p + t + 1),
    group: Callable[[int, int, int], int] = lambda h, heads, kv_heads: h // (heads // kv_heads),
    scale: Callable[[int], float] = lambda d: d**-0.5,
    weigh: Callable[[np.ndarray], np.ndarray] = lambda scores: np.exp(scores - scores.max()),
    divide: bool = True,
    rows: Callable[[np.ndarray, int], np.ndarray] = lambda cache, g: cache[:, g],
    number: type = np.float64,
) -> np.ndarray:
    """Attention with one of its decisions made otherwise; rows that nobody has written cannot be seen here."""
    (tokens, heads, d), kv_heads = q.shape, k.shape[1]
    out = np.zeros(q.shape)
    for t, h in np.ndindex(tokens, heads):
        visible = [s for s in seen(t, position, tokens) if 0 <= s < len(k)]
        if not visible:
            continue
        g = group(h, heads, kv_heads)
        keys: np.ndarray = rows(k, g)[visible].astype(number)
        values: np.ndarray = rows(v, g)[visible].astype(number)
        weights = weigh((keys @ q[t, h].astype(number)).astype(number) * number(scale(d)))
        out[t, h] = weights @ values / (weights.sum() if divide else 1)
    return out


def _close_rows(cache: np.ndarray, g: int) -> np.ndarray:
    """Head g's rows, read as if each row of the cache were one head wide."""
    d = cache.shape[2]
    return cache.reshape(-1, d)[g : g + len(cache)]


RIGHT = _attention
MISTAKES: dict[str, Callable] = {
    "attention without the 1/√d scale": partial(_attention, scale=lambda d: 1.0),
    "attention with scores divided by d, not by √d": partial(_attention, scale=lambda d: 1 / d),
    "attention with scores multiplied by √d": partial(_attention, scale=lambda d: d**0.5),
    "the exclusive mask (s < p + t): a token does not see itself": partial(_attention, seen=lambda t, p, n: range(p + t)),
    "attention without the cache: only the new tokens' rows are seen": partial(
        _attention, seen=lambda t, p, n: range(p, p + t + 1)
    ),
    "attention without row 0": partial(_attention, seen=lambda t, p, n: range(min(1, p + t), p + t + 1)),
    "attention that sees t + 1 rows, not p + t + 1: the position is forgotten": partial(
        _attention, seen=lambda t, p, n: range(t + 1)
    ),
    "attention in which every query of a chunk sees rows 0 … p alone": partial(_attention, seen=lambda t, p, n: range(p + 1)),
    "attention in which every query of a chunk sees the whole chunk": partial(_attention, seen=lambda t, p, n: range(p + n)),
    "attention whose query heads take the cache's heads in turn (h mod kv_heads)": partial(
        _attention, group=lambda h, heads, kv_heads: h % kv_heads
    ),
    "attention whose heads all read head 0 of the cache": partial(_attention, group=lambda h, heads, kv_heads: 0),
    "attention with cache rows d apart: kv_heads is forgotten in the stride": partial(_attention, rows=_close_rows),
    "attention with the keys where the values should be": lambda q, k, v, position, capacity=None: _attention(
        q, k, k, position
    ),
    "attention with keys and values changed over": lambda q, k, v, position, capacity=None: _attention(q, v, k, position),
    "attention in which every token asks with token 0's query": lambda q, k, v, position, capacity=None: _attention(
        np.repeat(q[:1], len(q), axis=0), k, v, position
    ),
    "a plain mean of the values: the scores have no effect": partial(_attention, weigh=np.ones_like),
    "a weighted sum that is not divided by the sum of the weights": partial(_attention, divide=False),
    "attention with weights of 2^x, not e^x": partial(_attention, weigh=lambda scores: np.exp2(scores - scores.max())),
    "attention computed in halves": partial(_attention, number=np.float16),
}
