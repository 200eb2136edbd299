"""Wrong logits, in float64. Arguments as its spec's `run`, whose eps is 1e-5."""

from __future__ import annotations

from collections.abc import Callable

import torch

from reference.matvec_q import matvec_q
from reference.prepare import take

EPS = 1e-5


def _made(factor: Callable) -> Callable:
    """factor(mean square, width) times the product."""

    def result(x, raw, kind, shape):
        vector, square = take(torch.from_numpy(x), kind != "Q8_0")
        return (factor(square, shape[1]) * matvec_q(vector, torch.from_numpy(raw), kind, shape)).numpy()

    return result


RIGHT = _made(lambda square, k: (square + EPS) ** -0.5)
MISTAKES: dict[str, Callable] = {
    "the product without the norm's factor": _made(lambda square, k: 1.0),
    "the norm's factor twice": _made(lambda square, k: 1 / (square + EPS)),
    "the norm by the root of the sum of squares, not of their mean": _made(lambda square, k: (square * k + EPS) ** -0.5),
    "multiplied by the root of the mean square, not divided": _made(lambda square, k: (square + EPS) ** 0.5),
}
