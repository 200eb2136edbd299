"""Wrong queries, keys and values of one token, in float64. Arguments as its spec's `run`: eps 1e-5, base 1e4, token id 5."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from reference.matvec_q import matvec_q
from reference.mistakes.rope_store import EPS, SHARED, beside, made
from reference.prepare import take

ID, PLAIN = 5, made()


def _of_token(way: Callable = PLAIN, factors: Callable = lambda factor: (factor, factor, factor)) -> Callable:
    """`factors`: what q's, k's and v's products are multiplied by, of the norm's factor."""

    def result(x, raws, kind, sizes, position, halves, dtype, *extras):
        (width, _, _, d), (vector, square) = sizes, take(torch.from_numpy(x), kind != "Q8_0")
        size, parts = {"Q4_0": 18, "Q4_1": 20, "Q8_0": 34}[kind] * width // 32, []
        for number, (raw, factor) in enumerate(zip(raws, factors((square + EPS) ** -0.5), strict=True)):
            y = (factor * matvec_q(vector, torch.from_numpy(raw), kind, (len(raw) // size, width))).reshape(1, -1, d)
            parts.append(beside(y) if halves and number < 2 else y)  # as they lie in the packed weight: pairs side by side
        with np.errstate(over="ignore"):
            return tuple(y[0] for y in way(parts, position, halves, dtype, *extras))

    return result


RIGHT = _of_token()
MISTAKES: dict[str, Callable] = {
    "q, k and v without the norm's factor": _of_token(factors=lambda factor: (1.0, 1.0, 1.0)),
    "v without the norm's factor": _of_token(factors=lambda factor: (factor, factor, 1.0)),
    "q and k without the norm's factor": _of_token(factors=lambda factor: (1.0, 1.0, factor)),
    "q and k turned by the token's id: the position is state[1]": _of_token(made(at=lambda position, n: torch.full((n,), ID))),
    **{sentence: _of_token(way) for sentence, way in SHARED.items()},
}
