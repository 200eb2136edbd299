"""Wrong hidden layers, in float64. Arguments as its spec's `run`, whose eps is 1e-5."""

from __future__ import annotations

from collections.abc import Callable

import torch

from reference.norm_head import norm_head
from reference.prepare import leave, take
from reference.swiglu import swiglu

EPS = 1e-5


def _made(value: Callable, nibbles: Callable = lambda asked: asked) -> Callable:
    """value(gate, up, the norm's factor), left for the next kernel without the squares."""

    def result(x, gate, up, kind, shape, asked):
        left = torch.from_numpy(x)
        factor = (take(left, kind != "Q8_0")[1] + EPS) ** -0.5
        g, u = (norm_head(left, torch.from_numpy(raw), kind, shape, EPS) for raw in (gate, up))
        made = value(g, u, factor)
        return leave(made, torch.ones_like(made), nibbles(asked))[: len(made) + len(made) // 32].numpy()

    return result


RIGHT = _made(lambda g, u, factor: swiglu(g, u))
MISTAKES: dict[str, Callable] = {
    "gate and up swapped": _made(lambda g, u, factor: swiglu(u, g)),
    "gate taken for up as well: an odd tile is up's": _made(lambda g, u, factor: swiglu(g, g)),
    "up without the norm's factor": _made(lambda g, u, factor: swiglu(g, u / factor)),
    "gate and up without the norm's factor": _made(lambda g, u, factor: swiglu(g / factor, u / factor)),
    "the norm's factor multiplied to the result: silu is not linear": _made(
        lambda g, u, factor: factor * swiglu(g / factor, u / factor)
    ),
    "gate · up: the sigmoid is missing": _made(lambda g, u, factor: g * u),
    "sigmoid(gate) · up: the gate itself is missing": _made(lambda g, u, factor: torch.sigmoid(g) * u),
    "silu(gate) alone: up is missing": _made(lambda g, u, factor: swiglu(g, torch.ones_like(u))),
    "what is left for bytes where nibbles come next, or the other way: is args.nibbles asked?": _made(
        lambda g, u, factor: swiglu(g, u), lambda asked: not asked
    ),
}
