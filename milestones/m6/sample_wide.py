"""Host side of sample_wide.metal."""

from __future__ import annotations

from typing import Any

import numpy as np

from metal.tensor import FLOAT32, UINT32, Gpu, Tensor, require, require_dtype
from milestones.m6.sample_top import PARTS
from milestones.m6.sampling import ARGS, Chosen, Replayed, settings_bytes
from milestones.m6.tuning import tuned

HEAD = 960  # of the 1024 parts' largest, so many reach the threshold; of the columns of a long row then about 1 in 13


class Wide(Chosen):
    """What `SampleWide` queued. `weights` (n): the probability of a kept token, 0 of a cut one."""

    def __init__(self, gpu: Gpu, n: int):
        super().__init__(gpu, 0)
        self.weights = gpu.empty((n,))


class SampleWide:
    """Filters and draws from rows of n logits where any number may be left. See reference/sample_wide.py, sample_wide.metal."""

    def __init__(self, gpu: Gpu, n: int):
        self._gpu, self._n, self._replayed = gpu, n, Replayed(gpu)
        names = {"sample_top": ("maxima", "threshold"), "sample_wide": ("sums", "weights")}
        made = [gpu.kernel("m6", file, f"{file}_{s}", width=64) for file, parts in names.items() for s in parts]
        self._maxima, self._threshold, self._sums, self._weights = made
        self._cut, self._draw = tuned(gpu, "sample_wide", "sample_wide_cut"), tuned(gpu, "sample_wide")
        shapes = {"maxima": (PARTS + 32,), "state": (3,), "keys": (n,), "sums": (64,), "head": (3, n), "cut": (4,)}
        self._room = {name: gpu.empty(shape, UINT32) for name, shape in shapes.items()}
        self._wide = Wide(gpu, n)

    def __call__(
        self,
        logits: Tensor,
        *,
        temperature: float,
        top_k: int = 0,
        top_p: float = 1.0,
        min_p: float = 0.0,
        seed: int = 0,
        step: int = 0,
    ) -> Wide:
        """logits (1, n) float32 → the draw, and what it was drawn from; overwritten by the next call.

        `top_k` 0, `top_p` 1 and `min_p` 0 cut nothing; top_k above n is n. Queues five kernels, six if top_k or top_p cuts.
        Raises ValueError on a misfit.
        """
        asked, n = (id(logits), top_k, temperature, top_p, min_p, seed), self._n
        if not self._replayed.again(asked, step):
            require(logits.shape == (1, n), f"sample_wide: logits must have shape (1, {n}), not {logits.shape}")
            require_dtype("sample_wide", FLOAT32, logits=logits)
            require(top_k >= 0, f"sample_wide: top_k must be 0 (off) or above, got {top_k}")
            k = min(top_k or n, n)
            filtered = 2 if k < n or np.float32(top_p) < 1 else int(np.float32(min_p) > 0)
            cuts: dict[str, Any] = {"top_p": top_p, "min_p": min_p, "temperature": temperature, "seed": seed, "step": step}
            settings = settings_bytes("sample_wide", n, k, filtered=filtered, **cuts)
            self._replayed(asked, (id(logits), filtered), settings, lambda: self._queue(logits, filtered))
        return self._wide

    def _queue(self, logits: Tensor, filtered: int) -> None:
        n, wide, r, args = self._n, self._wide, self._room, self._replayed.args
        high = self._gpu.constants(ARGS, n, min(HEAD, n), *[0] * 9)  # the first two read no more
        made = (r["maxima"], r["state"], r["keys"], r["sums"], r["head"], wide.weights, r["cut"], wide)
        for function, threads, last in (
            (self._maxima, PARTS, high),
            (self._threshold, 32, high),
            (self._sums, PARTS, args),
            (self._weights, PARTS, args),
            *([(self._cut, 1, args)] if filtered == 2 else []),
            (self._draw, 32, args),
        ):
            self._gpu.run(function, threads, logits, *made, last)
