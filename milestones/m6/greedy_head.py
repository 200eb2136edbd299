"""Host side of greedy_head.metal."""

from __future__ import annotations

from metal.tensor import UINT32, Gpu, Tensor, require, require_dtype
from milestones.m5.repack import Packed
from milestones.m6.prepared import require_packed, require_prepared
from milestones.m6.sampling import Chosen
from milestones.m6.tuning import tuned, tuning

MOST = 16  # tiles of a part


class GreedyHead:
    """The last norm, the output head and the likeliest token. See reference/greedy_head.py and greedy_head.metal.

    `span`: how many tiles are one SIMD-group's work, 1 to 16; what the device wants, if not said.
    """

    def __init__(self, gpu: Gpu, span: int | None = None):
        self._gpu, self.span = gpu, tuning(gpu).span if span is None else span
        require(1 <= self.span <= MOST, f"greedy_head: span must be from 1 to {MOST}, got {span}")

    def room(self, weight: Packed) -> Tensor:
        """What one kernel leaves for the other."""
        return self._gpu.empty((4, self._parts(weight)), UINT32)

    def _parts(self, weight: Packed) -> int:
        return -(-weight.tiles // self.span)

    def __call__(self, x: Tensor, weight: Packed, parts: Tensor, chosen: Chosen, *, eps: float) -> None:
        """x, prepared with the norm's weights → chosen: argmax of norm(x) · weightᵀ. Two kernels. ValueError on a misfit."""
        n, width = weight.shape
        count = self._parts(weight)
        require_packed("greedy_head", "weight", weight, (n, width))
        require_prepared("greedy_head", width, x=x)
        require(parts.shape == (4, count), f"greedy_head: parts must have shape (4, {count}), not {parts.shape}")
        require_dtype("greedy_head", UINT32, parts=parts)
        buffers = (x, weight.data, parts, chosen, self._gpu.constants("IIfI", width, n, eps, self.span))
        self._gpu.run(tuned(self._gpu, "greedy_head", f"greedy_head_{weight.kind.lower()}"), count * 32, *buffers)
        self._gpu.run(self._gpu.kernel("m6", "greedy_head", width=64), 32, *buffers)
