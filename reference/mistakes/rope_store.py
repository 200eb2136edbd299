"""Wrong turns and stores of a chunk's q, k and v, in float64. Arguments as its spec's `run`: base 1e4, the norms' eps 1e-5."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

BASE, EPS, LARGEST = 1e4, 1e-5, 65504.0  # the last: of a half


def turned(y: torch.Tensor, at: torch.Tensor, sign: int = 1) -> torch.Tensor:
    """y (tokens, heads, d), pairs side by side, token t turned as at position at[t]."""
    d = y.shape[2]
    angles = torch.outer(at.double(), BASE ** (-torch.arange(0, d, 2, dtype=torch.float64) / d))
    turn = torch.polar(torch.ones_like(angles), sign * angles)
    pairs = torch.view_as_complex(y.reshape(*y.shape[:2], d // 2, 2).contiguous())
    return torch.view_as_real(pairs * turn[:, None]).reshape(y.shape)


def apart(y: torch.Tensor) -> torch.Tensor:
    """Pairs that were side by side, half a head apart."""
    return y.unflatten(-1, (y.shape[-1] // 2, 2)).transpose(-2, -1).flatten(-2)


def beside(y: torch.Tensor) -> torch.Tensor:
    """The other way round."""
    return y.unflatten(-1, (2, y.shape[-1] // 2)).transpose(-2, -1).flatten(-2)


def made(
    at: Callable = lambda position, tokens: position + torch.arange(tokens),
    which: str = "qk",
    sign: int = 1,
    halves: Callable = lambda asked: asked,
    cached: str = "kv",
    largest: float = LARGEST,
    steps: str = "bias norm turn",
    normed: Callable = lambda norms: {"q": norms[0], "k": norms[1]},
    over: Callable = lambda y: y.pow(2).mean(-1, keepdim=True),
    own_order: bool = True,
    scaled: str = "qk",
) -> Callable:
    """The right way with one of its parts replaced: q, k, v with pairs side by side, position, halves, dtype, bias, norms,
    scale → q, k, v.

    `which` are turned, `scaled` multiplied; `cached` says what comes to the places of k and v; `steps` are done in that order.
    `normed`: whose heads are normed, with which weights; `over`: their mean square; not `own_order`: biases as packed rows lie.
    """

    def result(
        parts: Sequence[torch.Tensor],
        position: int,
        asked: bool,
        dtype: type,
        bias: np.ndarray | None = None,
        norms: np.ndarray | None = None,
        scale: float = 1.0,
    ) -> tuple[np.ndarray, ...]:
        where = at(position, len(parts[0]))
        sizes = [part.shape[1] * part.shape[2] for part in parts]
        biases = [None] * 3 if bias is None else torch.from_numpy(bias).double().split(sizes)
        weights = {} if norms is None else normed(torch.from_numpy(norms).double())
        found = {}
        for name, y, b in zip("qkv", parts, biases, strict=True):
            lie = beside if asked and name != "v" else lambda own: own
            for step in steps.split():
                if step == "bias" and b is not None:
                    own = b.reshape(y.shape[1:])
                    y = y + (lie(own) if own_order else own)
                elif step == "norm" and name in weights:
                    y = y * lie(weights[name]) / torch.sqrt(over(y) + EPS)
                elif step == "turn" and name in which:
                    y = turned(y, where, sign) * (scale if name in scaled else 1.0)
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
    "biases left out": made(steps="norm turn"),
    "biases added after the turn: they belong to the product": made(steps="norm turn bias"),
    "heads normed before the biases are added": made(steps="norm bias turn"),
    "biases in the order of the packed rows: with args.halves the model's own is another": made(own_order=False),
    "heads not normed": made(steps="bias turn"),
    "heads normed after the turn: the weights then meet other elements": made(steps="bias turn norm"),
    "k's heads normed with q's weights": made(normed=lambda norms: {"q": norms[0], "k": norms[0]}),
    "v's heads normed as well": made(normed=lambda norms: {"q": norms[0], "k": norms[1], "v": norms[1]}),
    "one norm over all heads: each head has a mean of its own": made(over=lambda y: y.pow(2).mean((-2, -1), keepdim=True)),
    "each 32 elements normed by themselves: a head's mean is over all of it": made(
        over=lambda y: y.unflatten(-1, (-1, 32)).pow(2).mean(-1, keepdim=True).expand(*y.shape[:-1], -1, 32).flatten(-2)
    ),
    "heads normed without eps": made(over=lambda y: y.pow(2).mean(-1, keepdim=True) - EPS),
    "heads not levelled, only multiplied by the norm's weights": made(over=lambda y: torch.ones(()) - EPS),
    "what is turned is not multiplied by args.scale": made(scaled=""),
}


def _of_chunk(way: Callable) -> Callable:
    def result(qkv, heads, kv_heads, d, position, halves, dtype, *extras):
        sizes = [heads * d, kv_heads * d, kv_heads * d]
        parts = [part.reshape(len(qkv), -1, d) for part in torch.from_numpy(qkv).double().split(sizes, dim=1)]
        with np.errstate(over="ignore"):
            return way(parts, position, halves, dtype, *extras)

    return result


RIGHT = _of_chunk(made())
MISTAKES: dict[str, Callable] = {
    "every token turned by the first one's angle: is the token's number added to the position?": _of_chunk(
        made(at=lambda position, tokens: torch.full((tokens,), position))
    ),
    "tokens turned as at positions 0, 1, …: is args.position added?": _of_chunk(made(at=lambda position, n: torch.arange(n))),
    **{sentence: _of_chunk(way) for sentence, way in SHARED.items()},
}
