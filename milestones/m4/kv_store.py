"""Host side of kv_store.metal."""

from __future__ import annotations

import numpy as np

from metal.tensor import FLOAT32, Gpu, Tensor, require, require_dtype

FLOAT16 = np.dtype(np.float16)
SUFFIX = {FLOAT32: "", FLOAT16: "_f16"}  # of the kernel for a cache of that dtype


class KvStore:
    """Writes new tokens' keys and values into a cache. See reference/kv_store.py and kv_store.metal."""

    def __init__(self, gpu: Gpu):
        self._gpu = gpu

    def __call__(self, k: Tensor, v: Tensor, cache_k: Tensor, cache_v: Tensor, *, position: int) -> None:
        """k, v (tokens, kv_heads, d) float32 into cache_k, cache_v (capacity, kv_heads, d) from row `position`.

        Both caches are float32, which get the bits, or both float16, which get the nearest half, ±65504 at most.
        Queues one kernel. Raises ValueError on a misfit, or if the rows do not fit, before anything is written.
        """
        require(len(k.shape) == 3, f"kv_store: k must have three dimensions (tokens, kv_heads, d), it has shape {k.shape}")
        require(v.shape == k.shape, f"kv_store: k has shape {k.shape}, v has {v.shape}")
        require(len(cache_k.shape) == 3, f"kv_store: cache_k must have three dimensions, it has shape {cache_k.shape}")
        require(cache_v.shape == cache_k.shape, f"kv_store: cache_k has shape {cache_k.shape}, cache_v has {cache_v.shape}")
        require(
            cache_k.shape[1:] == k.shape[1:], f"kv_store: rows of the cache are {cache_k.shape[1:]}, rows of k {k.shape[1:]}"
        )
        tokens, capacity = k.shape[0], cache_k.shape[0]
        require(tokens > 0 and position >= 0, f"kv_store: cannot store {tokens} tokens at position {position}")
        require(
            position + tokens <= capacity,
            f"kv_store: {tokens} tokens at position {position} do not fit into a cache of {capacity} rows",
        )
        require_dtype("kv_store", FLOAT32, k=k, v=v)
        require_cache_dtype("kv_store", cache_k, cache_v)
        row = k.shape[1] * k.shape[2]
        args = self._gpu.constants("III", tokens, row, position)
        function = self._gpu.kernel("m4", "kv_store", f"kv_store{SUFFIX[cache_k.dtype]}")
        self._gpu.run(function, tokens * row, k, v, cache_k, cache_v, args)


def require_cache_dtype(op: str, cache_k: Tensor, cache_v: Tensor) -> None:
    """Raises ValueError unless both are float32 or both float16."""
    require(cache_k.dtype in SUFFIX, f"{op}: cache_k must be float32 or float16, got {cache_k.dtype}")
    require(cache_v.dtype == cache_k.dtype, f"{op}: cache_k is {cache_k.dtype}, cache_v is {cache_v.dtype}")
