"""m3's sampler, faster where at most 512 tokens may be left: greedy, or with top-k. The choices are m3's, bit for bit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from metal.tensor import Gpu, Tensor
from milestones.m3.sampler import GREEDY, Choice, Sampler, Settings
from milestones.m6.sample_top import MOST, SampleTop


class FastSampler(Sampler):
    """A Sampler that does not sort the row. Without top-k, or with one above 512, it goes m3's way."""

    def __init__(self, gpu: Gpu, vocabulary: int, settings: Settings = GREEDY):
        super().__init__(gpu, vocabulary, settings)
        greedy = settings.temperature == 0
        self._top_k = 1 if greedy else settings.top_k
        self._cuts: dict[str, Any] = {}
        if not greedy:
            self._cuts = {"top_p": settings.top_p, "min_p": settings.min_p, "seed": settings.seed}
        self._sample_top = SampleTop(gpu) if 0 < self._top_k <= MOST else None

    def choose(self, logits: Tensor, ids: Sequence[int], step: int) -> Choice:
        s = self.settings
        if self._sample_top is None:
            return super().choose(logits, ids, step)
        own = None if s.repeat_penalty == 1 else self._softmax(logits, self._own)
        temperature = s.temperature or 1.0
        top = self._sample_top(self._penalise(logits, ids), top_k=self._top_k, temperature=temperature, step=step, **self._cuts)
        self._gpu.sync()
        if top.nonfinite or not top.fits:  # refused there, or all but equal
            return super().choose(logits, ids, step)
        p = top.own if own is None else float(own.numpy()[0, top.id])
        return Choice(top.id, math.log(max(p, 2.0**-149)))
