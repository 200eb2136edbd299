"""The loop over token ids: prefill → sample → decode → … Knows tensors and ids, not text."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence

from metal.tensor import Gpu, Tensor, require
from milestones.errors import UserError
from milestones.m2.model import Forward
from milestones.m3.sampler import GREEDY, Choice, Sampler, Settings
from milestones.m4.cache import KvCache
from milestones.m6.model import FastModel
from milestones.m6.sampler import FastSampler

PREFILL_CHUNK = 128  # tokens; small enough that Ctrl-C and the progress bar stay prompt


class Loop:
    """Generation by one `Settings`. With a cache, each token's keys and values are computed once; without, at every step again.

    `ids` holds what is in the context so far, prompt and generated tokens.
    """

    def __init__(
        self,
        gpu: Gpu,
        model: Forward,
        *,
        settings: Settings = GREEDY,
        cached: bool = True,
        capacity: int | None = None,
        cache_dtype: str = "float32",
    ):
        c = model.config
        sampler = FastSampler if isinstance(model, FastModel) else Sampler
        self._gpu, self._model, self._sampler = gpu, model, sampler(gpu, c.vocabulary, settings)
        self.capacity = min(capacity or c.context, c.context)
        sizes = (c.blocks, c.kv_heads, c.head_dim, self.capacity)
        self.cache = KvCache(gpu, *sizes, cache_dtype) if cached else None
        self.ids: list[int] = []
        self._drawn = 0  # draws made: the number of the next one
        # a fast model tells its likeliest token without writing logits
        self._likeliest = model.likeliest if isinstance(model, FastModel) and settings.likeliest else None

    def prefill(self, ids: Sequence[int], progress: Callable[[int, int], None] | None = None) -> Choice:
        """Take in a prompt's token ids (after what is there already); returns the choice of the next token.

        Raises UserError if they do not fit into the context, before anything is computed.
        """
        return self._choose(self.logits(ids, progress))

    def logits(self, ids: Sequence[int], progress: Callable[[int, int], None] | None = None) -> Tensor:
        """`prefill`, but the logits (1, vocabulary) themselves: queued, not waited for, overwritten by the next step."""
        if len(self.ids) + len(ids) > self.capacity:
            raise UserError(
                f"the prompt is {len(self.ids) + len(ids)} tokens, the context holds {self.capacity}: shorten the prompt"
            )
        if self.cache is None:
            return self._feed(ids)
        last = (len(ids) - 1) // PREFILL_CHUNK * PREFILL_CHUNK  # where the last chunk begins: only after it is a token chosen
        for first in range(0, last, PREFILL_CHUNK):
            self._feed(ids[first : first + PREFILL_CHUNK])
            self._gpu.sync()
            if progress:
                progress(first + PREFILL_CHUNK, len(ids))
        logits = self._feed(ids[last:])
        if progress:
            progress(len(ids), len(ids))
        return logits

    def step(self, ids: Sequence[int]) -> Choice:
        """Feed `ids` (one, when decoding) after what is there already; returns the choice of the next token.

        Raises UserError if the model gives logits that are NaN or infinite.
        """
        if self._likeliest is None or self.cache is None or len(ids) > 1:
            return self._choose(self._feed(ids))
        position = len(self.ids)
        chosen = self._likeliest(ids, self.cache.attend, start=position)
        self.cache.advance(1)
        self.ids += ids
        return self._choose(chosen)

    def _choose(self, logits: Tensor) -> Choice:
        choice = self._sampler.choose(logits, self.ids, self._drawn)
        self._drawn += 1
        return choice

    def rewind(self, length: int) -> None:
        """Forget every token from `length` on; mends a loop whose last step was interrupted. ValueError if out of range."""
        require(0 <= length <= len(self.ids), f"Loop: cannot rewind to {length}, {len(self.ids)} tokens are held")
        if self.cache is not None:
            self.cache.rewind(length)
        del self.ids[length:]

    def fork(self) -> Loop:
        """Another loop that holds the same tokens and goes its own way from here, its next draw numbered as this one's."""
        made = copy.copy(self)
        made.cache = None if self.cache is None else self.cache.fork()
        made.ids = list(self.ids)
        return made

    @property
    def full(self) -> bool:
        """Whether nothing more can be fed."""
        return len(self.ids) >= self.capacity

    def _feed(self, ids: Sequence[int]) -> Tensor:
        """Logits after `ids`, which stand after what is there already; queued, not waited for."""
        if self.cache is None:
            logits = self._model.forward([*self.ids, *ids])
        else:
            logits = self._model.forward(ids, self.cache.attend, start=len(self.ids))
            self.cache.advance(len(ids))
        self.ids += ids
        return logits

    def generate(self, ids: Sequence[int], limit: int, progress: Callable[[int, int], None] | None = None) -> Iterator[Choice]:
        """Yield up to `limit` choices of tokens after the prompt `ids`; fewer when the context is full.

        A token is fed back before its successor: n tokens cost n − 1 decode steps after prefill.
        """
        following = self.prefill(ids, progress)
        for n in range(limit):
            yield following
            if n + 1 == limit or self.full:
                return
            following = self.step([following.id])
