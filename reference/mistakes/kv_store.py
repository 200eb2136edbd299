"""Wrong stores: what the caches hold after `kv_store` with a usual mistake in it. Arguments as in its spec's `run`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from reference.mistakes.halves import nearest

Pair = tuple[np.ndarray, np.ndarray]


def _put(rows: np.ndarray, cache: np.ndarray, first: int) -> np.ndarray:
    """`rows`, whole, into a copy of the cache from element `first` on; what would not fit is left out."""
    flat, new = cache.reshape(-1).copy(), np.ascontiguousarray(rows).reshape(-1)[: max(0, cache.size - first)]
    if cache.dtype == np.float16:
        flat[first : first + new.size] = nearest(new)
    else:
        flat.view(np.uint32)[first : first + new.size] = new.view(np.uint32)
    return flat.reshape(cache.shape)


def _store(k: np.ndarray, v: np.ndarray, cache_k: np.ndarray, cache_v: np.ndarray, row: float) -> Pair:
    first = round(row * k[0].size)
    return _put(k, cache_k, first), _put(v, cache_v, first)


def _one_head(k: np.ndarray, v: np.ndarray, cache_k: np.ndarray, cache_v: np.ndarray, position: int) -> Pair:
    return _store(k, v, cache_k, cache_v, position / k.shape[1])


def _reversed(k: np.ndarray, v: np.ndarray, cache_k: np.ndarray, cache_v: np.ndarray, position: int) -> Pair:
    return _store(k[::-1], v[::-1], cache_k, cache_v, position)


RIGHT, EXACT = _store, True
MISTAKES: dict[str, Callable] = {
    "a store at row 0: the position is forgotten": lambda k, v, ck, cv, position: _store(k, v, ck, cv, 0),
    "a store one row too late: position + 1": lambda k, v, ck, cv, position: _store(k, v, ck, cv, position + 1),
    "a store one row too early: position − 1": lambda k, v, ck, cv, position: _store(k, v, ck, cv, max(position - 1, 0)),
    "a store whose position counts elements, not rows": lambda k, v, ck, cv, position: _store(
        k, v, ck, cv, position / k[0].size
    ),
    "a store whose rows are d elements apart: kv_heads is forgotten": _one_head,
    "a store with k and v changed over": lambda k, v, ck, cv, position: _store(v, k, ck, cv, position),
    "a store of the keys in both caches": lambda k, v, ck, cv, position: _store(k, k, ck, cv, position),
    "a store of the keys alone": lambda k, v, ck, cv, position: (_store(k, v, ck, cv, position)[0], cv),
    "a store of the first token alone": lambda k, v, ck, cv, position: _store(k[:1], v[:1], ck, cv, position),
    "a store with the tokens in reverse order": _reversed,
}
