"""Wrong attentions, by what each does. Every one takes what the spec's `run` takes: q (tokens, heads, d), k and v."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def _softmax(scores: np.ndarray) -> np.ndarray:
    """Of each row, over what is not masked (−∞); a wholly masked row gives 0 / 0, as a kernel's sums would."""
    largest = scores.max(axis=-1, keepdims=True)
    weights = np.exp(scores - np.where(np.isfinite(largest), largest, 0))
    return weights / weights.sum(axis=-1, keepdims=True)


def _plain(scores: np.ndarray) -> np.ndarray:
    """Softmax in float32 without the largest score subtracted."""
    weights = np.exp(scores.astype(np.float32)).astype(np.float64)
    return weights / weights.sum(axis=-1, keepdims=True)


def _from_zero(scores: np.ndarray) -> np.ndarray:
    """Softmax in float32 with the largest score sought from 0 up."""
    return _plain(scores - np.maximum(scores.max(axis=-1, keepdims=True), 0))


def _among_others(scores: np.ndarray) -> np.ndarray:
    """Softmax in float32 with the largest score sought among the tokens before one's own."""
    largest = np.array([row[: max(t, 1)].max() for t, row in enumerate(scores)])
    return _plain(scores - largest[:, None])


def _one_more(scores: np.ndarray) -> np.ndarray:
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / (1 + weights.sum(axis=-1, keepdims=True))


def _by_the_number(scores: np.ndarray) -> np.ndarray:
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / np.isfinite(scores).sum(axis=-1, keepdims=True)


def _half(scores: np.ndarray) -> np.ndarray:
    return _softmax(scores.astype(np.float16).astype(np.float64))


def _with(
    scale: Callable[[int], float] = lambda d: d**-0.5,
    sees: Callable[[np.ndarray, np.ndarray], np.ndarray] = lambda t, s: s <= t,
    kv_head: Callable[[int, int, int], int] = lambda h, heads, kv_heads: h // (heads // kv_heads),
    weights: Callable[[np.ndarray], np.ndarray] = _softmax,
    elements: Callable[[int], slice] = lambda d: slice(0, d),
    swap: bool = False,
) -> Callable:
    """Attention with one of its parts replaced."""

    def result(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
        q64, k64, v64 = (np.asarray(array, np.float64) for array in (q, k, v))
        (tokens, heads, d), kv_heads, y = q.shape, k.shape[1], np.empty(q.shape)
        t, s = np.ogrid[:tokens, :tokens]
        part = elements(d)
        with np.errstate(all="ignore"):
            for h in range(heads):
                g = kv_head(h, heads, kv_heads)
                scores = q64[:, h, part] @ k64[:, g, part].T * scale(d)
                values = k64[:, g] if swap else v64[:, g]
                y[:, h] = weights(np.where(sees(t, s), scores, -np.inf)) @ values
        return y.astype(np.float32)

    return result


def _own_lane(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Element i of a head is weighted by scores of the elements i mod 32, i mod 32 + 32, … alone."""
    y = np.empty(q.shape, np.float32)
    for lane in range(min(32, q.shape[2])):
        part = _with(elements=lambda d, lane=lane: slice(lane, None, 32))  # type: ignore[misc]
        y[..., lane::32] = part(q, k, v)[..., lane::32]
    return y


RIGHT = _with()

MISTAKES: dict[str, Callable] = {
    "attention without the 1/√d scale": _with(scale=lambda d: 1.0),
    "attention with 1/d for 1/√d": _with(scale=lambda d: 1 / d),
    "attention with √d for 1/√d": _with(scale=lambda d: d**0.5),
    "attention with −q · k for a score: the least alike key weighs most": _with(scale=lambda d: -(d**-0.5)),
    "the exclusive mask (s < t): a token does not see itself": _with(sees=lambda t, s: s < t),
    "a mask one too far (s ≤ t + 1): a token sees the next one": _with(sees=lambda t, s: s <= t + 1),
    "no mask: a token sees all tokens": _with(sees=lambda t, s: s >= 0 * t),
    "the mask on the wrong side (s ≥ t): a token sees what comes, not what was": _with(sees=lambda t, s: s >= t),
    "a mask that hides token 0: the keys begin at 1": _with(sees=lambda t, s: (s <= t) & ((s > 0) | (t == 0))),
    "a token that sees itself alone": _with(sees=lambda t, s: s == t),
    "grouped queries dealt round (h % kv_heads) instead of in runs": _with(kv_head=lambda h, heads, kv_heads: h % kv_heads),
    "key/value head 0 for every query head": _with(kv_head=lambda h, heads, kv_heads: 0),
    "weights that are not divided by their sum": _with(weights=lambda s: np.exp(s - s.max(axis=-1, keepdims=True))),
    "weights divided by the number of tokens, not by their sum": _with(weights=_by_the_number),
    "a denominator that begins at 1": _with(weights=_one_more),
    "exp without the largest score subtracted, in float32": _with(weights=_plain),
    "the largest score sought from 0 up: a row of scores far below 0 vanishes": _with(weights=_from_zero),
    "the largest score sought without one's own": _with(weights=_among_others),
    "exp2 for exp": _with(weights=lambda s: _softmax(s * np.log(2))),
    "the plain mean of the values: the scores have no part in it": _with(
        weights=lambda s: np.isfinite(s) / np.isfinite(s).sum(axis=-1, keepdims=True)
    ),
    "the value of the best key alone": _with(weights=lambda s: _softmax(s * 1e6)),
    "scores for weights: no softmax": _with(weights=lambda s: np.where(np.isfinite(s), s, 0)),
    "keys for values": _with(swap=True),
    "scores of a head's first 32 elements only": _with(elements=lambda d: slice(0, 32)),
    "scores of whole pieces of 32 elements only": _with(elements=lambda d: slice(0, d // 32 * 32)),
    "scores of a lane's own elements only: the lanes' sums are not put together": _own_lane,
    "scores of every 32nd element only": _with(elements=lambda d: slice(0, None, 32)),
    "scores in half precision": _with(weights=_half),
}
