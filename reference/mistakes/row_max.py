"""Wrong row maxima, by what each does. Every one takes what the spec's `run` takes: x (rows, n)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def _wide(mistake: Callable[[np.ndarray], np.ndarray]) -> Callable:
    return lambda x: np.asarray(mistake(np.asarray(x, np.float32))).astype(np.float32)


RIGHT = _wide(lambda x: x.max(axis=1))
MISTAKES: dict[str, Callable] = {
    "at least 0: the search starts at 0, and a row may be all negative": _wide(lambda x: np.maximum(x.max(axis=1), 0)),
    "at least −10³⁰: the search starts there, and a row may lie below": _wide(lambda x: np.maximum(x.max(axis=1), -1e30)),
    "the smallest element instead of the largest": _wide(lambda x: x.min(axis=1)),
    "the largest magnitude: the sign is lost": _wide(lambda x: np.abs(x).max(axis=1)),
    "lane 0's share only: the lanes' maxima are not put together": _wide(lambda x: x[:, ::32].max(axis=1)),
    "the first 32 columns only": _wide(lambda x: x[:, :32].max(axis=1)),
    "whole pieces of 32 columns only": _wide(lambda x: x[:, : x.shape[1] // 32 * 32].max(axis=1)),
    "the last column is left out": _wide(lambda x: x[:, :-1].max(axis=1)),
    "the first column is left out": _wide(lambda x: x[:, 1:].max(axis=1)),
    "a row's first element": _wide(lambda x: x[:, 0]),
    "a row's last element": _wide(lambda x: x[:, -1]),
    "the column of the largest element, not the element": _wide(lambda x: x.argmax(axis=1)),
    "the largest of this row and those before it: not reset from row to row": _wide(
        lambda x: np.maximum.accumulate(x.max(axis=1))
    ),
    "the first row's largest element in every row": _wide(lambda x: np.full(len(x), x[0].max())),
    "the largest element of all in every row": _wide(lambda x: np.full(len(x), x.max())),
    "maxima down the columns, as if x were stored (n, rows)": _wide(lambda x: x.reshape(x.shape[::-1]).max(axis=0)),
}
