"""Wrong attentions of one token over a cache, and of pieces put together, in float64. Arguments as its spec's `run`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from reference.mistakes.decode_attention import RIGHT as ATTENTION
from reference.mistakes.flash_prefill import WAYS as OF_A_CHUNK
from reference.prepare import leave


def _left(attention: Callable, prepared: Callable = lambda asked: asked) -> Callable:
    """attention(q (1, heads, d), k, v, position), prepared for the next kernel, without the squares."""

    def result(q, k, v, position, piece=32, nibbles=False, spare=0):
        extra = {"piece": piece} if getattr(attention, "func", None) is _of_pieces else {}
        y = torch.from_numpy(attention(q[None], k, v, position, **extra).reshape(-1))
        return leave(y, torch.ones_like(y), prepared(nibbles))[: len(y) + len(y) // 32].numpy()

    return result


def _of_pieces(q, k, v, position, piece, *, shares=lambda largest: np.exp(largest - largest.max()), kept=slice(None)):
    """Each piece's sum, sum of weights and largest score, put together; `kept`: the pieces that are."""
    out = np.zeros(q.shape)
    for h in range(q.shape[1]):
        sums, totals, most = [], [], []
        for first in range(0, position + 1, piece):
            rows, g = slice(first, min(first + piece, position + 1)), h // (q.shape[1] // k.shape[1])
            scores = k[rows, g].astype(np.float64) @ q[0, h].astype(np.float64) / q.shape[2] ** 0.5
            weights = np.exp(scores - scores.max())
            sums.append(weights @ v[rows, g].astype(np.float64))
            totals.append(weights.sum())
            most.append(scores.max())
        share = shares(np.array(most[kept]))
        out[0, h] = share @ np.array(sums[kept]) / (share @ np.array(totals[kept]))
    return out


def _of_first(q, k, v, position):
    """Every head that shares a cache head with the query of the first of them."""
    shared = q.shape[1] // k.shape[1]
    return ATTENTION(np.repeat(q[:, ::shared], shared, axis=1), k, v, position)


_MANY = ("chunk", "token 0", "without the cache")  # mistakes that one token cannot make
RIGHT = _left(ATTENTION)
MISTAKES: dict[str, Callable] = {
    "what is left for bytes where nibbles come next, or the other way: is args.nibbles asked?": _left(
        ATTENTION, lambda n: not n
    ),
    "pieces put together as they are: without exp(a piece's largest score - the largest of all)": _left(
        partial(_of_pieces, shares=np.ones_like)
    ),
    "the pieces but the last one, in which the token itself is": _left(partial(_of_pieces, kept=slice(None, -1))),
    "all heads that share a cache head with the query of the first of them: query head h begins at q + h * d": _left(_of_first),
    "the first piece alone": _left(partial(_of_pieces, kept=slice(None, 1))),
    **{s: _left(way) for s, way in OF_A_CHUNK.items() if not any(word in s for word in _MANY)},
}
