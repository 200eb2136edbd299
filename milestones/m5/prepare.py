"""Host side of prepare.metal."""

from __future__ import annotations

from typing import NamedTuple

from metal.tensor import FLOAT32, Gpu, Tensor, require, require_dtype

NIBBLES = ("Q4_0", "Q4_1")  # kinds whose x is multiplied beforehand


class Prepared(NamedTuple):
    """x ready for products with packed weights: values (k), multiplied for nibbles or not, and the sums of blocks (k / 32)."""

    x: Tensor
    sums: Tensor


class Prepare:
    """x made ready for products with packed weights. See reference/prepare.py and prepare.metal."""

    def __init__(self, gpu: Gpu):
        self._gpu = gpu

    def __call__(self, x: Tensor, kind: str, out: Prepared | None = None) -> Prepared:
        """x (k) float32 → Prepared for a weight of `kind`. Queues one kernel. Raises ValueError on a misfit."""
        require(len(x.shape) == 1, f"prepare: x must have one dimension (k), it has shape {x.shape}")
        require(x.size > 0 and x.size % 32 == 0, f"prepare: x has {x.size} values, which are not whole blocks of 32")
        blocks = x.size // 32
        out = Prepared(self._gpu.empty(x.shape), self._gpu.empty((blocks,))) if out is None else out
        fits = out.x.shape == x.shape and out.sums.shape == (blocks,)
        require(fits, f"prepare: out has shapes {out.x.shape} and {out.sums.shape}, x has {x.shape}")
        require_dtype("prepare", FLOAT32, x=x, out=out.x, sums=out.sums)
        args = self._gpu.constants("II", blocks, int(kind in NIBBLES))
        self._gpu.run(self._gpu.kernel("m5", "prepare"), x.size, x, out.x, out.sums, args)
        return out
