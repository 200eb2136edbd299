"""Host side of sample_top.metal."""

from __future__ import annotations

from typing import Any

from metal.tensor import FLOAT32, UINT32, Gpu, Tensor, require, require_dtype
from milestones.m6.sampling import Chosen, Replayed, settings_bytes

PARTS = 1024  # threads that look for the largest; each has a part of the columns
MOST = 512  # top_k: with more, the threshold is so low that there may be thousands of candidates
ROOM = 2048  # candidates


class Top(Chosen):
    """What `SampleTop` queued. `order` and `p`: the k largest columns and their probabilities."""

    def __init__(self, gpu: Gpu):
        super().__init__(gpu, ROOM)
        self.order, self.p = gpu.empty((MOST,), UINT32), gpu.empty((MOST,))


class SampleTop:
    """Filters and draws where top-k is on. See reference/sample.py for the rules and sample_top.metal for the contract."""

    def __init__(self, gpu: Gpu):
        self._gpu, self._replayed = gpu, Replayed(gpu)
        names = ("sample_top_maxima", "sample_top_threshold", "sample_top_sums", "sample_top")
        self._kernels = [gpu.kernel("m6", "sample_top", name, width=64) for name in names]  # few threads: spread them
        self._maxima, self._state = gpu.empty((PARTS + 32,), UINT32), gpu.empty((3,), UINT32)
        self._candidates, self._kept = gpu.empty((ROOM,), UINT32), gpu.empty((2, MOST), UINT32)
        self._sums = gpu.empty((2, 32))
        self._top = Top(gpu)

    def __call__(
        self,
        logits: Tensor,
        *,
        top_k: int,
        temperature: float,
        top_p: float = 1.0,
        min_p: float = 0.0,
        seed: int = 0,
        step: int = 0,
    ) -> Top:
        """logits (1, n) float32 → the draw, and what it was drawn from; overwritten by the next call. Queues four kernels.

        top_k from 1 to 512; above n it is n. Raises ValueError on a misfit.
        """
        asked = (id(logits), top_k, temperature, top_p, min_p, seed)
        if not self._replayed.again(asked, step):
            row = len(logits.shape) == 2 and logits.shape[0] == 1
            require(row, f"sample_top: logits must have shape (1, n), not {logits.shape}")
            require(1 <= top_k <= MOST, f"sample_top: top_k must be from 1 to {MOST}, got {top_k}")
            require_dtype("sample_top", FLOAT32, logits=logits)
            n = logits.size
            cuts: dict[str, Any] = {"top_p": top_p, "min_p": min_p, "temperature": temperature, "seed": seed, "step": step}
            settings = settings_bytes("sample_top", n, min(top_k, n), **cuts)
            self._replayed(asked, id(logits), settings, lambda: self._queue(logits))
        return self._top

    def _queue(self, logits: Tensor) -> None:
        top = self._top
        made = (self._maxima, self._state, self._candidates, self._sums, top.order, top.p, self._kept, top)
        for function, threads in zip(self._kernels, (PARTS, 32, PARTS, 32), strict=True):
            self._gpu.run(function, threads, logits, *made, self._replayed.args)
