"""What a diagram computes with: the device, the tokenizers, the model. Everything is made when first asked for, and kept.

It belongs to the worker's thread: nothing else may touch it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from metal.tensor import Tensor
from metal.timed import TimedGpu
from milestones.errors import UserError

if TYPE_CHECKING:
    from milestones.m1.model_file import ModelFile
    from milestones.m6.tokenizer import FastTokenizer
    from milestones.m7.engine import Engine
    from milestones.m7.loop import Loop

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")
CONTEXT = 512  # tokens of a diagram's text, prompt and continuation together
_KEPT = 64  # rows of logits


class Recent(OrderedDict[Key, Value]):
    """The results that were asked for last, `most` of them, by key; the one used last at the end."""

    def __init__(self, most: int):
        super().__init__()
        self._most = most

    def __call__(self, key: Key, make: Callable[[], Value]) -> Value:
        """The kept result, or what `make` makes of it now."""
        if key not in self:
            self[key] = make()
            if len(self) > self._most:
                self.popitem(last=False)
        self.move_to_end(key)
        return self[key]


def common(a: Sequence[int], b: Sequence[int]) -> int:
    """How many tokens two texts begin with alike."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def require_appended(ids: Sequence[int], vocabulary: int) -> None:
    """Raises UserError if what a page appended is no token of the model."""
    if any(token >= vocabulary for token in ids):
        raise UserError(f"appended must be tokens of the vocabulary, 0 to {vocabulary - 1:,}")


class Device:
    """`path`: the model's file; `file`: the same, where it has been opened already."""

    def __init__(self, path: Path, file: ModelFile | None = None):
        self.path, self._file = path, file
        self._loop: Loop | None = None
        self._prompt: tuple[int, ...] = ()
        self._logits = Recent[tuple[tuple[int, ...], tuple[int, ...]], np.ndarray](_KEPT)
        self._made: dict[str, Any] = {}

    def kept(self, name: str, make: Callable[[], Any]) -> Any:
        """What a diagram makes once and uses at every request."""
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]

    @cached_property
    def gpu(self) -> TimedGpu:
        """It queues as any other, but for the passes that a diagram times kernel by kernel."""
        made = TimedGpu()
        made.timing = False
        return made

    @cached_property
    def file(self) -> ModelFile:
        from milestones.m1.model_file import open_model

        return self._file or open_model(self.path)

    @cached_property
    def tokenizer(self) -> FastTokenizer:
        """The model's. It needs no weights, so it is there before the model is."""
        from milestones.m6.tokenizer import FastTokenizer

        return FastTokenizer(self.gpu, self.file.vocabulary())

    @cached_property
    def engine(self) -> Engine:
        """The model on m6's kernels, as `firstlight generate` runs it."""
        from milestones.m7.engine import Engine

        return Engine(self.path, gpu=self.gpu, file=self.file, tokenizer=self.tokenizer)

    @cached_property
    def naive(self) -> Engine:
        """The model on m2's and m4's kernels, which show what they do, on floats. Takes five times the memory."""
        from milestones.m7.engine import Engine

        return Engine(self.path, gpu=self.gpu, kernels="naive", file=self.file, tokenizer=self.tokenizer)

    def loop(self, *, capacity: int, cached: bool = True, cache_dtype: str = "float32") -> Loop:
        """A new loop on m2's and m4's kernels."""
        from milestones.m7.loop import Loop

        return Loop(self.gpu, self.naive.model, capacity=capacity, cached=cached, cache_dtype=cache_dtype)

    def encode(self, text: str) -> list[int]:
        """A prompt's ids as `generate` makes them. Raises UserError if there are none, or too many for a diagram."""
        ids = self.tokenizer.encode(text)
        if not ids:
            raise UserError("the text is empty: give at least one character")
        ids = self.tokenizer.prefix + ids
        self._fits(len(ids))
        return ids

    def logits(self, prompt: Sequence[int], appended: Sequence[int] = ()) -> Tensor:
        """The logits (1, vocabulary) after both, computed as `generate` does: the prompt at once, then token by token.

        Every token's keys and values are computed once, so the same ids always give the same bits. Waits.
        Raises UserError for what is outside the vocabulary, or more than fits.
        """
        self._fits(len(prompt) + len(appended))
        require_appended(appended, self.engine.model.config.vocabulary)
        key = (tuple(prompt), tuple(appended))
        return self.gpu.tensor(self._logits(key, lambda: self._computed(*key)))

    def _computed(self, prompt: tuple[int, ...], appended: tuple[int, ...]) -> np.ndarray:
        from milestones.m7.loop import Loop

        held = self._loop.ids[len(prompt) :] if self._loop is not None and self._prompt == prompt else []
        kept = min(common(held, appended), len(appended) - 1)  # of what is appended; one token at least is fed, for its logits
        row: Tensor | None = None
        if self._loop is None or self._prompt != prompt or kept < 0:
            context = min(CONTEXT, self.engine.model.config.context)
            self._loop, self._prompt, kept = Loop(self.gpu, self.engine.model, capacity=context), prompt, 0
            row = self._loop.logits(prompt)
        else:
            self._loop.rewind(len(prompt) + kept)
        for token in appended[kept:]:
            row = self._loop.logits([token])
        assert row is not None
        self.gpu.sync()
        return row.numpy().copy()

    def _fits(self, tokens: int) -> None:
        if tokens > CONTEXT:
            raise UserError(f"the text is {tokens:,} tokens, a diagram takes {CONTEXT}: shorten it")
