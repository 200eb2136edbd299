"""Wrong weights: m3's wrong cuts (reference/mistakes/sample.py) on the softmax of the logits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from reference.argsort import argsort
from reference.mistakes import sample
from reference.sample_wide import sample_wide
from reference.softmax import softmax


def _right(logits: np.ndarray, *, temperature: float = 1.0, **cuts) -> np.ndarray:
    return sample_wide(torch.from_numpy(logits), temperature, **cuts)


def _with(wrong: Callable, power: Callable[[float], float] = lambda t: t) -> Callable:
    """The cuts of a wrong sampler; the temperature as `power` makes it."""

    def result(logits: np.ndarray, *, temperature: float = 1.0, **cuts) -> np.ndarray:
        row = torch.from_numpy(logits)
        p = softmax(row, power(temperature))[0].float().numpy()
        return wrong(p, argsort(row)[0].numpy(), **cuts)[1]

    return result


_SAME = (
    "top-p over the whole vocabulary's sum, not over that of top-k's survivors",
    "top-k that keeps every token as likely as the k-th",
    "top-k that keeps one token too many",
    "top-k that keeps one token too few",
    "ties at a cutoff that go to the higher id",
    "no top-k",
    "top-p without the token that crosses p",
    "no top-p",
    "min-p of the least likely survivor, not of the likeliest",
    "min-p as a threshold, not as a part of the likeliest",
    "no min-p",
    "top-p before top-k",
    "min-p before top-k and top-p",
    "weights that are renormalised",
    "weights in the order of their ranks, not of their ids",
)

RIGHT = _right
MISTAKES: dict[str, Callable] = {name: _with(sample.MISTAKES[name]) for name in _SAME} | {
    "no temperature": _with(sample.RIGHT, lambda t: 1.0),
    "multiplied by the temperature, not divided": _with(sample.RIGHT, lambda t: 1 / t),
}
