"""Host side of norm_half.metal."""

from __future__ import annotations

import math

from metal.tensor import FLOAT32, Gpu, Tensor, require, require_dtype
from milestones.m4.kv_store import FLOAT16
from milestones.m6.tuning import tuned


class NormHalf:
    """RMSNorm of each row, stored as halves. See reference/norm_half.py for the formula, norm_half.metal for the contract."""

    def __init__(self, gpu: Gpu):
        self._gpu = gpu

    def __call__(self, x: Tensor, weight: Tensor, out: Tensor, *, eps: float) -> Tensor:
        """x (rows, n), weight (n), both float32 → out (rows, n) float16, infinite beyond ±65504.

        Queues one kernel. Raises ValueError on a misfit.
        """
        require(len(x.shape) == 2, f"norm_half: x must have two dimensions (rows, n), it has shape {x.shape}")
        rows, n = x.shape
        require(weight.shape == (n,), f"norm_half: weight has shape {weight.shape}, rows of x have {n} elements")
        require(x.size > 0, f"norm_half: there is nothing in x {x.shape}")
        require(0 <= eps < math.inf, f"norm_half: eps must be a number from 0 on, got {eps}")
        require(out.shape == x.shape, f"norm_half: out has shape {out.shape}, x has {x.shape}")
        require_dtype("norm_half", FLOAT32, x=x, weight=weight)
        require_dtype("norm_half", FLOAT16, out=out)
        held = x.buffer, weight.buffer
        require(
            all(out.buffer is not one for one in held),
            "norm_half: out must not be x or weight: it is written while they are read",
        )
        function = tuned(self._gpu, "norm_half")
        self._gpu.run(function, rows * 32, x, weight, out, self._gpu.constants("IIf", rows, n, eps))
        return out
