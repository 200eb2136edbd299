"""What m2's kernels computed on the way through the model, block by block, for a prompt: kept for the diagrams to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from metal.tensor import Tensor
from milestones.diagrams.device import Device, Recent, common
from milestones.errors import UserError
from milestones.m0.diagram.tokenizer import shown
from milestones.m2.attention import Attention
from milestones.m2.model import Model

TOKENS = 48  # of a prompt: a heat map of more cannot be read
EXAMPLES = (
    ("A cat", "The cat sat on the mat because it was tired."),
    ("Anna", "Anna met Ben. Anna met"),
    ("Capitals", "Paris is the capital of France. Rome is the capital of"),
)
_KEPT = 8  # passes, of up to 16 MB each


@dataclass(frozen=True)
class Pass:
    """A forward pass. Each array has an entry a block; `stream` is what goes into it, the others are as attention has them."""

    ids: tuple[int, ...]
    stream: np.ndarray  # (blocks + 1, tokens, width); the last is what goes into the last norm
    q: np.ndarray  # (blocks, tokens, heads, d), turned by RoPE
    k: np.ndarray  # (blocks, tokens, kv_heads, d), turned by RoPE
    v: np.ndarray
    mixed: np.ndarray  # (blocks, tokens, heads, d): attention's output

    def first(self, tokens: int) -> Pass:
        """The pass of the first tokens alone: what comes after them has no part in it."""
        return Pass(self.ids[:tokens], *(a[:, :tokens] for a in (self.stream, self.q, self.k, self.v, self.mixed)))


def prompt(device: Device, text: str) -> list[int]:
    """The ids of a text. Raises UserError if there are none or too many."""
    ids = device.encode(text)
    if len(ids) > TOKENS:
        raise UserError(f"the text is {len(ids)} tokens, this diagram takes {TOKENS}: shorten it")
    return ids


def sizes(device: Device) -> dict[str, Any]:
    """What there is to choose of the model: a page asks it first, so that it begins within."""
    c = device.naive.model.config
    return {"blocks": c.blocks, "heads": c.heads, "pairs": c.head_dim // 2}


def named(device: Device, ids: Sequence[int]) -> list[dict[str, Any]]:
    """Each token's id and text, as the pages write it."""
    return [{"id": token, "text": shown(device.tokenizer.token_bytes(token))} for token in ids]


def passed(device: Device, ids: Sequence[int]) -> Pass:
    """The forward pass of `ids`. What it shares with a kept one, token for token from the front, is not computed again."""
    kept: Recent[tuple[int, ...], Pass] = device.kept("passes", lambda: Recent(_KEPT))
    key = tuple(ids)

    def make() -> Pass:
        nearest = max(kept.values(), key=lambda one: common(one.ids, key), default=None)
        shared = 0 if nearest is None else common(nearest.ids, key)
        front = nearest.first(shared) if nearest is not None and shared else None
        return front if front is not None and shared == len(key) else _computed(device, key, front)

    return kept(key, make)


def _computed(device: Device, ids: tuple[int, ...], front: Pass | None) -> Pass:
    model, gpu = device.naive.model, device.gpu
    assert isinstance(model, Model)  # whose kernels these are
    attention: Attention = device.kept("attention", lambda: Attention(gpu))
    start = len(front.ids) if front else 0
    stream: list[np.ndarray] = []
    seen: list[list[np.ndarray]] = []  # q, k, v and mixed of each block

    def whole(old: np.ndarray | None, new: np.ndarray) -> np.ndarray:
        return new.copy() if old is None else np.concatenate([old, new])

    def attend(layer: int, q: Tensor, k: Tensor, v: Tensor, out: Tensor) -> Tensor:
        gpu.sync()
        before = (front.q[layer], front.k[layer], front.v[layer]) if front else (None,) * 3
        held = [whole(old, new.numpy()) for old, new in zip(before, (q, k, v), strict=True)]
        mixed = attention(*map(gpu.tensor, held))
        gpu.sync()
        out.numpy()[:] = mixed.numpy()[start:]
        seen.append([*held, mixed.numpy()])
        return out

    def watch(name: str, tensor: np.ndarray) -> None:
        if name.startswith(("embedding", "block")):
            stream.append(whole(front.stream[len(stream)] if front else None, tensor))

    model.forward(ids[start:], attend, start=start, watch=watch)
    gpu.sync()
    return Pass(ids, np.stack(stream), *(np.stack(arrays) for arrays in zip(*seen, strict=True)))
