"""Host side of qkv_rope_store.metal."""

from __future__ import annotations

from dataclasses import dataclass

from metal.tensor import FLOAT32, UINT32, Gpu, Tensor, require, require_dtype
from milestones.m4.kv_store import SUFFIX, require_cache_dtype
from milestones.m5.matvec_q import KINDS
from milestones.m6.prepared import require_prepared
from milestones.m6.tuning import tuned

LARGEST_NORMED = 128  # elements of a head that one SIMD-group keeps


@dataclass(frozen=True)
class Qkv:
    """q's, k's and v's rows in one tensor, q's tiles first; heads of q and k have RoPE's pairs together.

    `bias` ((heads + 2 kv_heads) d) and `norms` (2, d), q's heads' and k's, are in the model's own order; None: it has none.
    """

    data: Tensor
    kind: str
    width: int
    heads: int
    kv_heads: int
    d: int
    bias: Tensor | None = None
    norms: Tensor | None = None


def require_extras(op: str, bias: Tensor | None, norms: Tensor | None, rows: int, d: int) -> None:
    """Raises ValueError unless the biases, where there are any, are as many as `rows`, and the norms two of heads of d."""
    if bias is not None:
        require(bias.shape == (rows,), f"{op}: bias has shape {bias.shape}, expected {(rows,)}")
        require_dtype(op, FLOAT32, bias=bias)
    if norms is not None:
        require(norms.shape == (2, d), f"{op}: norms have shape {norms.shape}, expected {(2, d)}")
        require_dtype(op, FLOAT32, norms=norms)


class QkvRopeStore:
    """One token's query, key and value. See reference/qkv_rope_store.py and qkv_rope_store.metal."""

    def __init__(self, gpu: Gpu):
        self._gpu = gpu

    def __call__(
        self,
        x: Tensor,
        weight: Qkv,
        turns: Tensor,
        state: Tensor,
        q: Tensor,
        cache_k: Tensor,
        cache_v: Tensor,
        *,
        eps: float,
        halves: bool = False,
        scale: float = 1.0,
    ) -> None:
        """x, prepared → q (heads, d), and row state[1] of cache_k and cache_v (capacity, kv_heads, d), float32 or float16.

        The keys lie transposed, 32 rows together (`KvCache.tensors`).
        `turns` (d / 2) uint64 as m2's Rope makes it; what is turned is multiplied by `scale`. `eps` is that of the norm before
        and of the heads' norms. Queues one kernel. Raises ValueError on a misfit.
        """
        w, wide, narrow = weight, weight.heads * weight.d, weight.kv_heads * weight.d
        require(w.kind in KINDS, f"qkv_rope_store: there is no product for {w.kind}, only for {', '.join(KINDS)}")
        require_prepared("qkv_rope_store", w.width, x=x)
        whole = wide % 32 == 0 and narrow % 32 == 0 and w.d % 2 == 0
        require(whole, f"qkv_rope_store: {w.heads} and {w.kv_heads} heads of {w.d} are not whole tiles of 32 rows")
        fits = w.norms is None or (w.d % 32 == 0 and w.d <= LARGEST_NORMED)
        require(fits, f"qkv_rope_store: heads of {w.d} cannot be normed, only multiples of 32 up to {LARGEST_NORMED}")
        require_extras("qkv_rope_store", w.bias, w.norms, wide + 2 * narrow, w.d)
        require(turns.shape == (w.d // 2,), f"qkv_rope_store: turns has shape {turns.shape}, heads have {w.d} elements")
        require(q.shape == (w.heads, w.d), f"qkv_rope_store: q has shape {q.shape}, expected {(w.heads, w.d)}")
        rows = cache_k.shape[1:] == cache_v.shape[1:] == (w.kv_heads, w.d)
        require(rows, f"qkv_rope_store: rows of the caches have shapes {cache_k.shape[1:]} and {cache_v.shape[1:]}")
        require(state.shape == (2,), f"qkv_rope_store: state must have shape (2,), it has {state.shape}")
        require_dtype("qkv_rope_store", UINT32, state=state)
        require_dtype("qkv_rope_store", FLOAT32, q=q)
        require_cache_dtype("qkv_rope_store", cache_k, cache_v)
        variant = "_normed" if w.norms else "_biased" if w.bias else ""
        name = f"qkv_rope_store_{w.kind.lower()}{variant}{SUFFIX[cache_k.dtype]}"
        function = tuned(self._gpu, "qkv_rope_store", name)
        args = self._gpu.constants("IIIIffII", w.width, wide, narrow, w.d, eps, scale, int(halves), int(w.bias is not None))
        threads = (wide + 2 * narrow) // (w.d if w.norms else 32) * 32
        extras = (
            (w.bias or x, w.norms or x) if variant else ()
        )  # x stands in the place of one that is not there, and is not read
        self._gpu.run(function, threads, x, w.data, turns, state, q, cache_k, cache_v, args, *extras)
