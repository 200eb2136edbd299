"""From a row of logits to a token: repetition penalty → temperature → top-k → top-p → min-p → draw, each step a kernel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metal.tensor import UINT32, Gpu, Tensor, require
from milestones.errors import UserError
from milestones.m3.argmax import Argmax
from milestones.m3.argsort import Argsort
from milestones.m3.nonfinite import Nonfinite
from milestones.m3.repeat_penalty import RepeatPenalty
from milestones.m3.sample import Drawn, Sample
from milestones.m3.softmax import Softmax


def _check(fine: bool, problem: str) -> None:
    if not fine:
        raise UserError(problem)


@dataclass(frozen=True)
class Settings:
    """How to choose. The defaults are greedy: temperature 0 is argmax, and nothing is cut.

    Raises UserError naming the setting that is out of range.
    """

    temperature: float = 0.0  # 0, or above: below 1 sharpens the distribution, above 1 flattens it
    top_k: int = 0  # keep the k likeliest tokens; 0 keeps all
    top_p: float = 1.0  # keep the likeliest tokens whose probabilities reach p together; 1 keeps all
    min_p: float = 0.0  # keep tokens at least so likely as this part of the likeliest; 0 keeps all
    repeat_penalty: float = 1.0  # above 1, tokens that were there already become less likely
    seed: int = 0

    def __post_init__(self) -> None:
        tempered = self.temperature == 0 or 1e-30 <= self.temperature <= 1e30
        _check(tempered, f"the temperature must be 0 (greedy) or a number from 1e-30 to 1e30, got {self.temperature}")
        whole = type(self.top_k) is int and type(self.seed) is int
        _check(whole, f"top-k and the seed must be whole numbers, got {self.top_k} and {self.seed}")
        _check(self.top_k >= 0, f"top-k must be 0 (off) or above, got {self.top_k}")
        _check(0 < self.top_p <= 1, f"top-p must be above 0 and at most 1 (off), got {self.top_p}")
        _check(0 <= self.min_p <= 1, f"min-p must be from 0 (off) to 1, got {self.min_p}")
        penalised = 1e-6 <= self.repeat_penalty <= 1e6
        _check(penalised, f"the repetition penalty must be from 1e-6 to 1e6 (1 is off), got {self.repeat_penalty}")
        _check(0 <= self.seed < 2**64, f"the seed must be from 0 to 2⁶⁴ − 1, got {self.seed}")

    @property
    def cuts(self) -> bool:
        """Whether top-k, top-p or min-p may cut a token."""
        return self.top_k > 0 or self.top_p < 1 or self.min_p > 0

    @property
    def likeliest(self) -> bool:
        """Whether the choice is the model's own likeliest token: nothing is drawn, nothing penalised."""
        return self.temperature == 0 and self.repeat_penalty == 1


GREEDY = Settings()


@dataclass(frozen=True)
class Choice:
    """A chosen token. `logprob`: natural log of its probability in the model's own distribution, before any setting."""

    id: int
    logprob: float

    @classmethod
    def of(cls, id: int, p: float) -> Choice:
        """From its probability; one that is 0 in float32 counts as the smallest float."""
        return cls(id, math.log(max(p, 2.0**-149)))


class Kernels:
    """m3's kernels, and the tensors that they leave for each other."""

    def __init__(self, gpu: Gpu, n: int):
        self.nonfinite, self.softmax, self.argmax = Nonfinite(gpu), Softmax(gpu), Argmax(gpu)
        self.penalty, self.argsort, self.sample = RepeatPenalty(gpu), Argsort(gpu), Sample(gpu)
        self.bad, self.winner = gpu.empty((1,), UINT32), gpu.empty((1,), UINT32)
        self.own, self.penalised, self.p = (gpu.empty((1, n)) for _ in range(3))
        self.order, self.scratch = (gpu.empty((1, n), UINT32) for _ in range(2))
        self.seen = gpu.empty((1, n), np.uint8)
        self.drawn = self.sample.room(n)


class Sampler:
    """Chooses tokens from rows of `vocabulary` logits by one `Settings`."""

    def __init__(self, gpu: Gpu, vocabulary: int, settings: Settings = GREEDY, *, later: bool = False):
        """With `later`, the kernels are not made ready now but when they are first used."""
        self._gpu, self._n, self.settings = gpu, vocabulary, settings
        self._held = None if later else Kernels(gpu, vocabulary)

    @property
    def _kernels(self) -> Kernels:
        self._held = self._held or Kernels(self._gpu, self._n)
        return self._held

    def choose(self, logits: Tensor, ids: Sequence[int], step: int) -> Choice:
        """The token after `ids` (prompt and generated ones: the penalty covers both). logits (1, vocabulary) float32.

        `step` numbers the draws of one text: the same seed and step make the same draw. Waits for the device. Raises UserError
        if a logit is NaN or infinite, before the penalty or behind it: what such a model says is no text.
        """
        m3, penalised = self._kernels, self._penalise(logits, ids)
        m3.nonfinite(penalised, m3.bad)
        own = m3.softmax(logits, m3.own)
        greedy = self.settings.temperature == 0
        winner = m3.argmax(penalised, m3.winner) if greedy else self._draw(penalised, step).ids
        self._gpu.sync()
        self._refuse(int(m3.bad.numpy()[0]))
        chosen = int(winner.numpy()[0])
        return Choice.of(chosen, float(own.numpy()[0, chosen]))

    def _penalise(self, logits: Tensor, ids: Sequence[int]) -> Tensor:
        """The logits, those of seen tokens changed; the device must be at rest."""
        require(logits.shape == (1, self._n), f"Sampler: logits have shape {logits.shape}, expected (1, {self._n})")
        if self.settings.repeat_penalty == 1:
            return logits
        require(not len(ids) or (min(ids) >= 0 and max(ids) < self._n), f"Sampler: ids must lie in 0 to {self._n - 1}")
        m3 = self._kernels
        seen = m3.seen.numpy()[0]
        seen[:] = 0
        seen[np.asarray(ids, np.int64)] = 1
        return m3.penalty(logits, m3.seen, m3.penalised, penalty=self.settings.repeat_penalty)

    def _draw(self, penalised: Tensor, step: int) -> Drawn:
        s, n, m3 = self.settings, self._n, self._kernels
        p = m3.softmax(penalised, m3.p, temperature=s.temperature).reshape(n)
        order = m3.argsort(penalised, m3.order, m3.scratch).reshape(n) if s.cuts else None
        return m3.sample(p, order, top_k=s.top_k, top_p=s.top_p, min_p=s.min_p, seed=s.seed, step=step, out=m3.drawn)

    def _refuse(self, bad: int) -> None:
        if bad:
            plain = self.settings.repeat_penalty == 1
            found = f"{bad} logits of {self._n} that are NaN or infinite{'' if plain else ' with the penalty'}"
            cause = "" if plain else ", or the penalty is too far from 1"
            raise UserError(f"the model produced {found}: the model file is damaged or unsupported{cause}")

    def stages(self, logits: Tensor, ids: Sequence[int]) -> Stages:
        """The distribution before and after each setting, for a person. The temperature must be above 0; waits."""
        s, n, m3 = self.settings, self._n, self._kernels
        require(s.temperature > 0, "Sampler: at temperature 0 there is no distribution to show, only the largest logit")
        penalised = self._penalise(logits, ids)
        m3.nonfinite(penalised, m3.bad)
        own = m3.softmax(logits, m3.own)
        final = self._draw(penalised, 0)
        order = m3.argsort(penalised, m3.order, m3.scratch).reshape(n)
        p = m3.p.reshape(n)
        weights = [m3.sample(p, order, top_k=k, top_p=top_p) for k, top_p in ((0, 1.0), (s.top_k, 1.0), (s.top_k, s.top_p))]
        self._gpu.sync()
        self._refuse(int(m3.bad.numpy()[0]))
        rows = [np.float64(w.weights.numpy()) for w in (*weights, final)]
        tempered, k, top, kept = (row / row.sum() for row in rows)
        return Stages(order.numpy(), logits.numpy()[0], penalised.numpy()[0], own.numpy()[0], tempered, k, top, kept)

    def draws(self, number: int) -> np.ndarray:
        """So many draws, uint32 ids, of the numbers 0, 1, … from the row whose `stages` were computed last. Waits."""
        s, n, m3 = self.settings, self._n, self._kernels
        cuts = {"top_k": s.top_k, "top_p": s.top_p, "min_p": s.min_p, "seed": s.seed}
        drawn = m3.sample(m3.p.reshape(n), m3.order.reshape(n), **cuts, draws=number)  # type: ignore[arg-type]
        self._gpu.sync()
        return drawn.ids.numpy()


@dataclass(frozen=True)
class Stages:
    """A step's distribution before and after each setting; all (vocabulary,), probabilities renormalised at each stage."""

    order: np.ndarray  # ids, the likeliest first
    logits: np.ndarray
    penalised: np.ndarray  # logits after the repetition penalty
    own: np.ndarray  # the model's own probabilities
    tempered: np.ndarray  # after penalty and temperature
    top_k: np.ndarray
    top_p: np.ndarray
    min_p: np.ndarray  # what is drawn from
