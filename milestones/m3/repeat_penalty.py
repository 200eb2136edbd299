"""Host side of repeat_penalty.metal."""

from __future__ import annotations

import math

import numpy as np

from metal.tensor import FLOAT32, Gpu, Tensor, require, require_dtype


class RepeatPenalty:
    """Makes seen tokens less likely. See reference/repeat_penalty.py for the rule and repeat_penalty.metal for the contract."""

    def __init__(self, gpu: Gpu):
        self._gpu, self._function = gpu, gpu.kernel("m3", "repeat_penalty")

    def __call__(self, x: Tensor, seen: Tensor, out: Tensor | None = None, *, penalty: float) -> Tensor:
        """x (…) float32 finite, seen of x's shape uint8 → out of that shape, which may be x. Queues one kernel.

        `penalty` is above 0; 1 changes nothing, above 1 seen tokens become less likely. Raises ValueError on a misfit.
        """
        require(0 < x.size < 2**32, f"repeat_penalty: x of shape {x.shape} must have from 1 to 2³² − 1 elements")
        require(seen.shape == x.shape, f"repeat_penalty: seen has shape {seen.shape}, x has {x.shape}")
        require(
            math.isfinite(penalty) and penalty > 0,
            f"repeat_penalty: the penalty must be a finite number above 0, got {penalty}",
        )
        out = self._gpu.empty(x.shape) if out is None else out
        require(out.shape == x.shape, f"repeat_penalty: out has shape {out.shape}, x has {x.shape}")
        require_dtype("repeat_penalty", FLOAT32, x=x, out=out)
        require_dtype("repeat_penalty", np.dtype(np.uint8), seen=seen)
        self._gpu.run(self._function, x.size, x, seen, out, self._gpu.constants("If", x.size, penalty))
        return out
