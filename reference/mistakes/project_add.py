"""Wrong projections back into the residual stream, in float64. Arguments as its spec's `run`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from reference.matvec_q import matvec_q
from reference.prepare import leave, take


def _made(
    total: Callable = lambda x, product: x + product,
    stream: Callable = lambda x, value: value,
    of: Callable = lambda norm: norm,
    squares: Callable = lambda value, norm, product: value,
    nibbles: Callable = lambda asked: asked,
) -> Callable:
    """The right way with one of its parts replaced."""

    def result(y, raw, kind, shape, x, norm, asked):
        old, norm = torch.from_numpy(x).double(), torch.from_numpy(norm).double()
        product = matvec_q(take(torch.from_numpy(y), kind != "Q8_0")[0], torch.from_numpy(raw), kind, shape)
        value = total(old, product)
        out = leave(value, of(norm), nibbles(asked))
        out[len(x) + len(x) // 32 :] = squares(value, norm, product).pow(2).reshape(-1, 32).sum(dim=1)
        return stream(old, value).numpy().astype(np.float32), out.numpy()

    return result


RIGHT = _made()
MISTAKES: dict[str, Callable] = {
    "the product alone: what x held is not added": _made(total=lambda x, product: product),
    "x less the product": _made(total=lambda x, product: x - product),
    "x as it was: the sum is left for the next kernel, but not stored": _made(stream=lambda x, value: x),
    "what is left without the norm's weights": _made(of=torch.ones_like),
    "squares taken after the norm's weights, not before": _made(squares=lambda value, norm, product: value * norm),
    "squares of the product, not of the new x": _made(squares=lambda value, norm, product: product),
    "what is left for bytes where nibbles come next, or the other way: is args.nibbles asked?": _made(nibbles=lambda n: not n),
}
