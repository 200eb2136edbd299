"""Host side of kv_store.metal."""

from __future__ import annotations

from metal.tensor import FLOAT32, Gpu, Tensor, require, require_dtype


class KvStore:
    """Writes new tokens' keys and values into a cache. See reference/kv_store.py and kv_store.metal."""

    def __init__(self, gpu: Gpu):
        self._gpu, self._function = gpu, gpu.kernel("m4", "kv_store")

    def __call__(self, k: Tensor, v: Tensor, cache_k: Tensor, cache_v: Tensor, *, position: int) -> None:
        """k, v (tokens, kv_heads, d) into cache_k, cache_v (capacity, kv_heads, d) from row `position`; all float32.

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
        require_dtype("kv_store", FLOAT32, k=k, v=v, cache_k=cache_k, cache_v=cache_v)
        row = k.shape[1] * k.shape[2]
        args = self._gpu.constants("III", tokens, row, position)
        self._gpu.run(self._function, tokens * row, k, v, cache_k, cache_v, args)
