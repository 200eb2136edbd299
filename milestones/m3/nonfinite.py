"""Host side of nonfinite.metal."""

from __future__ import annotations

from metal.tensor import FLOAT32, UINT32, Gpu, Tensor, require, require_dtype


class Nonfinite:
    """Counts NaNs and infinities. See reference/nonfinite.py for the rule and nonfinite.metal for the contract."""

    def __init__(self, gpu: Gpu):
        self._gpu, self._function = gpu, gpu.kernel("m3", "nonfinite")

    def __call__(self, x: Tensor, out: Tensor | None = None) -> Tensor:
        """x (rows, n) float32 → out (rows,) uint32. Queues one kernel. Raises ValueError on a misfit."""
        require(len(x.shape) == 2, f"nonfinite: x must have two dimensions (rows, n), it has shape {x.shape}")
        rows, n = x.shape
        require(min(rows, n) > 0, f"nonfinite: there is nothing to count in x of shape {x.shape}")
        require_dtype("nonfinite", FLOAT32, x=x)
        out = self._gpu.empty((rows,), UINT32) if out is None else out
        require(out.shape == (rows,), f"nonfinite: out has shape {out.shape}, x has {rows} rows")
        require_dtype("nonfinite", UINT32, out=out)
        self._gpu.run(self._function, rows * 32, x, out, self._gpu.constants("II", rows, n))
        return out
