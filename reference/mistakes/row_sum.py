"""Wrong row sums, by what each does. Every one takes what the spec's `run` takes: x (rows, n)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def _half(x: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.add.accumulate(x.astype(np.float16), axis=1, dtype=np.float16)[:, -1]


def _wide(mistake: Callable[[np.ndarray], np.ndarray]) -> Callable:
    """The mistake in float64, its result in float32 as a kernel would store it."""
    return lambda x: np.asarray(mistake(np.asarray(x, np.float64))).astype(np.float32)


RIGHT = _wide(lambda x: x.sum(axis=1))
MISTAKES: dict[str, Callable] = {
    "lane 0's share only: the lanes' sums are not put together": _wide(lambda x: x[:, ::32].sum(axis=1)),
    "the first 32 columns only: the lanes do not go on": _wide(lambda x: x[:, :32].sum(axis=1)),
    "whole pieces of 32 columns only": _wide(lambda x: x[:, : x.shape[1] // 32 * 32].sum(axis=1)),
    "sums that stop one short of n": _wide(lambda x: x[:, :-1].sum(axis=1)),
    "sums that begin at 1: the first element is missing": _wide(lambda x: x[:, 1:].sum(axis=1)),
    "a row's last element alone: = where += belongs": _wide(lambda x: x[:, -1]),
    "a row's first element alone": _wide(lambda x: x[:, 0]),
    "32 times too much: every lane adds the whole row": _wide(lambda x: 32 * x.sum(axis=1)),
    "the mean instead of the sum": _wide(lambda x: x.mean(axis=1)),
    "the sum of the squares": _wide(lambda x: (x * x).sum(axis=1)),
    "the sum of the magnitudes": _wide(lambda x: np.abs(x).sum(axis=1)),
    "sums that are not reset from row to row": _wide(lambda x: np.cumsum(x.sum(axis=1))),
    "the first row's sum in every row": _wide(lambda x: np.full(len(x), x[0].sum())),
    "the sum of everything in every row": _wide(lambda x: np.full(len(x), x.sum())),
    "sums down the columns, as if x were stored (n, rows)": _wide(lambda x: x.reshape(x.shape[::-1]).sum(axis=0)),
    "sums kept in half precision": _wide(_half),
}
