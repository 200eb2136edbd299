"""Host side of rope_store.metal."""

from __future__ import annotations

import numpy as np

from metal.tensor import FLOAT32, Gpu, Tensor, require, require_dtype
from milestones.m4.kv_store import SUFFIX, require_cache_dtype
from milestones.m6.qkv_rope_store import require_extras


class RopeStore:
    """RoPE on q and k, and the store of k and v. See reference/rope_store.py and rope_store.metal."""

    def __init__(self, gpu: Gpu):
        self._gpu = gpu

    def __call__(
        self,
        qkv: Tensor,
        turns: Tensor,
        q: Tensor,
        cache_k: Tensor,
        cache_v: Tensor,
        *,
        position: int,
        halves: bool,
        bias: Tensor | None = None,
        norms: Tensor | None = None,
        eps: float = 0.0,
        scale: float = 1.0,
    ) -> None:
        """qkv (tokens, (heads + 2 kv_heads) d), turns (d / 2), m2's → q (tokens, heads, d) and rows of the caches.

        Token t stands at position + t, and so do its rows. Pairs are neighbours in qkv; with `halves` they are i and i + d/2 in
        what is written. `bias` ((heads + 2 kv_heads) d) is added, and heads of q and k are normed with `norms` (2, d) and
        `eps`, where there are any: both in the order of what is written. What is turned is multiplied by `scale`. Queues one
        kernel. Raises ValueError on a misfit.
        """
        require(len(q.shape) == 3, f"rope_store: q must have three dimensions (tokens, heads, d), it has shape {q.shape}")
        require(len(cache_k.shape) == 3, f"rope_store: cache_k must have three dimensions, it has shape {cache_k.shape}")
        (tokens, heads, d), (capacity, kv_heads, width) = q.shape, cache_k.shape
        same = cache_v.shape == cache_k.shape
        require(same, f"rope_store: cache_k has shape {cache_k.shape}, cache_v has {cache_v.shape}")
        require(
            width == d and d % 2 == 0, f"rope_store: heads of q have {d} elements, those of the cache {width}, an even number"
        )
        columns = (heads + 2 * kv_heads) * d
        require(qkv.shape == (tokens, columns), f"rope_store: qkv has shape {qkv.shape}, expected {(tokens, columns)}")
        require_extras("rope_store", bias, norms, columns, d)
        require(turns.shape == (d // 2,), f"rope_store: turns have shape {turns.shape}, heads have {d // 2} pairs")
        require(
            0 <= position <= capacity - tokens,
            f"rope_store: {tokens} rows at {position} do not fit into a cache of {capacity} rows",
        )
        require_dtype("rope_store", FLOAT32, qkv=qkv, q=q)
        require_dtype("rope_store", np.dtype(np.uint64), turns=turns)
        require_cache_dtype("rope_store", cache_k, cache_v)
        has = int(bias is not None), int(norms is not None)
        sizes = tokens, heads * d, kv_heads * d, d, position, int(halves)
        args = self._gpu.constants("IIIIIIffII", *sizes, eps, scale, *has)
        function = self._gpu.kernel("m6", "rope_store", f"rope_store{SUFFIX[cache_k.dtype]}")
        extras = (bias or qkv, norms or qkv)  # where there are none, qkv stands in their place, and is not read as such
        self._gpu.run(function, tokens * (heads + 2 * kv_heads) * 32, qkv, turns, q, cache_k, cache_v, *extras, args)
