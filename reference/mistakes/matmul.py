"""Wrong matrix products, by what each does. Every one takes what the spec's `run` takes: x (m, k) and weight (n, k)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def _over(columns: slice) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    return lambda x, weight: x[:, columns] @ weight[:, columns].T


def _whole(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return _over(slice(0, x.shape[1] // 32 * 32))(x, weight)


def _one_piece_less(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    whole = x.shape[1] // 32 * 32
    keep = [column for column in range(x.shape[1]) if not whole - 32 <= column < whole]
    return x[:, keep] @ weight[:, keep].T


def _half_sums(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """32 sums in half precision, one a lane, put together in float."""
    sums = np.zeros((32, len(x), len(weight)), np.float16)
    with np.errstate(all="ignore"):
        for column in range(x.shape[1]):
            sums[column % 32] += np.outer(x[:, column], weight[:, column]).astype(np.float16)
    return sums.astype(np.float64).sum(axis=0)


def _fours(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Row i of x adds to what row i − 4 left behind."""
    y = x @ weight.T
    for i in range(4, len(y)):
        y[i] += y[i - 4]
    return y


def _wide(mistake: Callable) -> Callable:
    """The mistake in float64, its result in float32 as a kernel would store it."""

    def result(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            return mistake(np.asarray(x, np.float64), np.asarray(weight, np.float64)).astype(np.float32)

    return result


RIGHT = _wide(lambda x, w: x @ w.T)

MISTAKES: dict[str, Callable] = {
    "the weight read down its columns, as if it were stored (k, n)": _wide(lambda x, w: x @ w.reshape(w.shape[::-1])),
    "x read down its columns, as if it were stored (k, m)": _wide(lambda x, w: x.reshape(x.shape[::-1]).T @ w.T),
    "the product written down its columns, as if y were (n, m)": _wide(lambda x, w: (x @ w.T).T.reshape(len(x), len(w))),
    "the first row of x used for every row": _wide(lambda x, w: np.repeat(x[:1] @ w.T, len(x), axis=0)),
    "the first row of the weight used for every column": _wide(lambda x, w: np.repeat(x @ w[:1].T, len(w), axis=1)),
    "the last row of x used for every row": _wide(lambda x, w: np.repeat(x[-1:] @ w.T, len(x), axis=0)),
    "sums that stop one short of k": _wide(_over(slice(0, -1))),
    "sums that begin at 1: the first product is missing": _wide(_over(slice(1, None))),
    "sums over whole pieces of 32 columns only": _wide(_whole),
    "sums that leave out the last whole piece of 32 columns": _wide(_one_piece_less),
    "rows of x counted from 0 again in every four": _wide(lambda x, w: x[np.arange(len(x)) % 4] @ w.T),
    "sums over the first 32 columns only": _wide(_over(slice(0, 32))),
    "lane 0's share only: the lanes' sums are not put together": _wide(_over(slice(0, None, 32))),
    "32 times too much: every lane sums the whole row": _wide(lambda x, w: 32 * (x @ w.T)),
    "sums that are not reset from a row of x to the next": _wide(lambda x, w: np.cumsum(x @ w.T, axis=0)),
    "sums that are not reset from four rows of x to the next four": _wide(_fours),
    "sums of x + weight instead of x · weight": _wide(
        lambda x, w: x.sum(axis=1, keepdims=True) + w.sum(axis=1, keepdims=True).T
    ),
    "the last product alone: = where += belongs": _wide(lambda x, w: np.outer(x[:, -1], w[:, -1])),
    "sums kept in half precision": _wide(_half_sums),
}
