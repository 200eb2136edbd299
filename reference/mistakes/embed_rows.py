"""Wrong rows of a packed embedding. Arguments as its spec's `run`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from reference.embed_rows import embed_rows


def RIGHT(raw, kind, shape, ids):  # noqa: N802
    """The rows."""
    return embed_rows(torch.from_numpy(raw), kind, shape, ids).numpy()


def _first_block(raw, kind, shape, ids):
    return np.tile(RIGHT(raw, kind, shape, ids)[:, :32], (1, shape[1] // 32))


MISTAKES: dict[str, Callable] = {
    "a row of tile 0: the tile's number, id / 32, is missing": lambda raw, kind, shape, ids: RIGHT(
        raw, kind, shape, [i % 32 for i in ids]
    ),
    "the first rows in turn: the token's number is taken for its id": lambda raw, kind, shape, ids: RIGHT(
        raw, kind, shape, list(range(len(ids)))
    ),
    "each row's first block again and again: the block's number is missing": _first_block,
}
