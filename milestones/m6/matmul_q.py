"""Host side of matmul_q.metal."""

from __future__ import annotations

from metal.tensor import FLOAT32, Gpu, Tensor, require, require_dtype
from milestones.m5.matvec_q import KINDS
from milestones.m5.repack import Packed
from milestones.m6.tuning import tuned, tuning


class MatmulQ:
    """x · weightᵀ straight from a packed weight. See reference/matmul_q.py for the formula, matmul_q.metal for the contract."""

    def __init__(self, gpu: Gpu):
        self._gpu = gpu

    def __call__(
        self, x: Tensor, weight: Packed, out: Tensor | None = None, *, add: bool = False, tokens: int | None = None
    ) -> Tensor:
        """x (m, k) float32, weight (n, k) packed → out (m, n) float32; with `add` the product is added to what out holds.

        `tokens` of x are one SIMD-group's work; the device's tuning unless said. Queues one kernel. Raises ValueError
        on a misfit.
        """
        n, k = weight.shape
        require(weight.kind in KINDS, f"matmul_q: there is no product for {weight.kind}, only for {', '.join(KINDS)}")
        require(len(x.shape) == 2, f"matmul_q: x must have two dimensions (m, k), it has shape {x.shape}")
        require(x.shape[1] == k, f"matmul_q: rows of weight have {k} values, rows of x have {x.shape[1]}")
        require(x.size > 0, f"matmul_q: there is no token in x {x.shape}")
        require(out is not None or not add, "matmul_q: there is no out to add to")
        out = self._gpu.empty((x.shape[0], n)) if out is None else out
        require(out.shape == (x.shape[0], n), f"matmul_q: out has shape {out.shape}, the product has {(x.shape[0], n)}")
        require_dtype("matmul_q", FLOAT32, x=x, out=out)
        require(out.buffer is not x.buffer, "matmul_q: out must not be x: it is written while that is read")
        tokens = tuning(self._gpu).tokens if tokens is None else tokens
        require(tokens > 0, f"matmul_q: a SIMD-group must have at least one token, got {tokens}")
        function = tuned(self._gpu, "matmul_q", f"matmul_{weight.kind.lower()}")
        args = self._gpu.constants("IIIIIII", x.shape[0], n, k // 32, weight.first, weight.step, tokens, int(add))
        self._gpu.run(function, -(-x.shape[0] // tokens) * weight.tiles * 32, x, weight.data, out, args)
        return out
