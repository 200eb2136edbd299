"""Host side of norm_head.metal."""

from __future__ import annotations

from metal.tensor import FLOAT32, Gpu, Tensor, require, require_dtype
from milestones.m5.repack import Packed
from milestones.m6.prepared import require_packed, require_prepared
from milestones.m6.tuning import tuned


class NormHead:
    """The last norm and the output head. See reference/norm_head.py and norm_head.metal."""

    def __init__(self, gpu: Gpu):
        self._gpu = gpu

    def __call__(self, x: Tensor, weight: Packed, logits: Tensor, *, eps: float) -> None:
        """x, prepared with the norm's weights → logits (1, n) = norm(x) · weightᵀ. One kernel. ValueError on a misfit."""
        n, width = weight.shape
        require_packed("norm_head", "weight", weight, (n, width))
        require_prepared("norm_head", width, x=x)
        require(logits.shape == (1, n), f"norm_head: logits have shape {logits.shape}, the weight has {n} rows")
        require_dtype("norm_head", FLOAT32, logits=logits)
        name = f"norm_head_{weight.kind.lower()}"
        function = tuned(self._gpu, "norm_head", name)
        self._gpu.run(function, weight.tiles * 32, x, weight.data, logits, self._gpu.constants("IIf", width, n, eps))
