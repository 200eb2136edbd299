"""Host side of row_max.metal."""

from __future__ import annotations

from metal.tensor import FLOAT32, Gpu, Tensor, require, require_dtype


class RowMax:
    """The largest element of each row. See reference/row_max.py for the formula and row_max.metal for the contract."""

    def __init__(self, gpu: Gpu):
        self._gpu, self._function = gpu, gpu.kernel("m1", "row_max")

    def __call__(self, x: Tensor, out: Tensor | None = None) -> Tensor:
        """x (rows, n) float32, finite → out (rows) float32. Queues one kernel. Raises ValueError on a misfit.

        Threads for one threadgroup a row where it is 32 wide; a wider one takes several rows, one after the other.
        """
        require(len(x.shape) == 2, f"row_max: x must have two dimensions (rows, n), it has shape {x.shape}")
        rows, n = x.shape
        require(min(rows, n) > 0, f"row_max: there is no largest element in x of shape {x.shape}")
        out = self._gpu.empty((rows,)) if out is None else out
        require(out.shape == (rows,), f"row_max: out has shape {out.shape}, x has {rows} rows")
        require_dtype("row_max", FLOAT32, x=x, out=out)
        self._gpu.run(self._function, rows * 32, x, out, self._gpu.constants("II", rows, n))
        return out
