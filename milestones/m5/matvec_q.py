"""Host side of matvec_q.metal."""

from __future__ import annotations

from metal.tensor import FLOAT32, Gpu, Tensor, require, require_dtype
from milestones.m5.prepare import Prepare, Prepared
from milestones.m5.repack import Packed

KINDS = ("Q4_0", "Q4_1", "Q8_0")  # that there are products for


class MatvecQ:
    """A packed weight times one vector. See reference/matvec_q.py for the formula, matvec_q.metal for the contract."""

    def __init__(self, gpu: Gpu):
        self._gpu, self._prepare = gpu, Prepare(gpu)

    def __call__(self, x: Tensor | Prepared, weight: Packed, out: Tensor | None = None) -> Tensor:
        """x (k) float32, or prepared for the weight's kind; weight (n, k) packed → out (n) float32.

        Queues one kernel, and `prepare` before it for an x that is not prepared. Raises ValueError on a misfit.
        """
        n, k = weight.shape
        require(weight.kind in KINDS, f"matvec_q: there is no product for {weight.kind}, only for {', '.join(KINDS)}")
        require(weight.first == 0 and weight.step == 1, "matvec_q: weight must have its tiles to itself")
        given = x.x if isinstance(x, Prepared) else x
        require(given.shape == (k,), f"matvec_q: rows of weight have {k} values, x has shape {given.shape}")
        x = x if isinstance(x, Prepared) else self._prepare(x, weight.kind)
        out = self._gpu.empty((n,)) if out is None else out
        require(out.shape == (n,), f"matvec_q: out has shape {out.shape}, the product has {n} values")
        require_dtype("matvec_q", FLOAT32, x=x.x, out=out)
        require(out.buffer is not x.x.buffer, "matvec_q: out must not be x: it is written while that is read")
        function = self._gpu.kernel("m5", "matvec_q", f"matvec_{weight.kind.lower()}")
        self._gpu.run(function, weight.tiles * 32, *x, weight.data, out, self._gpu.constants("II", n, k // 32))
        return out
