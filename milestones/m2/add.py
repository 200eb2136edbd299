"""Host side of add.metal."""

from __future__ import annotations

from metal.tensor import FLOAT32, Gpu, Tensor, require, require_dtype


class Add:
    """The residual add. See reference/add.py for the formula and add.metal for the contract."""

    def __init__(self, gpu: Gpu):
        self._gpu, self._function = gpu, gpu.kernel("m2", "add")

    def __call__(self, a: Tensor, b: Tensor, out: Tensor | None = None) -> Tensor:
        """a and b of one shape, float32 → out of that shape, which may be a or b. Queues one kernel.

        Raises ValueError on a misfit.
        """
        require(a.shape == b.shape, f"add: a has shape {a.shape}, b has {b.shape}")
        require(0 < a.size < 2**32, f"add: a of shape {a.shape} must have from 1 to 2³² − 1 elements")
        out = self._gpu.empty(a.shape) if out is None else out
        require(out.shape == a.shape, f"add: out has shape {out.shape}, a has {a.shape}")
        require_dtype("add", FLOAT32, a=a, b=b, out=out)
        self._gpu.run(self._function, a.size, a, b, out, self._gpu.constants("I", a.size))
        return out
