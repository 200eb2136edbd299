"""Wrong rows of an embedding, or rows left wrongly for the next kernel. Arguments as its spec's `run`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from reference.dequantize import dequantize
from reference.prepare import leave


def _made(
    row: Callable = lambda token: token,
    stream: Callable = lambda x, norm: x,
    of: Callable = lambda norm: norm,
    squares: Callable = lambda x, norm: x,
    nibbles: Callable = lambda asked: asked,
) -> Callable:
    """The right way with one of its parts replaced."""

    def result(raw, kind, shape, token, norm, asked):
        x = dequantize(torch.from_numpy(raw), kind).reshape(shape)[row(token)].double()
        norm = torch.from_numpy(norm).double()
        out = leave(x, of(norm), nibbles(asked))
        out[len(x) + len(x) // 32 :] = squares(x, norm).pow(2).reshape(-1, 32).sum(dim=1)
        return stream(x, norm).numpy().astype(np.float32), out.numpy()

    return result


RIGHT = _made()
MISTAKES: dict[str, Callable] = {
    "a row of tile 0: the tile's number, token / 32, is missing": _made(row=lambda token: token % 32),
    "the next token's row": _made(row=lambda token: token + 1),
    "x multiplied by the norm's weights in the residual stream too": _made(stream=lambda x, norm: x * norm),
    "what is left without the norm's weights": _made(of=torch.ones_like),
    "squares taken after the norm's weights, not before": _made(squares=lambda x, norm: x * norm),
    "what is left for bytes where nibbles come next, or the other way: is args.nibbles asked?": _made(nibbles=lambda n: not n),
}
