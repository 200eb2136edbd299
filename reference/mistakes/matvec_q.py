"""Wrong products of a quantized weight with one vector, in float64. Arguments as its spec's `run`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from reference.dequantize import dequantize


def _made(change: Callable) -> Callable:
    def result(x, raw, kind, shape):
        weight = dequantize(torch.from_numpy(raw), kind).reshape(shape).double().numpy()
        return change(weight) @ x.astype(np.float64)

    return result


RIGHT = _made(lambda w: w)
MISTAKES: dict[str, Callable] = {
    "each row's first block again and again: the block's number is missing": _made(
        lambda w: np.tile(w[:, :32], (1, w.shape[1] // 32))
    ),
    "every row's product made of row 0": _made(lambda w: np.repeat(w[:1], len(w), axis=0)),
    "a product with |weight|": _made(np.abs),
}
