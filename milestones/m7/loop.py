"""The loop over token ids: prefill → argmax → decode → … Knows tensors and ids, not text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from metal.tensor import Gpu
from milestones.errors import UserError
from milestones.m2.model import Model
from milestones.m3.argmax import Argmax
from milestones.m4.cache import KvCache

PREFILL_CHUNK = 64  # tokens; small enough that Ctrl-C and the progress bar stay prompt
NOT_FINITE = 0xFFFFFFFF  # what argmax says of a row without a finite value


class Loop:
    """Greedy generation. With a cache, each token's keys and values are computed once; without, at every step again."""

    def __init__(self, gpu: Gpu, model: Model, *, cached: bool = True, capacity: int | None = None):
        c = model.config
        self._gpu, self._model, self._argmax = gpu, model, Argmax(gpu)
        self.capacity = min(capacity or c.context, c.context)
        self.cache = KvCache(gpu, c.blocks, c.kv_heads, c.head_dim, self.capacity) if cached else None
        self._ids: list[int] = []

    def prefill(self, ids: Sequence[int], progress: Callable[[int, int], None] | None = None) -> int:
        """Take in a prompt's token ids (after what is there already); returns the id of the next token.

        Raises UserError if they do not fit into the context, before anything is computed.
        """
        if len(self._ids) + len(ids) > self.capacity:
            raise UserError(
                f"the prompt is {len(self._ids) + len(ids)} tokens, the context holds {self.capacity}: shorten the prompt"
            )
        if self.cache is None:
            return self.step(ids)
        following = 0
        for first in range(0, len(ids), PREFILL_CHUNK):
            following = self.step(ids[first : first + PREFILL_CHUNK])
            if progress:
                progress(min(first + PREFILL_CHUNK, len(ids)), len(ids))
        return following

    def step(self, ids: Sequence[int]) -> int:
        """Feed `ids` (one, when decoding) after what is there already; returns the id of the next token."""
        start = len(self._ids)
        self._ids += ids
        if self.cache is None:
            logits = self._model.forward(self._ids)
        else:
            logits = self._model.forward(ids, self.cache.attend, start=start)
            self.cache.advance(len(ids))
        winner = self._argmax(logits)
        self._gpu.sync()
        chosen = int(winner.numpy()[0])
        if chosen == NOT_FINITE:
            raise UserError(
                "the model produced no finite logit (NaN or ∞ everywhere): the model file is damaged or unsupported"
            )
        return chosen

    def generate(self, ids: Sequence[int], limit: int, progress: Callable[[int, int], None] | None = None) -> Iterator[int]:
        """Yield up to `limit` token ids after the prompt `ids`; fewer when the context is full.

        A token is fed back before its successor: n tokens cost n − 1 decode steps after prefill.
        """
        following = self.prefill(ids, progress)
        for n in range(limit):
            yield following
            if n + 1 == limit or len(self._ids) >= self.capacity:
                return
            following = self.step([following])
