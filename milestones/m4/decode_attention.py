"""Host side of decode_attention.metal."""

from __future__ import annotations

from metal.tensor import FLOAT32, Gpu, Tensor, require, require_dtype
from milestones.m4.kv_store import SUFFIX, require_cache_dtype

LARGEST_HEAD = 256


class DecodeAttention:
    """Attention of new tokens over a cache. See reference/decode_attention.py and decode_attention.metal."""

    def __init__(self, gpu: Gpu):
        self._gpu = gpu

    def __call__(self, q: Tensor, cache_k: Tensor, cache_v: Tensor, out: Tensor | None = None, *, position: int) -> Tensor:
        """q (tokens, heads, d) float32, cache_k and cache_v (capacity, kv_heads, d) → out (tokens, heads, d) float32.

        Both caches are float32 or both float16; all arithmetic is in float32.
        Query t stands at position + t and sees cache rows 0 … position + t; head h reads head ⌊h / (heads / kv_heads)⌋ of the
        cache. d is at most 256; `out` must be another tensor than the rest. Queues one kernel. Raises ValueError on a misfit.
        """
        require(len(q.shape) == 3, f"decode_attention: q must have three dimensions (tokens, heads, d), it has shape {q.shape}")
        require(len(cache_k.shape) == 3, f"decode_attention: cache_k must have three dimensions, it has shape {cache_k.shape}")
        same = cache_v.shape == cache_k.shape
        require(same, f"decode_attention: cache_k has shape {cache_k.shape}, cache_v has {cache_v.shape}")
        (tokens, heads, d), (capacity, kv_heads, width) = q.shape, cache_k.shape
        require(
            min(*q.shape, *cache_k.shape) > 0, f"decode_attention: nothing to attend to in q {q.shape}, cache {cache_k.shape}"
        )
        require(width == d, f"decode_attention: heads of the cache have {width} elements, those of q have {d}")
        require(d <= LARGEST_HEAD, f"decode_attention: heads of q have {d} elements; this kernel holds at most {LARGEST_HEAD}")
        require(
            heads % kv_heads == 0,
            f"decode_attention: the cache has {kv_heads} heads, q has {heads}; q heads must be a multiple of cache heads",
        )
        require(
            0 <= position <= capacity - tokens,
            f"decode_attention: {tokens} queries at position {position} look past a cache of {capacity} rows",
        )
        out = self._gpu.empty(q.shape) if out is None else out
        require(out.shape == q.shape, f"decode_attention: out has shape {out.shape}, q has {q.shape}")
        require_dtype("decode_attention", FLOAT32, q=q, out=out)
        require_cache_dtype("decode_attention", cache_k, cache_v)
        for name, tensor in (("q", q), ("cache_k", cache_k), ("cache_v", cache_v)):
            require(
                out.buffer is not tensor.buffer, f"decode_attention: out must not be {name}: it is written while that is read"
            )
        args = self._gpu.constants("IIIIfI", tokens, heads, kv_heads, d, d**-0.5, position)
        function = self._gpu.kernel("m4", "decode_attention", f"decode_attention{SUFFIX[cache_k.dtype]}")
        self._gpu.run(function, tokens * heads * 32, q, cache_k, cache_v, out, args)
        return out
