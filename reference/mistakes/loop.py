"""Wrong loops over the toy model of reference/loop.py: the tokens they choose, and (position, id) of each token they feed.

Arguments as in the `run` of m7's `test_loop`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from reference.loop import VOCABULARY, checksum, table
from reference.philox import uniform
from reference.repeat_penalty import repeat_penalty
from reference.sample import draw
from reference.softmax import softmax

TABLE = table()


def choose(logits: np.ndarray, seen: list[int], step: int, temperature: float, seed: int, penalty: float) -> int:
    """The token that m3's sampler takes: the largest logit, or draw number `step` of `seed`."""
    mask = torch.zeros(VOCABULARY, dtype=torch.bool)
    mask[seen] = True
    penalised = repeat_penalty(torch.from_numpy(logits), mask, penalty)
    if temperature == 0:
        return int(penalised.argmax())
    return draw(softmax(penalised[None], temperature)[0].numpy(), uniform(seed, step))


class Loop:
    """The loop as one would write it, over a plain list of the rows in the cache. A mistake overrides one method."""

    chunk = 128

    def __init__(self, prompt, limit, capacity=64, *, temperature=0.0, seed=0, repeat_penalty=1.0):
        self.prompt, self.limit, self.capacity = list(prompt), limit, capacity
        self.temperature, self.seed, self.penalty = temperature, seed, repeat_penalty
        self.rows: list[int] = []
        self.ids: list[int] = []
        self.fed: list[tuple[int, int]] = []
        self.drawn = 0

    def start(self, ids):
        return len(self.ids)

    def keep(self, values):
        """The rows that the next step goes on from."""
        self.rows = self.rows + values

    def feed(self, ids):
        start = self.start(ids)
        tokens = [(start + i, token) for i, token in enumerate(ids)]
        values = [checksum([token]) for token in tokens]
        seen = self.rows + values
        self.keep(values)
        self.fed += tokens
        self.ids += ids
        return TABLE[round(sum(seen) / len(seen) * (start + len(ids))) % VOCABULARY]

    def seen(self):
        return self.ids

    def number(self):
        return self.drawn

    def choose(self, logits):
        chosen = choose(logits, self.seen(), self.number(), self.temperature, self.seed, self.penalty)
        self.drawn += 1
        return chosen

    def prefill(self):
        return [self.feed(self.prompt[i : i + self.chunk]) for i in range(0, len(self.prompt), self.chunk)][-1]

    def generate(self):
        chosen = [self.choose(self.prefill())]
        while len(chosen) < self.limit and len(self.ids) < self.capacity:
            chosen.append(self.choose(self.feed(chosen[-1:])))
        return chosen


class OffByOne(Loop):
    def start(self, ids):
        return len(self.ids) + (1 if len(self.ids) >= len(self.prompt) else 0)


class ChunksRestart(Loop):
    def start(self, ids):
        return len(self.ids) if len(self.ids) >= len(self.prompt) else 0


class AlwaysAtZero(Loop):
    def start(self, ids):
        return 0


class NeverAdvances(Loop):
    def keep(self, values):
        pass


class LastPromptTokenTwice(Loop):
    def generate(self):
        self.prompt = self.prompt + self.prompt[-1:]
        return super().generate()


class LastPromptTokenForgotten(Loop):
    def generate(self):
        self.prompt = self.prompt[:-1]
        return super().generate()


class PromptTwice(Loop):
    def generate(self):
        self.prompt = self.prompt * 2
        return super().generate()


class FirstChunkAlone(Loop):
    def prefill(self):
        return self.feed(self.prompt[: self.chunk])


class FirstChunksLogits(Loop):
    def prefill(self):
        first, *_ = [self.feed(self.prompt[i : i + self.chunk]) for i in range(0, len(self.prompt), self.chunk)]
        return first


class OneMore(Loop):
    def generate(self):
        self.limit += 1
        return super().generate()


class ExtraStep(Loop):
    def generate(self):
        chosen = super().generate()
        self.feed(chosen[-1:])
        return chosen


class FirstNotYielded(Loop):
    def generate(self):
        self.limit += 1
        return super().generate()[1:]


class SameDraw(Loop):
    def number(self):
        return 0


class DrawsByLength(Loop):
    def number(self):
        return len(self.ids)


class SeedIgnored(Loop):
    def choose(self, logits):
        self.seed = 0
        return super().choose(logits)


class PenaltyOnGenerated(Loop):
    def seen(self):
        return self.ids[len(self.prompt) :]


class PenaltyOnPrompt(Loop):
    def seen(self):
        return self.prompt


class StopsEarly(Loop):
    def generate(self):
        self.capacity -= 1
        return super().generate()


def _run(made: type[Loop], prompt, limit, capacity=64, cached=True, **settings) -> tuple[np.ndarray, np.ndarray]:
    if not cached:
        raise ValueError("these mistakes are those of a loop with a cache")
    one = made(prompt, limit, capacity, **settings)
    chosen = one.generate()
    return np.array(chosen), np.array(one.fed)


RIGHT = partial(_run, Loop)
MISTAKES: dict[str, Callable] = {
    "a loop whose positions are off by one after the prompt": partial(_run, OffByOne),
    "a loop in which each chunk of the prompt begins at position 0": partial(_run, ChunksRestart),
    "a loop that feeds every token at position 0": partial(_run, AlwaysAtZero),
    "a loop whose cache is never advanced": partial(_run, NeverAdvances),
    "a loop that feeds the last prompt token twice": partial(_run, LastPromptTokenTwice),
    "a loop that forgets the last prompt token": partial(_run, LastPromptTokenForgotten),
    "a loop that feeds the prompt twice": partial(_run, PromptTwice),
    "a loop that feeds the first chunk of the prompt alone": partial(_run, FirstChunkAlone),
    "a loop that chooses by the first chunk's logits, not the last one's": partial(_run, FirstChunksLogits),
    "a loop that goes one token too far": partial(_run, OneMore),
    "a loop with a decode step too many at its end": partial(_run, ExtraStep),
    "a loop that never yields its first token": partial(_run, FirstNotYielded),
    "a loop that uses the same random number at every step": partial(_run, SameDraw),
    "a loop that numbers its draws by the tokens fed": partial(_run, DrawsByLength),
    "a loop that ignores the seed": partial(_run, SeedIgnored),
    "a loop whose repetition penalty covers generated tokens alone": partial(_run, PenaltyOnGenerated),
    "a loop whose repetition penalty covers the prompt alone": partial(_run, PenaltyOnPrompt),
    "a loop that stops one token before the context is full": partial(_run, StopsEarly),
}
