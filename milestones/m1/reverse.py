"""Host side of reverse.metal."""

from __future__ import annotations

from metal.tensor import UINT32, Gpu, Tensor, require, require_dtype

LONGEST_ROW = 1024  # values; a row must fit into the kernel's threadgroup memory


class Reverse:
    """Each row back to front. See reference/reverse.py for the formula and reverse.metal for the contract."""

    def __init__(self, gpu: Gpu):
        self._gpu, self._function = gpu, gpu.kernel("m1", "reverse")

    def __call__(self, x: Tensor, out: Tensor | None = None) -> Tensor:
        """x (rows, n) uint32, n at most 1024 → out (rows, n), which may be x. Queues one kernel. Raises ValueError on a misfit.

        Threads for one threadgroup a row where it is 32 wide; a wider one takes several rows, one after the other.
        """
        require(len(x.shape) == 2, f"reverse: x must have two dimensions (rows, n), it has shape {x.shape}")
        rows, n = x.shape
        require(min(rows, n) > 0, f"reverse: x of shape {x.shape} has no elements")
        require(n <= LONGEST_ROW, f"reverse: rows must have at most {LONGEST_ROW} values, x has shape {x.shape}")
        out = self._gpu.empty(x.shape, x.dtype) if out is None else out
        require(out.shape == x.shape, f"reverse: out has shape {out.shape}, x has {x.shape}")
        require_dtype("reverse", UINT32, x=x, out=out)
        self._gpu.run(self._function, rows * 32, x, out, self._gpu.constants("II", rows, n))
        return out
