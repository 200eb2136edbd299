"""Host side of rms_norm.metal."""

from __future__ import annotations

from metal.tensor import FLOAT32, Gpu, Tensor, require, require_dtype


class RmsNorm:
    """RMSNorm of each row. See reference/rms_norm.py for the formula and rms_norm.metal for the contract."""

    def __init__(self, gpu: Gpu):
        self._gpu, self._function = gpu, gpu.kernel("m2", "rms_norm")

    def __call__(self, x: Tensor, weight: Tensor, out: Tensor | None = None, *, eps: float) -> Tensor:
        """x (rows, n), weight (n), both float32 → out (rows, n). Queues one kernel. Raises ValueError on a misfit."""
        require(len(x.shape) == 2, f"rms_norm: x must have two dimensions (rows, n), it has shape {x.shape}")
        rows, n = x.shape
        require(weight.shape == (n,), f"rms_norm: weight has shape {weight.shape}, rows of x have {n} elements")
        require(eps >= 0, f"rms_norm: eps must not be negative, got {eps}")
        out = self._gpu.empty(x.shape) if out is None else out
        require(out.shape == x.shape, f"rms_norm: out has shape {out.shape}, x has {x.shape}")
        require_dtype("rms_norm", FLOAT32, x=x, weight=weight, out=out)
        self._gpu.run(self._function, rows * 32, x, weight, out, self._gpu.constants("IIf", rows, n, eps))
        return out
