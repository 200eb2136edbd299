"""m3's sampler without a sort of the row. The choices are m3's, bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from metal.tensor import Gpu, Tensor
from milestones.m3.sampler import GREEDY, Choice, Sampler, Settings
from milestones.m6.sample_top import MOST, SampleTop
from milestones.m6.sample_wide import SampleWide
from milestones.m6.sampling import Chosen


class FastSampler(Sampler):
    """A Sampler that does not sort the row: `SampleTop` where at most 512 tokens may be left, greedy or by top-k, else
    `SampleWide`. Rows of which neither can tell (8,193 equal logits, say) go m3's way."""

    def __init__(self, gpu: Gpu, vocabulary: int, settings: Settings = GREEDY):
        super().__init__(gpu, vocabulary, settings, later=True)  # only rows that are refused or sorted need m3's kernels
        greedy = settings.temperature == 0
        self._cuts: dict[str, Any] = {"top_k": 1 if greedy else settings.top_k, "temperature": settings.temperature or 1.0}
        if not greedy:
            self._cuts |= {"top_p": settings.top_p, "min_p": settings.min_p, "seed": settings.seed}
        self._sample_top = SampleTop(gpu) if 0 < self._cuts["top_k"] <= MOST else None

    @cached_property
    def _sample_wide(self) -> SampleWide:
        return SampleWide(self._gpu, self._n)

    def choose(self, logits: Tensor, ids: Sequence[int], step: int) -> Choice:
        """As m3's; or what the model chose by itself, where that is what the settings say."""
        if isinstance(logits, Chosen):
            self._gpu.sync()
            self._refuse(logits.nonfinite)
            return Choice.of(logits.id, logits.own)
        own, penalised, found = None, logits, None
        if self.settings.repeat_penalty != 1 or logits.shape != (1, self._n):  # another shape is refused there, in words
            penalised, own = self._penalise(logits, ids), self._kernels.softmax(logits, self._kernels.own)
        if self._sample_top is not None:
            found = self._told(self._sample_top(penalised, step=step, **self._cuts))
        if found is None:
            found = self._told(self._sample_wide(penalised, step=step, **self._cuts))
        if found is None:  # refused there, or sorted
            return super().choose(logits, ids, step)
        p = found.own if own is None else float(own.numpy()[0, found.id])
        return Choice.of(found.id, p)

    def _told(self, found: Chosen) -> Chosen | None:
        """What a kernel found, if it could tell; waits for it."""
        self._gpu.sync()
        return None if found.nonfinite or not found.told else found
