"""Wrong reversals, by what each does. Every one takes what the spec's `run` takes: x (rows, n) whole numbers, in_place."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def _rows(mistake: Callable[[np.ndarray], np.ndarray]) -> Callable:
    return lambda x, in_place=False: np.ascontiguousarray(mistake(x)).astype(np.uint32)


def _pieces(x: np.ndarray) -> np.ndarray:
    """Every 32 columns reversed for themselves."""
    return np.concatenate([x[:, i : i + 32][:, ::-1] for i in range(0, x.shape[1], 32)], axis=1)


def _mirrored(x: np.ndarray) -> np.ndarray:
    """A row whose second half was written over before it was read."""
    half = x.shape[1] // 2
    y = x[:, ::-1].copy()
    y[:, x.shape[1] - half :] = y[:, :half][:, ::-1]
    return y


RIGHT = _rows(lambda x: x[:, ::-1])
MISTAKES: dict[str, Callable] = {
    "x unchanged: no row is turned": _rows(lambda x: x),
    "rows reversed from x[n − i] on, one too far: n − 1 − i is meant": _rows(lambda x: np.roll(x[:, ::-1], 1, axis=1)),
    "the whole of x back to front, its rows too": _rows(lambda x: x[::-1, ::-1]),
    "the rows in reverse order, none of them reversed": _rows(lambda x: x[::-1]),
    "every 32 columns reversed for themselves": _rows(_pieces),
    "rows whose second half mirrors their first: written over before it was read": _rows(_mirrored),
    "the first row, reversed, in every row": _rows(lambda x: np.repeat(x[:1, ::-1], len(x), axis=0)),
    "the last row, reversed, in every row": _rows(lambda x: np.repeat(x[-1:, ::-1], len(x), axis=0)),
    "a row's last element everywhere": _rows(lambda x: np.repeat(x[:, -1:], x.shape[1], axis=1)),
    "x transposed": _rows(lambda x: x.T.copy().reshape(x.shape)),
}
