"""Host side of copy.metal."""

from __future__ import annotations

from metal.tensor import UINT32, Gpu, Tensor, require, require_dtype


class Copy:
    """A copy of whole numbers. See reference/copy.py for the formula and copy.metal for the contract."""

    def __init__(self, gpu: Gpu):
        self._gpu, self._function = gpu, gpu.kernel("m1", "copy")

    def __call__(self, x: Tensor, out: Tensor | None = None) -> Tensor:
        """x (n) uint32 → out (n) uint32. Queues one kernel. Raises ValueError on a misfit."""
        require(len(x.shape) == 1, f"copy: x must have one dimension, it has shape {x.shape}")
        require(0 < x.size < 2**32, f"copy: x must have from 1 to 2³² − 1 elements, it has {x.size}")
        out = self._gpu.empty(x.shape, x.dtype) if out is None else out
        require(out.shape == x.shape, f"copy: out has shape {out.shape}, x has {x.shape}")
        require_dtype("copy", UINT32, x=x, out=out)
        self._gpu.run(self._function, x.size, x, out, self._gpu.constants("I", x.size))
        return out
