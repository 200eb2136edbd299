"""Host side of project_add.metal."""

from __future__ import annotations

from metal.tensor import FLOAT32, Gpu, Tensor, require, require_dtype
from milestones.m5.repack import Packed
from milestones.m6.prepared import require_packed, require_prepared
from milestones.m6.tuning import tuned


class ProjectAdd:
    """A projection back into the residual stream. See reference/project_add.py and project_add.metal."""

    def __init__(self, gpu: Gpu):
        self._gpu = gpu

    def __call__(self, y: Tensor, weight: Packed, norm: Tensor, x: Tensor, out: Tensor, *, nibbles: int) -> None:
        """x (n) += y (k, prepared) · weightᵀ (n, k); out: the new x times norm (n), prepared for nibbles or not.

        Queues one kernel. Raises ValueError on a misfit.
        """
        n, k = weight.shape
        require_packed("project_add", "weight", weight, (n, k))
        require_prepared("project_add", k, y=y)
        require_prepared("project_add", n, out=out)
        require(x.shape == norm.shape == (n,), f"project_add: weight has {n} rows, x has shape {x.shape}, norm {norm.shape}")
        require_dtype("project_add", FLOAT32, norm=norm, x=x)
        require(out.buffer is not y.buffer, "project_add: out must not be y: it is written while that is read")
        name = f"project_add_{weight.kind.lower()}"
        function = tuned(self._gpu, "project_add", name)
        self._gpu.run(function, n, y, weight.data, norm, x, out, self._gpu.constants("III", n, k // 32, nibbles))
