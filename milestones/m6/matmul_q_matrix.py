"""Host side of matmul_q_matrix.metal."""

from __future__ import annotations

from metal.tensor import Gpu, Tensor
from milestones.m4.kv_store import SUFFIX
from milestones.m5.repack import Packed
from milestones.m6.matmul_q import checked
from milestones.m6.tuning import tuned


class MatmulQMatrix:
    """MatmulQ on a GPU's matrix unit: the same call, the same result within rounding. See matmul_q_matrix.metal."""

    def __init__(self, gpu: Gpu):
        self._gpu = gpu

    def __call__(self, x: Tensor, weight: Packed, out: Tensor | None = None, *, add: bool = False) -> Tensor:
        """x (m, k) float32 or float16, weight (n, k) packed → out (m, n) float32; with `add` the product is added to what out
        holds.

        Queues one kernel. Raises ValueError on a misfit.
        """
        n, k = weight.shape
        out = checked("matmul_q_matrix", self._gpu, x, weight, out, add)
        m = x.shape[0]
        args = self._gpu.constants("IIIIII", m, n, k // 32, weight.first, weight.step, int(add))
        function = tuned(self._gpu, "matmul_q_matrix", f"matmul_q_matrix_{weight.kind.lower()}{SUFFIX[x.dtype]}")
        self._gpu.run(function, -(-m // 32) * weight.tiles * 32, x, weight.data, out, args)
        return out
