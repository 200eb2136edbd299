"""Wrong argsorts, by what each does. Every one takes what the spec's `run` takes: logits (rows, n)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from reference.mistakes.argmax import finite, one_zero, rank_of, signed, turned


def _falling(rank: Callable[[np.ndarray], np.ndarray] = rank_of, tie: int = 1) -> Callable:
    """Columns by falling rank; ties in ascending order, or descending with `tie` −1."""

    def result(logits: np.ndarray) -> np.ndarray:
        bits = np.ascontiguousarray(logits).view(np.uint32)
        column = np.broadcast_to(np.arange(logits.shape[1]) * tie, bits.shape)
        return np.lexsort((column, -rank(bits)), axis=1).astype(np.uint32)

    return result


def _places(logits: np.ndarray) -> np.ndarray:
    return np.argsort(RIGHT(logits), axis=1).astype(np.uint32)


def _runs(logits: np.ndarray) -> np.ndarray:
    """Each run of 32 columns sorted by itself."""
    parts = [RIGHT(logits[:, i : i + 32]) + np.uint32(i) for i in range(0, logits.shape[1], 32)]
    return np.concatenate(parts, axis=1)


def _all_rows(logits: np.ndarray) -> np.ndarray:
    return np.repeat(RIGHT(logits[:1]), len(logits), axis=0)


RIGHT = _falling()

MISTAKES: dict[str, Callable] = {
    "ties in descending order of their columns": _falling(tie=-1),
    "rising order: the smallest first": _falling(finite(lambda bits: 2**33 - turned(bits))),
    "rising order read from its end: falling, but each tie turned round, and NaN and infinities first": (
        lambda logits: np.ascontiguousarray(_falling(lambda bits: -rank_of(bits))(logits)[:, ::-1])
    ),
    "a NaN or an infinity sorted by its bits, not last": _falling(lambda bits: turned(one_zero(bits)) + 1),
    "NaN and infinities first": _falling(lambda bits: np.where(rank_of(bits) == 0, 2**40, rank_of(bits))),
    "bits compared as they are: negative logits before positive ones": _falling(finite(lambda b: b.astype(np.int64))),
    "bits compared as signed integers: negative logits in rising order": _falling(finite(signed)),
    "−0 below +0, where they are a tie": _falling(finite(turned, zero=lambda bits: bits)),
    "sorted without regard to the lowest digit of four bits": _falling(lambda bits: rank_of(bits) >> 4),
    "sorted by the upper half of the key only": _falling(lambda bits: rank_of(bits) >> 16),
    "sorted by the lowest seven digits only: the last pass is missing": _falling(lambda bits: rank_of(bits) & 0x0FFFFFFF),
    "the place of each column in the order, not the column at each place": _places,
    "runs of 32 columns, each sorted by itself": _runs,
    "row 0's order for every row": _all_rows,
    "0, 1, 2, …: nothing is sorted": _falling(lambda bits: 0 * turned(bits)),
}
