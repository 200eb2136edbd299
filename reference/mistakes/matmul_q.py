"""Wrong products of tokens with a quantized weight: what usual mistakes give, in float64. Arguments as its spec's `run`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from reference.dequantize import dequantize
from reference.matmul_q import matmul_q


def RIGHT(x, raw, kind, shape, y=None, tokens=None, step=1):  # noqa: N802
    """The product."""
    there = None if y is None else torch.from_numpy(y)
    return matmul_q(torch.from_numpy(x).double(), torch.from_numpy(raw), kind, shape, there).numpy()


def with_change(change: Callable) -> Callable:
    """The product, of an x, weight and y (float64) that `change` has changed."""

    def product(x, raw, kind, shape, y=None, tokens=None, step=1):
        weight = dequantize(torch.from_numpy(raw), kind).reshape(shape).double().numpy()
        x, weight, y = change(x.astype(np.float64), weight, np.zeros(1) if y is None else y.astype(np.float64))
        return x @ weight.T + y

    return product


def _only(weight: np.ndarray, columns: slice) -> np.ndarray:
    kept = np.zeros_like(weight)
    kept[:, columns] = weight[:, columns]
    return kept


def _pairs_swapped(x: np.ndarray) -> np.ndarray:
    order = np.arange(len(x)) ^ 1
    return x[np.minimum(order, len(x) - 1)]


def _nibbles_in_turn(weight: np.ndarray) -> np.ndarray:
    """Each byte's two nibbles taken for neighbours, not for values 16 apart."""
    blocks = weight.reshape(len(weight), -1, 2, 16)
    return blocks.transpose(0, 1, 3, 2).reshape(weight.shape)


MISTAKES: dict[str, Callable] = {
    "the product alone: what y held is not added": with_change(lambda x, w, y: (x, w, 0 * y)),
    "a product of the first 64 columns alone": with_change(lambda x, w, y: (x, _only(w, slice(0, 64)), y)),
    "a product without the first 64 columns: each piece of the sum replaces the one before": with_change(
        lambda x, w, y: (x, _only(w, slice((w.shape[1] - 1) // 64 * 64, None)), 0 * y)
    ),
    "every token's product made of token 0": with_change(lambda x, w, y: (np.repeat(x[:1], len(x), axis=0), w, y)),
    "the two tokens of a pair changed over": with_change(lambda x, w, y: (_pairs_swapped(x), w, y)),
    "a weight whose nibbles are neighbours, not 16 values apart": with_change(lambda x, w, y: (x, _nibbles_in_turn(w), y)),
    "a product with |weight|": with_change(lambda x, w, y: (x, np.abs(w), y)),
}
