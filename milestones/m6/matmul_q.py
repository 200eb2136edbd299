"""Host side of matmul_q.metal."""

from __future__ import annotations

from metal.tensor import FLOAT32, Gpu, Tensor, require, require_dtype
from milestones.m4.kv_store import SUFFIX
from milestones.m5.matvec_q import KINDS
from milestones.m5.repack import Packed
from milestones.m6.tuning import tuned, tuning


def checked(op: str, gpu: Gpu, x: Tensor, weight: Packed, out: Tensor | None, add: bool) -> Tensor:
    """`out`, or room for the product of x (m, k) with weight (n, k). Raises ValueError on a misfit."""
    n, k = weight.shape
    require(weight.kind in KINDS, f"{op}: there is no product for {weight.kind}, only for {', '.join(KINDS)}")
    require(len(x.shape) == 2, f"{op}: x must have two dimensions (m, k), it has shape {x.shape}")
    require(x.shape[1] == k, f"{op}: rows of weight have {k} values, rows of x have {x.shape[1]}")
    require(x.size > 0, f"{op}: there is no token in x {x.shape}")
    require(out is not None or not add, f"{op}: there is no out to add to")
    out = gpu.empty((x.shape[0], n)) if out is None else out
    require(out.shape == (x.shape[0], n), f"{op}: out has shape {out.shape}, the product has {(x.shape[0], n)}")
    require(x.dtype in SUFFIX, f"{op}: x must be float32 or float16, got {x.dtype}")
    require_dtype(op, FLOAT32, out=out)
    held = x.buffer, weight.data.buffer
    require(
        all(out.buffer is not one for one in held), f"{op}: out must not be x or the weight: it is written while they are read"
    )
    return out


class MatmulQ:
    """x · weightᵀ straight from a packed weight. See reference/matmul_q.py for the formula, matmul_q.metal for the contract."""

    def __init__(self, gpu: Gpu):
        self._gpu = gpu

    def __call__(
        self, x: Tensor, weight: Packed, out: Tensor | None = None, *, add: bool = False, tokens: int | None = None
    ) -> Tensor:
        """x (m, k) float32 or float16, weight (n, k) packed → out (m, n) float32; with `add` the product is added to what out
        holds.

        `tokens` of x are one SIMD-group's work; the device's tuning unless said. Queues one kernel. Raises ValueError
        on a misfit.
        """
        n, k = weight.shape
        out = checked("matmul_q", self._gpu, x, weight, out, add)
        tokens = tuning(self._gpu).tokens if tokens is None else tokens
        right = isinstance(tokens, int) and 0 < tokens < 1 << 32
        require(right, f"matmul_q: a SIMD-group must have at least one token, a whole number of 32 bits, got {tokens}")
        function = tuned(self._gpu, "matmul_q", f"matmul_{weight.kind.lower()}{SUFFIX[x.dtype]}")
        args = self._gpu.constants("IIIIIII", x.shape[0], n, k // 32, weight.first, weight.step, tokens, int(add))
        self._gpu.run(function, -(-x.shape[0] // tokens) * weight.tiles * 32, x, weight.data, out, args)
        return out
