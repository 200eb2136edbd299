"""Wrong lookups, by what each does. Every one takes what the spec's `run` takes: a table, ids, and a stored table's kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from reference.dequantize import dequantize
from reference.get_rows import POISON, get_rows
from reference.mistakes.dequantize import STUB

EXACT = True  # rows are copies of bits


def _of(rows: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Callable:
    """A mistake in terms of the table (n, d) float32 and the ids; a stored table is dequantized first."""

    def result(table: np.ndarray, ids: np.ndarray, kind: str = "F32", shape: Sequence[int] | None = None) -> np.ndarray:
        if shape is not None:
            table = dequantize(torch.from_numpy(table), kind).numpy().reshape(shape)
        return np.ascontiguousarray(rows(table, ids.astype(np.int64)))

    return result


def _right(table: np.ndarray, ids: np.ndarray) -> np.ndarray:
    return get_rows(torch.from_numpy(table), torch.from_numpy(ids)).numpy()


def _else(lacking: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Callable:
    """Right for the ids that the table has; for the others what `lacking` gives."""
    return _of(lambda table, ids: np.where((ids < len(table))[:, None], _right(table, ids), lacking(table, ids)))


def _pieces(table: np.ndarray, ids: np.ndarray) -> np.ndarray:
    rows = _right(table, ids)
    return rows[:, np.arange(rows.shape[1]) % 32]


def _marked(table: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Right for the ids that the table lacks, the stub's value elsewhere."""
    poison = np.uint32(POISON).view(np.float32)
    return np.repeat(np.where(ids < len(table), STUB, poison)[:, None].astype(np.float32), table.shape[1], axis=1)


RIGHT = _of(_right)
MISTAKES: dict[str, Callable] = {
    "−1234.5 for every value: this kind's bits() in blocks.h, or a helper that it calls, is still the stub": _of(_marked),
    "the ids ignored: row i of the table in row i": _of(lambda table, ids: _right(table, np.arange(len(ids)))),
    "the ids themselves, as floats": _of(lambda table, ids: np.repeat(ids[:, None].astype(np.float32), table.shape[1], axis=1)),
    "the first id's row everywhere": _of(lambda table, ids: _right(table, np.full_like(ids, ids[0]))),
    "row 0 of the table everywhere": _of(lambda table, ids: _right(table, np.zeros_like(ids))),
    "the row before: ids counted from 1": _of(lambda table, ids: _right(table, np.maximum(ids - 1, 0))),
    "the last row taken for one that the table lacks: id ≥ n − 1": _of(
        lambda table, ids: _right(table, np.where(ids == len(table) - 1, len(table), ids))
    ),
    "an id that the table lacks gives a row of zeros": _else(lambda table, ids: np.zeros((1, 1), np.float32)),
    "an id that the table lacks gives the last row": _else(lambda table, ids: table[-1:]),
    "an id that the table lacks gives the first row": _else(lambda table, ids: table[:1]),
    "an id that the table lacks is taken modulo n": _else(lambda table, ids: table[ids % len(table)]),
    "a row's first 32 columns again and again": _of(_pieces),
    "every row as one that the table lacks": _of(lambda table, ids: _right(table, np.full_like(ids, len(table)))),
}
