"""Host side of matmul.metal."""

from __future__ import annotations

from metal.tensor import FLOAT32, Gpu, Tensor, require, require_dtype


class Matmul:
    """x · weightᵀ. See reference/matmul.py for the formula and matmul.metal for the contract."""

    def __init__(self, gpu: Gpu):
        self._gpu, self._function = gpu, gpu.kernel("m2", "matmul")

    def __call__(self, x: Tensor, weight: Tensor, out: Tensor | None = None) -> Tensor:
        """x (m, k), weight (n, k) as nn.Linear stores it, both float32 → out (m, n). Queues one kernel.

        `out` must be another tensor than x and weight. Raises ValueError on a misfit.
        """
        require(len(x.shape) == 2, f"matmul: x must have two dimensions (m, k), it has shape {x.shape}")
        require(len(weight.shape) == 2, f"matmul: weight must have two dimensions (n, k), it has shape {weight.shape}")
        (m, k), n = x.shape, weight.shape[0]
        require(weight.shape[1] == k, f"matmul: rows of weight have {weight.shape[1]} elements, rows of x have {k}")
        require(min(m, n, k) > 0, f"matmul: nothing to multiply in x {x.shape} and weight {weight.shape}")
        out = self._gpu.empty((m, n)) if out is None else out
        require(out.shape == (m, n), f"matmul: out has shape {out.shape}, the product has {(m, n)}")
        require_dtype("matmul", FLOAT32, x=x, weight=weight, out=out)
        overlaps = out.buffer is x.buffer or out.buffer is weight.buffer
        require(not overlaps, "matmul: out must not be x or weight: it is written while they are read")
        self._gpu.run(self._function, n * 32, x, weight, out, self._gpu.constants("III", m, n, k))
        return out
