"""Host side of rope.metal."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from metal.tensor import FLOAT32, Gpu, Tensor, require, require_dtype

TURN = 2.0**64  # one whole turn in the kernel's fixed-point angle: it wraps around as an unsigned 64-bit number does


class Rope:
    """Rotary position embedding. See reference/rope.py for the formula and rope.metal for the contract."""

    def __init__(self, gpu: Gpu):
        self._gpu, self._function = gpu, gpu.kernel("m2", "rope")
        self._turns: dict[tuple[float, int, tuple[float, ...]], Tensor] = {}

    def __call__(
        self,
        x: Tensor,
        out: Tensor | None = None,
        *,
        start: int,
        base: float,
        halves: bool = False,
        factors: Sequence[float] = (),
        scale: float = 1.0,
    ) -> Tensor:
        """x (tokens, heads, d), float32, d even; token t stands at position start + t → out like x, which may be x.

        Elements 2i and 2i + 1 of a head make a pair, or i and i + d/2 if `halves`. With `factors` (d/2), pair i turns
        factors[i] times as slowly; what is turned is multiplied by `scale`. Queues one kernel. Raises ValueError on a misfit.
        """
        require(len(x.shape) == 3, f"rope: x must have three dimensions (tokens, heads, d), it has shape {x.shape}")
        tokens, heads, d = x.shape
        require(d % 2 == 0, f"rope: heads of x have {d} elements, which do not pair up")
        require(0 < x.size < 2**32, f"rope: x of shape {x.shape} must have from 1 to 2³² − 1 elements")
        require(0 <= start <= 2**32 - tokens, f"rope: start must be from 0 to 2³² − tokens, got {start}")
        require(base >= 1, f"rope: base must be at least 1, got {base}")
        out = self._gpu.empty(x.shape) if out is None else out
        require(out.shape == x.shape, f"rope: out has shape {out.shape}, x has {x.shape}")
        require_dtype("rope", FLOAT32, x=x, out=out)
        pairs, half = x.size // 2, d // 2
        args = self._gpu.constants("IIIIIf", pairs, heads * half, half, start, int(halves), scale)
        self._gpu.run(self._function, pairs, x, self.table(base, d, factors), out, args)
        return out

    def table(self, base: float, d: int, factors: Sequence[float] = ()) -> Tensor:
        """Turns per position of each pair, in float64 (53 bits: at position p the angle errs by less than p · 2⁻⁵² radians)."""
        key = base, d, tuple(factors)
        if key not in self._turns:
            require(len(factors) in (0, d // 2), f"rope: there are {len(factors)} factors for {d // 2} pairs")
            require(all(0 < f < math.inf for f in factors), "rope: factors must be above 0")
            frequencies = [base ** (-2 * i / d) / f for i, f in enumerate(factors or (1.0,) * (d // 2))]
            turns = [int(f / (2 * math.pi) * TURN) % 2**64 for f in frequencies]  # whole turns change nothing
            self._turns[key] = self._gpu.tensor(np.array(turns, np.uint64))
        return self._turns[key]
