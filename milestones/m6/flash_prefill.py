"""Host side of flash_prefill.metal."""

from __future__ import annotations

from metal.tensor import FLOAT32, Gpu, Tensor, require, require_dtype
from milestones.m4.kv_store import FLOAT16, SUFFIX, require_cache_dtype
from milestones.m6.tuning import tuned

LARGEST_HEAD = 128


class FlashPrefill:
    """Attention of a block of tokens over a cache. See reference/flash_prefill.py and flash_prefill.metal."""

    def __init__(self, gpu: Gpu):
        self._gpu = gpu

    def __call__(self, q: Tensor, cache_k: Tensor, cache_v: Tensor, out: Tensor, *, position: int) -> None:
        """q (tokens, heads, d) float32, cache_k and cache_v (capacity, kv_heads, d) → out (tokens, heads, d).

        Both caches are float32 or both float16; out is float32 or float16, which gets the nearest half, infinite beyond ±65504.
        Query t stands at position + t and sees cache rows 0 … position + t. d is even and at most 128. Queues one kernel.
        Raises ValueError on a misfit.
        """
        require(len(q.shape) == 3, f"flash_prefill: q must have three dimensions (tokens, heads, d), it has shape {q.shape}")
        require(len(cache_k.shape) == 3, f"flash_prefill: cache_k must have three dimensions, it has shape {cache_k.shape}")
        (tokens, heads, d), (capacity, kv_heads, width) = q.shape, cache_k.shape
        same = cache_v.shape == cache_k.shape
        require(same, f"flash_prefill: cache_k has shape {cache_k.shape}, cache_v has {cache_v.shape}")
        require(min(q.shape) > 0, f"flash_prefill: there is nothing in q {q.shape}")
        require(min(cache_k.shape) > 0, f"flash_prefill: there is nothing in cache_k {cache_k.shape}")
        require(width == d, f"flash_prefill: heads of the cache have {width} elements, those of q have {d}")
        require(
            d <= LARGEST_HEAD and d % 2 == 0, f"flash_prefill: heads must have an even number of elements up to 128, not {d}"
        )
        require(
            heads % kv_heads == 0,
            f"flash_prefill: the cache has {kv_heads} heads, q has {heads}; q heads must be a multiple of cache heads",
        )
        require(
            0 <= position <= capacity - tokens,
            f"flash_prefill: {tokens} queries at position {position} look past a cache of {capacity} rows",
        )
        require(out.shape == q.shape, f"flash_prefill: out has shape {out.shape}, q has {q.shape}")
        require_dtype("flash_prefill", FLOAT32, q=q)
        require(out.dtype in SUFFIX, f"flash_prefill: out must be float32 or float16, got {out.dtype}")
        require_cache_dtype("flash_prefill", cache_k, cache_v)
        held = q.buffer, cache_k.buffer, cache_v.buffer
        require(
            all(out.buffer is not one for one in held), "flash_prefill: out must not be q or a cache: they are read meanwhile"
        )
        args = self._gpu.constants("IIIIfI", tokens, heads, kv_heads, d, d**-0.5, position)
        name = f"flash_prefill{SUFFIX[cache_k.dtype]}{'_to_f16' if out.dtype == FLOAT16 else ''}"
        function = tuned(self._gpu, "flash_prefill", name)
        self._gpu.run(function, -(-tokens // 32) * heads * 32, q, cache_k, cache_v, out, args)
