"""Host side of attention.metal."""

from __future__ import annotations

from metal.tensor import FLOAT32, Gpu, Tensor, require, require_dtype

LARGEST_HEAD = 256


class Attention:
    """Causal self-attention. See reference/attention.py for the formula and attention.metal for the contract."""

    def __init__(self, gpu: Gpu):
        self._gpu, self._function = gpu, gpu.kernel("m2", "attention")

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, out: Tensor | None = None) -> Tensor:
        """q (tokens, heads, d), k and v (tokens, kv_heads, d), all float32 → out (tokens, heads, d). Queues one kernel.

        Token t attends to tokens 0 to t; head h reads k and v of head ⌊h / (heads / kv_heads)⌋; d is at most 256. `out` must be
        another tensor than q, k and v. Raises ValueError on a misfit.
        """
        require(len(q.shape) == 3, f"attention: q must have three dimensions (tokens, heads, d), it has shape {q.shape}")
        require(len(k.shape) == 3, f"attention: k must have three dimensions (tokens, heads, d), it has shape {k.shape}")
        require(k.shape == v.shape, f"attention: k has shape {k.shape}, v has {v.shape}")
        (tokens, heads, d), kv_heads = q.shape, k.shape[1]
        require(min(*q.shape, kv_heads) > 0, f"attention: nothing to attend to in q {q.shape} and k {k.shape}")
        require(k.shape[0] == tokens, f"attention: k has {k.shape[0]} tokens, q has {tokens}")
        require(k.shape[2] == d, f"attention: heads of k have {k.shape[2]} elements, those of q have {d}")
        require(d <= LARGEST_HEAD, f"attention: heads of q have {d} elements; this kernel holds at most {LARGEST_HEAD}")
        require(
            heads % kv_heads == 0,
            f"attention: k has {kv_heads} heads, q has {heads}; q heads must be a multiple of k heads",
        )
        out = self._gpu.empty(q.shape) if out is None else out
        require(out.shape == q.shape, f"attention: out has shape {out.shape}, q has {q.shape}")
        require_dtype("attention", FLOAT32, q=q, k=k, v=v, out=out)
        for name, tensor in (("q", q), ("k", k), ("v", v)):
            require(out.buffer is not tensor.buffer, f"attention: out must not be {name}: it is written while {name} is read")
        args = self._gpu.constants("IIIIf", tokens, heads, kv_heads, d, d**-0.5)
        self._gpu.run(self._function, tokens * heads * 32, q, k, v, out, args)
        return out
