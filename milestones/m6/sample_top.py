"""Host side of sample_top.metal."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from metal.tensor import FLOAT32, UINT32, Gpu, Tensor, require, require_dtype

PARTS = 1024  # threads that look for the largest; each has a part of the columns
MOST = 512  # top_k: with more, the threshold is so low that there may be thousands of candidates
ROOM = 2048  # candidates
ARGS = "IIfffIIIIIf"  # sampling.h


def settings_bytes(
    op: str,
    n: int,
    top_k: int,
    *,
    top_p: float,
    min_p: float,
    temperature: float,
    seed: int,
    step: int,
    filtered: bool = True,
) -> bytes:
    """sampling.h's Args. Raises ValueError naming the setting that is out of range."""
    require(temperature > 0, f"{op}: the temperature must be above 0, got {temperature}")
    require(0 < top_p <= 1, f"{op}: top_p must be above 0 and at most 1, got {top_p}")
    require(0 <= min_p <= 1, f"{op}: min_p must be from 0 to 1, got {min_p}")
    require(0 <= seed < 2**64 and 0 <= step < 2**64, f"{op}: seed {seed} or step {step} is not from 0 to 2⁶⁴ − 1")
    low = 0xFFFFFFFF
    draw = (seed & low, seed >> 32, step & low, step >> 32)
    return struct.pack("<" + ARGS, n, top_k, top_p, min_p, 1 / temperature, *draw, filtered, 1.0)


class Chosen(Tensor):
    """A choice that was queued, (4) uint32; valid after `gpu.sync()`."""

    def __init__(self, gpu: Gpu, most: int):
        super().__init__(gpu.empty((4,), UINT32).buffer, (4,), UINT32)
        self._most = most

    @property
    def id(self) -> int:
        return int(self.numpy()[0])

    @property
    def own(self) -> float:
        """The id's probability in the model's own distribution, at temperature 1."""
        return float(self.numpy().view(np.float32)[1])

    @property
    def nonfinite(self) -> int:
        return int(self.numpy()[2])

    @property
    def told(self) -> bool:
        """Whether the kernel could tell. If not, only `nonfinite` is valid."""
        return int(self.numpy()[3]) <= self._most


class Top(Chosen):
    """What `SampleTop` queued. `order` and `p`: the k largest columns and their probabilities."""

    def __init__(self, gpu: Gpu):
        super().__init__(gpu, ROOM)
        self.order, self.p = gpu.empty((MOST,), UINT32), gpu.empty((MOST,))


class SampleTop:
    """Filters and draws where top-k is on. See reference/sample.py for the rules and sample_top.metal for the contract."""

    def __init__(self, gpu: Gpu):
        self._gpu = gpu
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
        require(
            len(logits.shape) == 2 and logits.shape[0] == 1, f"sample_top: logits must have shape (1, n), not {logits.shape}"
        )
        require(1 <= top_k <= MOST, f"sample_top: top_k must be from 1 to {MOST}, got {top_k}")
        require_dtype("sample_top", FLOAT32, logits=logits)
        n, top = logits.size, self._top
        cuts: dict[str, Any] = {"top_p": top_p, "min_p": min_p, "temperature": temperature, "seed": seed, "step": step}
        args = self._gpu.device.buffer(settings_bytes("sample_top", n, min(top_k, n), **cuts))  # others at every step
        buffers = (
            logits,
            self._maxima,
            self._state,
            self._candidates,
            self._sums,
            top.order,
            top.p,
            self._kept,
            top,
            args,
        )
        for function, threads in zip(self._kernels, (PARTS, 32, PARTS, 32), strict=True):
            self._gpu.run(function, threads, *buffers)
        return top
