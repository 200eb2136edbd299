"""Host side of gate_up_swiglu.metal."""

from __future__ import annotations

from metal.tensor import Gpu, Tensor, require
from milestones.m5.repack import Packed
from milestones.m6.prepared import require_packed, require_prepared
from milestones.m6.tuning import tuned


class GateUpSwiglu:
    """The hidden layer of the feed-forward part. See reference/gate_up_swiglu.py and gate_up_swiglu.metal."""

    def __init__(self, gpu: Gpu):
        self._gpu = gpu

    def __call__(self, x: Tensor, gate: Packed, up: Packed, out: Tensor, *, eps: float, nibbles: int) -> None:
        """x, prepared; gate and up (ffn, width), whose tiles take turns in one tensor → out (ffn), prepared for nibbles or not.

        Queues one kernel. Raises ValueError on a misfit.
        """
        ffn, width = gate.shape
        require_packed("gate_up_swiglu", "gate", gate, (ffn, width))
        require_packed("gate_up_swiglu", "up", up, (ffn, width))
        turns = gate.data is up.data and gate.kind == up.kind and (gate.first, up.first, gate.step, up.step) == (0, 1, 2, 2)
        require(turns, "gate_up_swiglu: the tiles of gate and up must take turns in one tensor")
        require_prepared("gate_up_swiglu", width, x=x)
        require_prepared("gate_up_swiglu", ffn, out=out)
        require(out.buffer is not x.buffer, "gate_up_swiglu: out must not be x: it is written while that is read")
        name = f"gate_up_swiglu_{gate.kind.lower()}"
        function = tuned(self._gpu, "gate_up_swiglu", name)
        self._gpu.run(function, ffn, x, gate.data, out, self._gpu.constants("IIfI", width, ffn, eps, nibbles))
