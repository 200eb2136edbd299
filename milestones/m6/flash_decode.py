"""Host side of flash_decode.metal."""

from __future__ import annotations

from metal.tensor import FLOAT32, UINT32, Gpu, Tensor, require, require_dtype
from milestones.m4.kv_store import SUFFIX, require_cache_dtype
from milestones.m6.prepared import require_prepared
from milestones.m6.tuning import tuned, tuning

LARGEST_HEAD = 128
MOST_TOGETHER = 4  # flash_decode_4 is the widest kernel there is


def shared_out(sharing: int) -> tuple[int, int]:
    """How many SIMD-groups the query heads of one cache head are shared out to, and how many each takes (MOST_TOGETHER)."""
    runs = -(-sharing // MOST_TOGETHER)
    return runs, -(-sharing // runs)


class FlashDecode:
    """Attention of one token over a cache, in pieces. See reference/flash_decode.py and flash_decode.metal."""

    def __init__(self, gpu: Gpu, piece: int | None = None):
        self._gpu, self.piece = gpu, piece or tuning(gpu).piece
        require(self.piece % 32 == 0, f"flash_decode: pieces must be a multiple of 32 rows, got {self.piece}")

    def room(self, heads: int, d: int, pieces: int) -> Tensor:
        """A tensor for what the pieces leave."""
        return self._gpu.empty((pieces, heads, d + 2))

    def __call__(
        self, q: Tensor, cache_k: Tensor, cache_v: Tensor, state: Tensor, parts: Tensor, out: Tensor, *, nibbles: int
    ) -> None:
        """q (heads, d), rows 0 … p = state[1] of cache_k and cache_v (capacity, kv_heads, d) → out (heads · d), prepared.

        The keys lie transposed, 32 rows together (`KvCache.tensors`).

        `parts` (`room`) holds the pieces on the way; it must have as many as p + 1 rows make, which is not looked at here: p
        lies on the device. Queues one kernel, two for several pieces. Raises ValueError on a misfit.
        """
        (heads, d), kv_heads = q.shape, cache_k.shape[1]
        require(
            d % 32 == 0 and d <= LARGEST_HEAD,
            f"flash_decode: heads of q have {d} elements; this kernel takes multiples of 32 up to {LARGEST_HEAD}",
        )
        require(heads % kv_heads == 0, f"flash_decode: the cache has {kv_heads} heads, q has {heads}: no multiple of them")
        same = cache_k.shape[1:] == cache_v.shape[1:] == (kv_heads, d)
        require(same, f"flash_decode: rows of the caches have shapes {cache_k.shape[1:]} and {cache_v.shape[1:]}, q {q.shape}")
        require(parts.shape[1:] == (heads, d + 2), f"flash_decode: parts has shape {parts.shape}, q has {q.shape}")
        require_prepared("flash_decode", heads * d, out=out)
        require(state.shape == (2,), f"flash_decode: state must have shape (2,), it has {state.shape}")
        require_dtype("flash_decode", UINT32, state=state)
        require_dtype("flash_decode", FLOAT32, q=q, parts=parts)
        require_cache_dtype("flash_decode", cache_k, cache_v)
        run, pieces = self._gpu.run, parts.shape[0]
        args = self._gpu.constants("IIIfIII", heads, kv_heads, d, d**-0.5, pieces, self.piece, nibbles)
        runs, together = shared_out(heads // kv_heads)
        function = tuned(self._gpu, "flash_decode", f"flash_decode_{together}{SUFFIX[cache_k.dtype]}")
        run(function, pieces * kv_heads * runs * 32, q, cache_k, cache_v, state, parts, out, args)
        if pieces > 1:
            run(tuned(self._gpu, "flash_decode", "merge_pieces"), heads * d, parts, state, out, args)
