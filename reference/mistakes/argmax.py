"""Wrong argmaxes, by what each does. Every one takes what the spec's `run` takes: logits (rows, n)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

NOTHING = 0xFFFFFFFF


def rank_of(bits: np.ndarray) -> np.ndarray:
    """An integer that grows with the float; 0 for NaN and ∞. int64, so that nothing wraps."""
    whole = np.where(bits == 0x80000000, 0, bits.astype(np.int64))
    return np.where(bits & 0x7F800000 == 0x7F800000, 0, turned(whole))


def turned(bits: np.ndarray) -> np.ndarray:
    wide = bits.astype(np.int64)
    return np.where(wide >= 2**31, 0xFFFFFFFF - wide, wide + 2**31)


def one_zero(bits: np.ndarray) -> np.ndarray:
    """The bits, −0 as +0."""
    return np.where(bits == 0x80000000, np.uint32(0), bits)


def finite(rank: Callable[[np.ndarray], np.ndarray], zero: Callable[[np.ndarray], np.ndarray] = one_zero) -> Callable:
    """A rank of what is finite, above 0; 0 for the rest."""
    return lambda bits: np.where(bits & 0x7F800000 == 0x7F800000, 0, rank(zero(bits)) + 1)


def signed(bits: np.ndarray) -> np.ndarray:
    return bits.view(np.int32).astype(np.int64) + 2**31


def _with(
    rank: Callable[[np.ndarray], np.ndarray] = rank_of,
    columns: Callable[[np.ndarray], np.ndarray] = lambda c: c >= 0,
    tie: Callable[[np.ndarray], np.ndarray] = lambda c: c,
    told: Callable[[np.ndarray], np.ndarray] = lambda c: c,
    nothing: int = NOTHING,
) -> Callable:
    """Argmax with one of its parts replaced: what is larger, which columns are looked at, whose the tie is, what is told."""

    def result(logits: np.ndarray) -> np.ndarray:
        column = np.arange(logits.shape[1])
        ranks = np.where(columns(column), rank(np.ascontiguousarray(logits).view(np.uint32)), 0)
        largest = ranks.max(axis=1, keepdims=True)
        key = np.where(ranks == largest, tie(column), 2**40)
        winner = told(np.argmin(key, axis=1))
        return np.where(largest[:, 0] == 0, nothing, winner).astype(np.uint32)

    return result


def _last_of_each_lane(logits: np.ndarray) -> np.ndarray:
    """The lowest of the columns that are each lane's last one of the largest."""
    winners = []
    for row in rank_of(np.ascontiguousarray(logits).view(np.uint32)):
        columns = np.flatnonzero(row == row.max())
        last = {c % 32: c for c in columns}  # later ones replace earlier ones
        winners.append(min(last.values()) if row.max() else NOTHING)
    return np.array(winners, np.uint32)


RIGHT = _with()

MISTAKES: dict[str, Callable] = {
    "ties that go to the higher column: >= where > is meant, or a maximum of the columns": _with(tie=lambda c: -c),
    "ties that go to the lowest lane, not to the lowest column": _with(tie=lambda c: c % 32 * 2**20 + c),
    "ties within a lane that go to its last column": _last_of_each_lane,
    "a NaN or an infinity that wins: the exponent is not looked at": _with(lambda bits: turned(one_zero(bits)) + 1),
    "NaN skipped, but not infinity": _with(
        lambda bits: np.where(bits & 0x7FFFFFFF > 0x7F800000, 0, turned(one_zero(bits)) + 1)
    ),
    "bits compared as they are: a negative logit beats every positive one": _with(finite(lambda b: b.astype(np.int64))),
    "bits compared as signed integers: of negative logits the smallest wins": _with(finite(signed)),
    "−0 below +0, where they are a tie": _with(finite(turned, zero=lambda bits: bits)),
    "the largest without its sign": _with(finite(lambda bits: (bits & 0x7FFFFFFF).astype(np.int64))),
    "the smallest logit": _with(finite(lambda bits: 2**32 - turned(bits))),
    "subnormals taken for zero": _with(
        finite(lambda bits: turned(np.where(bits & 0x7F800000 == 0, 0, bits)))  # what float comparisons may do
    ),
    "lane 0's columns only: the lanes do not agree on one winner": _with(columns=lambda c: c % 32 == 0),
    "the first 32 columns only": _with(columns=lambda c: c < 32),
    "whole strides of 32 columns only: the tail is left out": _with(columns=lambda c: c < c.size // 32 * 32),
    "the first column left out": _with(columns=lambda c: c > 0),
    "the winner's lane, not its column": _with(told=lambda c: c % 32),
    "the first column of the winner's stride: its lane is not added": _with(told=lambda c: c // 32 * 32),
    "column 0 for a row without a finite value": _with(nothing=0),
}
