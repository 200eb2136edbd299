"""The loop over token ids: prefill → sample → decode → … Knows tensors and ids, not text.

Given: what a loop is made of (`__init__`) and `full`. To be written: the rest, best in the order `_feed`, `_choose`, `logits`,
`prefill`, `step`, `generate`, then `rewind` and `fork`. What you have to do it with:

    self._model.forward(ids, self.cache.attend, start=p)   logits after ids that stand at p, p + 1, …, behind what the cache has
    self._model.forward(ids)                               the same without a cache: ids must then be the whole context
    self._model.likeliest(ids, self.cache.attend, start=p) a FastModel alone has it: for one id, and for `choose` in place of
                                                           logits if settings.likeliest. Not asked for; it is some 5 % faster
    self._model.config                                     the model's sizes
    self._sampler.choose(logits, ids, step)                a Choice (id, logprob); `ids`: all of the context so far, for the
                                                           repetition penalty; `step`: the draw's number: 0 for the loop's first
    self.cache.advance(n), .rewind(n), .fork(), .length    m4's bookkeeping; `self.cache` is None in a loop without a cache
    self._gpu.sync()                                       wait for the device; `forward` only queues, `choose` waits by itself

Two numbers must never disagree: how many tokens `ids` holds, and how many the cache has counted. A pass that is interrupted (an
exception out of `forward`) must leave both as they were.

    pytest -x milestones/m7/test_loop.py
"""

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

    @property
    def full(self) -> bool:
        """Whether nothing more can be fed."""
        return len(self.ids) >= self.capacity

    def _feed(self, ids: Sequence[int]) -> Tensor:
        """Logits after `ids`, which stand after what is there already; queued, not waited for. One pass of the model.

        With a cache, only `ids` go through the model; without, the whole context does. Afterwards `self.ids` holds them too.
        """
        raise NotImplementedError("your task: feed these ids after those that are there, and keep the books")

    def _choose(self, logits: Tensor) -> Choice:
        """The sampler's choice of the next token; each choice of a loop is a draw of its own, numbered 0, 1, 2, …"""
        raise NotImplementedError("your task: choose by the logits, all ids so far and the draw's number")

    def logits(self, ids: Sequence[int], progress: Callable[[int, int], None] | None = None) -> Tensor:
        """`prefill`, but the logits (1, vocabulary) themselves: queued, not waited for, overwritten by the next step.

        Raises UserError, before anything is computed, if they do not fit into the context: "the prompt is 200 tokens, the
        context holds 128: shorten the prompt" (tokens that are there already count). With a cache, at most PREFILL_CHUNK ids go
        in one pass; after each pass, and not before, `progress(how many of these ids are in, how many there are)` is told;
        between passes the device is waited for. Without a cache it is one pass.
        """
        raise NotImplementedError("your task: feed a prompt, chunk by chunk")

    def prefill(self, ids: Sequence[int], progress: Callable[[int, int], None] | None = None) -> Choice:
        """Take in a prompt's token ids (after what is there already); returns the choice of the next token.

        Raises UserError if they do not fit into the context, before anything is computed.
        """
        raise NotImplementedError("your task: the prompt's logits, and a choice by them")

    def step(self, ids: Sequence[int]) -> Choice:
        """Feed `ids` (one, when decoding) after what is there already; returns the choice of the next token.

        Raises UserError if the model gives logits that are NaN or infinite (the sampler does).
        """
        raise NotImplementedError("your task: one pass, and a choice")

    def generate(self, ids: Sequence[int], limit: int, progress: Callable[[int, int], None] | None = None) -> Iterator[Choice]:
        """Yield up to `limit` (at least 1) choices of tokens after the prompt `ids`; fewer when the context is full.

        A token is fed back before its successor: n tokens cost n − 1 decode steps after prefill. A token that finds the context
        full is still yielded, it just cannot be fed. Lazy: what nobody asks for is not computed.
        """
        raise NotImplementedError("your task: prefill, then yield, feed back, and so on")

    def rewind(self, length: int) -> None:
        """Forget every token from `length` on; mends a loop whose last step was interrupted.

        Raises ValueError if out of range: "Loop: cannot rewind to 9, 7 tokens are held". Draws go on being numbered.
        """
        raise NotImplementedError("your task: forget the newest tokens, here and in the cache")

    def fork(self) -> Loop:
        """Another loop that holds the same tokens and goes its own way from here, its next draw numbered as this one's.

        The model and the sampler may be shared, what a loop holds may not.
        """
        raise NotImplementedError("your task: a second loop with the same tokens")
