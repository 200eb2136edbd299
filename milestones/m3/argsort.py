"""Host side of argsort.metal."""

from __future__ import annotations

from metal.tensor import FLOAT32, UINT32, Gpu, Tensor, require, require_dtype
from milestones.m3.softmax import LARGEST_GROUP


class Argsort:
    """Columns of each row, the largest logit's first. See reference/argsort.py for the rule, argsort.metal for the contract."""

    def __init__(self, gpu: Gpu):
        self._gpu, self._function = gpu, gpu.kernel("m3", "argsort")

    def __call__(self, logits: Tensor, out: Tensor | None = None, scratch: Tensor | None = None) -> Tensor:
        """logits (rows, n) float32 → out (rows, n) uint32. Queues one kernel. Raises ValueError on a misfit.

        Ties go to the lower column first; NaN and ±∞ come last. `scratch` is as large as `out` and another tensor.
        """
        require(len(logits.shape) == 2, f"argsort: logits must have two dimensions (rows, n), they have shape {logits.shape}")
        rows, n = logits.shape
        require(min(rows, n) > 0, f"argsort: there is nothing to sort in logits of shape {logits.shape}")
        require_dtype("argsort", FLOAT32, logits=logits)
        out = self._gpu.empty((rows, n), "uint32") if out is None else out
        scratch = self._gpu.empty((rows, n), "uint32") if scratch is None else scratch
        for name, tensor in (("out", out), ("scratch", scratch)):
            require(tensor.shape == (rows, n), f"argsort: {name} has shape {tensor.shape}, logits have {logits.shape}")
        require(out.buffer is not scratch.buffer, "argsort: scratch must not be out: each pass reads one and writes the other")
        require_dtype("argsort", UINT32, out=out, scratch=scratch)
        args = self._gpu.constants("II", rows, n)
        self._gpu.run(self._function, rows * LARGEST_GROUP, logits, out, scratch, args)
        return out
