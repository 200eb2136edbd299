"""Wrong repetition penalties, by what each does. Each takes what the spec's `run` takes: x (n), seen (n) and the penalty."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def _wide(changed: Callable, who: Callable = lambda seen: seen != 0) -> Callable:
    """A rule for a seen token's logit in float64, and who counts as seen; float32 as a kernel would store it."""

    def result(x: np.ndarray, seen: np.ndarray, penalty: float) -> np.ndarray:
        wide, marks = np.asarray(x, np.float64), np.asarray(seen).astype(np.uint8)
        with np.errstate(all="ignore"):
            return np.where(who(marks), changed(wide, float(penalty), marks), wide).astype(np.float32)

    return result


def _right(x: np.ndarray, penalty: float, marks: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x / penalty, x * penalty)


def _half(x: np.ndarray, penalty: float, marks: np.ndarray) -> np.ndarray:
    return _right(x, penalty, marks).astype(np.float16)


RIGHT = _wide(_right)

MISTAKES: dict[str, Callable] = {
    "a penalty that divides for both signs: a seen negative logit becomes likelier": _wide(lambda x, c, marks: x / c),
    "a penalty that multiplies for both signs: a seen positive logit becomes likelier": _wide(lambda x, c, marks: x * c),
    "a penalty with its signs swapped: positive logits are multiplied, others divided": _wide(
        lambda x, c, marks: np.where(x > 0, x * c, x / c)
    ),
    "a penalty that is subtracted": _wide(lambda x, c, marks: x - c),
    "no penalty at all: every logit comes out as it went in": _wide(lambda x, c, marks: x),
    "a penalty for the unseen tokens instead of the seen ones": _wide(_right, lambda seen: seen == 0),
    "a penalty for every token, seen or not": _wide(_right, lambda seen: seen >= 0),
    "a penalty where the mark is 1 only: any mark but 0 means seen": _wide(_right, lambda seen: seen == 1),
    "a penalty paid once for each occurrence: the mark is taken for a number of times": _wide(
        lambda x, c, marks: _right(x, c ** np.float64(marks), marks)
    ),
    "a penalty of 1 / c where c is meant": _wide(lambda x, c, marks: _right(x, 1 / c, marks)),
    "a penalty where the next token has been seen: an index off by one": _wide(_right, lambda seen: np.roll(seen, -1) != 0),
    "the logits of seen tokens set to 0": _wide(lambda x, c, marks: 0 * x),
    "a penalised logit in half precision": _wide(_half),
}
