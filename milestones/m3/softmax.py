"""Host side of softmax.metal."""

from __future__ import annotations

import math

from metal.tensor import FLOAT32, Gpu, Tensor, require, require_dtype

LARGEST_GROUP = 1024  # threads of a threadgroup, at most


class Softmax:
    """Softmax of each row, with a temperature. See reference/softmax.py for the formula and softmax.metal for the contract."""

    def __init__(self, gpu: Gpu):
        self._gpu, self._function = gpu, gpu.kernel("m3", "softmax")

    def __call__(self, x: Tensor, out: Tensor | None = None, *, temperature: float = 1.0) -> Tensor:
        """x (rows, n) float32, finite → out (rows, n), which may be x: probabilities that sum to 1 in each row.

        `temperature` is above 0: below 1 it sharpens, above 1 it flattens. Queues one kernel. Raises ValueError on a misfit.
        """
        require(len(x.shape) == 2, f"softmax: x must have two dimensions (rows, n), it has shape {x.shape}")
        rows, n = x.shape
        require(min(rows, n) > 0, f"softmax: x of shape {x.shape} has nothing to normalise")
        sharp = math.isfinite(temperature) and temperature >= 2.0**-100  # 1 / temperature must be finite in float32
        require(sharp, f"softmax: temperature must be a finite number from 2⁻¹⁰⁰ on, got {temperature}")
        out = self._gpu.empty(x.shape) if out is None else out
        require(out.shape == x.shape, f"softmax: out has shape {out.shape}, x has {x.shape}")
        require_dtype("softmax", FLOAT32, x=x, out=out)
        args = self._gpu.constants("IIf", rows, n, 1.0 / temperature)
        self._gpu.run(self._function, rows * LARGEST_GROUP, x, out, args)
        return out
