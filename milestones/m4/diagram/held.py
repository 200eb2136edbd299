"""The loops that the diagram's requests step, fork and rewind: a few at a time, found by the tokens they hold.

A request names every token of its text, so nothing is lost when a loop is no longer kept, and two pages that ask in turn cannot
disturb each other: where no loop holds just these tokens, one is forked from the nearest, rewound, and fed the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from milestones.diagrams.device import common
from milestones.m4.cache import KvCache

KEPT = 8  # loops at most
LIMIT = 96  # tokens of one


class Loop(Protocol):
    """What is asked of m7's loop."""

    cache: Any
    ids: list[int]

    def logits(self, ids: Sequence[int]) -> Any: ...

    def rewind(self, length: int) -> None: ...

    def fork(self) -> Loop: ...


@dataclass(frozen=True)
class Origin:
    """How a loop came to hold its tokens: rows a layer `copied` from another cache, `fed` anew; both 0 where it was kept."""

    copied: int = 0
    fed: int = 0


class Held:
    """The kept loops, the one used last at the end. `device` is the diagrams' own: its `loop` makes them."""

    def __init__(self, device: Any):
        self._device, self._loops = device, list[tuple[str, Loop]]()
        warm = self.new("float32")
        warm.logits([0, 0])
        warm.logits([0])  # what is compiled or loaded at first is in no step's time
        device.gpu.sync()

    def __len__(self) -> int:
        return len(self._loops)

    def new(self, dtype: str | None) -> Loop:
        """An empty loop; `dtype` None has no cache."""
        return self._device.loop(capacity=LIMIT, cached=dtype is not None, cache_dtype=dtype or "float32")

    def holding(self, ids: Sequence[int], dtype: str) -> tuple[Loop, Origin]:
        """A loop whose cache holds just these tokens, and how it came to. It counts as kept, as the one used last."""
        wanted = list(ids)
        for at in reversed(range(len(self._loops))):
            kind, loop = self._loops[at]
            if kind == dtype and loop.ids == wanted:
                self.keep(self._loops.pop(at)[1], dtype)
                return loop, Origin()
        near = max((loop for kind, loop in self._loops if kind == dtype), key=lambda one: common(one.ids, wanted), default=None)
        shared = 0 if near is None else common(near.ids, wanted)
        if near is not None and shared:
            loop = near.fork()
            loop.rewind(shared)
        else:
            loop = self.new(dtype)
        if wanted[shared:]:
            loop.logits(wanted[shared:])
        self._device.gpu.sync()  # a fork's copies too: none of this is in a step's time
        self.keep(loop, dtype)
        return loop, Origin(shared, len(wanted) - shared)

    def keep(self, loop: Loop, dtype: str) -> None:
        """One more, as the one used last."""
        self._loops = [*self._loops, (dtype, loop)][-KEPT:]


def bytes_a_token(cache: KvCache) -> int:
    """Of keys and values, over all layers."""
    return cache.nbytes // cache.capacity
