"""Wrong packings. Arguments as its spec's `run`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from reference import repack as reference

EXACT = True  # a result equals a mistake's bit for bit, or it is another mistake
LAYOUT = {"Q4_1": (32, 2, 4, 0), "Q4_0": (32, 1, 4, 0), "Q8_0": (32, 1, 8, 0), "Q6_K": (256, 0, 52, 1)}  # as m5's repack.py


def RIGHT(raw, kind, shape, head=0):  # noqa: N802
    """The tiles."""
    values, before, words, after = LAYOUT[kind]
    return reference.repack(torch.from_numpy(raw), (shape[0], shape[1] // values), before, words, after, head).numpy()


def _first_tile(raw, kind, shape, head=0):
    tiles = RIGHT(raw, kind, shape, head)
    return np.repeat(tiles[:1], len(tiles), axis=0)


MISTAKES: dict[str, Callable] = {
    "rows of each head in the file's order: RoPE's pairs do not stand side by side": lambda raw, kind, shape, head=0: RIGHT(
        raw, kind, shape
    ),
    "tile 0 again and again: the tile's number is missing": _first_tile,
}
