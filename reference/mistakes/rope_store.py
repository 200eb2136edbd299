"""Wrong turns and stores of a chunk's q, k and v, in float64. Arguments as its spec's `run`, whose base is 1e4."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

BASE, LARGEST = 1e4, 65504.0  # of a half


def turned(y: torch.Tensor, at: torch.Tensor, sign: int = 1) -> torch.Tensor:
    """y (tokens, heads, d), pairs side by side, token t turned as at position at[t]."""
    d = y.shape[2]
    angles = torch.outer(at.double(), BASE ** (-torch.arange(0, d, 2, dtype=torch.float64) / d))
    turn = torch.polar(torch.ones_like(angles), sign * angles)
    pairs = torch.view_as_complex(y.reshape(*y.shape[:2], d // 2, 2).contiguous())
    return torch.view_as_real(pairs * turn[:, None]).reshape(y.shape)


def apart(y: torch.Tensor) -> torch.Tensor:
    """Pairs that were side by side, half a head apart."""
    return y.unflatten(2, (y.shape[2] // 2, 2)).transpose(2, 3).flatten(2)


def made(
    at: Callable = lambda position, tokens: position + torch.arange(tokens),
    which: str = "qk",
    sign: int = 1,
    halves: Callable = lambda asked: asked,
    cached: str = "kv",
    largest: float = LARGEST,
) -> Callable:
    """The right way with one of its parts replaced: (q, k, v with pairs side by side, position, halves, dtype) → q, k, v.

    `which` are turned; `cached` says what comes to the places of k and v.
    """

    def result(parts: Sequence[torch.Tensor], position: int, asked: bool, dtype: type) -> tuple[np.ndarray, ...]:
        where = at(position, len(parts[0]))
        found = {}
        for name, part in zip("qkv", parts, strict=True):
            y = turned(part, where, sign) if name in which else part
            found[name] = (apart(y) if halves(asked) and name != "v" else y).numpy()
        kept = [found[name] if dtype == np.float32 else np.clip(found[name], -largest, largest) for name in cached]
        return found["q"].astype(np.float32), *(y.astype(dtype) for y in kept)

    return result


# What qkv_rope_store may get wrong as well.
SHARED: dict[str, Callable] = {
    "q and k not turned": made(which=""),
    "k not turned: it must be, before it is stored": made(which="q"),
    "v turned as well": made(which="qkv"),
    "q and k turned the other way: the sines' signs": made(sign=-1),
    "pairs left where they stand in the packed weight, or moved apart unasked: as if args.halves were the other way": made(
        halves=lambda asked: not asked
    ),
    "k and v changed over": made(cached="vk"),
    "infinity, not the largest half, where a number is too large for one": made(largest=np.inf),
}


def _of_chunk(way: Callable) -> Callable:
    def result(qkv, heads, kv_heads, d, position, halves, dtype):
        sizes = [heads * d, kv_heads * d, kv_heads * d]
        parts = [part.reshape(len(qkv), -1, d) for part in torch.from_numpy(qkv).double().split(sizes, dim=1)]
        with np.errstate(over="ignore"):
            return way(parts, position, halves, dtype)

    return result


RIGHT = _of_chunk(made())
MISTAKES: dict[str, Callable] = {
    "every token turned by the first one's angle: is the token's number added to the position?": _of_chunk(
        made(at=lambda position, tokens: torch.full((tokens,), position))
    ),
    "tokens turned as at positions 0, 1, …: is args.position added?": _of_chunk(made(at=lambda position, n: torch.arange(n))),
    **{sentence: _of_chunk(way) for sentence, way in SHARED.items()},
}
