"""Host side of sample.metal."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from metal.tensor import FLOAT32, UINT32, Gpu, Tensor, require, require_dtype


@dataclass(frozen=True)
class Drawn:
    """What `Sample` queued; valid after `gpu.sync()`."""

    ids: Tensor  # (draws,) uint32
    weights: Tensor  # (n,) float32: the probability of a kept token, 0 of a cut one; not renormalised
    counts: Tensor  # (3,) uint32: tokens left after top-k, after top-p, after min-p


class Sample:
    """Filters and draws. See reference/sample.py for the rules and sample.metal for the contract."""

    def __init__(self, gpu: Gpu):
        self._gpu, self._function = gpu, gpu.kernel("m3", "sample")

    def __call__(
        self,
        p: Tensor,
        order: Tensor | None = None,
        *,
        top_k: int = 0,
        top_p: float = 1.0,
        min_p: float = 0.0,
        seed: int = 0,
        step: int = 0,
        draws: int = 1,
        out: Drawn | None = None,
    ) -> Drawn:
        """p (n,) float32 probabilities, order (n,) uint32 as Argsort gives it → `draws` ids, of steps step, step + 1, …

        `top_k` 0, `top_p` 1 and `min_p` 0 cut nothing; where one of them cuts, `order` is needed. top_k above n keeps all.
        Queues one kernel. Raises ValueError on a misfit.
        """
        require(len(p.shape) == 1 and p.size > 0, f"sample: p must have one dimension and an element, it has shape {p.shape}")
        n, filtered = p.size, 0 < top_k < p.size or top_p < 1 or min_p > 0
        require(top_k >= 0, f"sample: top_k must be 0 (off) or above, got {top_k}")
        require(0 < top_p <= 1, f"sample: top_p must be above 0 and at most 1, got {top_p}")
        require(0 <= min_p <= 1, f"sample: min_p must be from 0 to 1, got {min_p}")
        require(0 <= seed < 2**64, f"sample: the seed must be from 0 to 2⁶⁴ − 1, got {seed}")
        require(draws > 0 and 0 <= step <= 2**64 - draws, f"sample: cannot draw {draws} from step {step} on")
        require(order is not None or not filtered, "sample: top-k, top-p and min-p need `order`")
        require(order is None or order.shape == p.shape, f"sample: order has shape {order and order.shape}, p has {p.shape}")
        require_dtype("sample", FLOAT32, p=p)
        require_dtype("sample", UINT32, **({"order": order} if order is not None else {}))
        drawn = self.room(n, draws) if out is None else out
        shapes = (drawn.ids.shape, drawn.weights.shape, drawn.counts.shape)
        require(
            shapes == ((draws,), (n,), (3,)), f"sample: out has shapes {shapes}, {draws} draws from {n} tokens were asked for"
        )
        low = 0xFFFFFFFF
        keep = (n, int(filtered), min(top_k or n, n), top_p, min_p)
        numbers = (seed & low, seed >> 32, step & low, step >> 32, draws)
        args = self._gpu.device.buffer(struct.pack("<IIIffIIIIIf", *keep, *numbers, 1.0))  # another at every step: not kept
        self._gpu.run(self._function, 1, p, order or p, drawn.weights, drawn.ids, drawn.counts, args)
        return drawn

    def room(self, n: int, draws: int = 1) -> Drawn:
        """Tensors for `out`, to be used again at every step."""
        return Drawn(self._gpu.empty((draws,), UINT32), self._gpu.empty((n,)), self._gpu.empty((3,), UINT32))
