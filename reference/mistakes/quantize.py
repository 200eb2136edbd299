"""Wrong quantizations, by what each does. Every one takes what the spec's `run` takes: x (values), kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from reference.quantize import quantize

EXACT = True  # a result equals a mistake's byte for byte, or it is another mistake
STEPS = {"Q8_0": 127, "Q4_0": 15, "Q5_0": 31, "Q4_1": 15, "Q5_1": 31}
SIGNED, UNSIGNED, PACKED, FIVE, ALL = (
    ("Q4_0", "Q5_0"),
    ("Q4_1", "Q5_1"),
    ("Q4_0", "Q4_1", "Q5_0", "Q5_1"),
    ("Q5_0", "Q5_1"),
    tuple(STEPS),
)


def _first_extreme(x: np.ndarray) -> np.ndarray:
    return np.take_along_axis(x, np.abs(x).argmax(axis=1, keepdims=True), axis=1)


def _last_extreme(x: np.ndarray) -> np.ndarray:
    return _first_extreme(x[:, ::-1])


def _inverse(d: np.ndarray) -> np.ndarray:
    return np.where(np.abs(d) < 2.0**-100, np.float32(0), np.float32(1) / d)


def _product(x: np.ndarray, d: np.ndarray) -> np.ndarray:
    return x * _inverse(d)


def _away(scaled: np.ndarray) -> np.ndarray:
    return np.trunc(scaled) + np.trunc(2 * (scaled - np.trunc(scaled)))


def _nearest_half(d: np.ndarray) -> np.ndarray:
    return d.astype(np.float16).view(np.uint16)


def _half_cut(d: np.ndarray) -> np.ndarray:
    bits = _nearest_half(d).copy()
    least = np.maximum(np.abs(d), 2.0**-14)  # subnormal halves go another way
    too_far = np.abs(bits.view(np.float16).astype(np.float64)) > least
    return bits - too_far.astype(np.uint16)


def _half_flushed(d: np.ndarray) -> np.ndarray:
    bits = _nearest_half(d)
    return np.where(np.abs(d) < 2.0**-14, bits & 0x8000, bits)


def _pairs(q: np.ndarray) -> np.ndarray:
    return (q[:, :16] & 15) | (q[:, 16:] & 15) << 4


def _fifths(q: np.ndarray) -> np.ndarray:
    return np.packbits(q >> 4 & 1, axis=1, bitorder="little")


def _of(
    kinds: Sequence[str],
    extreme: Callable = _first_extreme,
    divisor: Callable = lambda middle: -middle,
    steps: Callable = lambda steps: steps,
    quotient: Callable = _product,
    shift: float = 0.5,
    least: Callable = lambda x: x.min(axis=1, keepdims=True),
    subtracted: Callable = lambda x, m: x - m,
    whole: Callable = _away,
    half: Callable = _nearest_half,
    by_stored: bool = False,
    limit: bool = True,
    pairs: Callable = _pairs,
    fifths: Callable = _fifths,
) -> Callable:
    """A mistake that these kinds can have: the right way with one of its parts replaced."""

    def result(x: np.ndarray, kind: str) -> np.ndarray:
        if kind not in kinds:
            raise KeyError(kind)
        x = np.asarray(x, np.float32).reshape(-1, 32)
        most, head = STEPS[kind], []
        if kind in UNSIGNED:
            m = least(x)
            d = (x.max(axis=1, keepdims=True) - m) / np.float32(steps(most))
            head = [half(m).view(np.uint8)]
        else:
            d = (
                np.abs(x).max(axis=1, keepdims=True) / np.float32(127)
                if kind == "Q8_0"
                else extreme(x) / np.float32(divisor((most + 1) // 2))
            )
        d = d.astype(np.float32)
        by = half(d).view(np.float16).astype(np.float32) if by_stored else d
        if kind == "Q8_0":
            q = whole(quotient(x, by)).astype(np.int64).astype(np.uint8)
            return np.concatenate([half(d).view(np.uint8), q], axis=1).reshape(-1)
        middle = 0 if kind in UNSIGNED else (most + 1) // 2
        scaled = quotient(subtracted(x, m) if kind in UNSIGNED else x, by) + scaled_type(quotient)(middle + shift)
        q = np.maximum(np.trunc(scaled), 0).astype(np.int64)
        q = (np.minimum(q, most) if limit else q).astype(np.uint8)
        five = [fifths(q)] if kind in FIVE else []
        return np.concatenate([half(d).view(np.uint8), *head, *five, pairs(q).astype(np.uint8)], axis=1).reshape(-1)

    return result


def scaled_type(quotient: Callable) -> type:
    """A product that is not rounded before the sum behind it is one of float64."""
    return np.float64 if quotient is _fused else np.float32


def _fused(x: np.ndarray, d: np.ndarray) -> np.ndarray:
    return x.astype(np.float64) * _inverse(d)


def _divided(x: np.ndarray, d: np.ndarray) -> np.ndarray:
    return np.where(np.abs(d) < 2.0**-100, np.float32(0), x / d)


def _right(x: np.ndarray, kind: str) -> np.ndarray:
    return quantize(torch.from_numpy(np.ascontiguousarray(x)), kind).numpy()


def _largest_size(x: np.ndarray) -> np.ndarray:
    return np.abs(x).max(axis=1, keepdims=True)


RIGHT = _right
MISTAKES: dict[str, Callable] = {
    "d = max|x| / 7 (Q5_0: / 15): the extreme's sign is lost, and one number is never used": _of(
        SIGNED, extreme=_largest_size, divisor=lambda middle: middle - 1
    ),
    "d = max|x| / 8 (Q5_0: / 16): the extreme's sign is lost": _of(
        SIGNED, extreme=_largest_size, divisor=lambda middle: middle
    ),
    "d = −max|x| / 8 (Q5_0: / 16): the extreme's own sign is lost": _of(SIGNED, extreme=_largest_size),
    "d by the largest x, not by the x of the largest size": _of(SIGNED, extreme=lambda x: x.max(axis=1, keepdims=True)),
    "d by the last of several extremes, not the first": _of(SIGNED, extreme=_last_extreme),
    "d with the wrong sign: + 8 for − 8 (Q5_0: 16)": _of(SIGNED, divisor=lambda middle: middle),
    "number 16 (Q5_0: 32) cut to its low bits instead of 15 (31)": _of(PACKED, limit=False),
    "numbers cut, not rounded: the half is missing in what is added": _of(PACKED, shift=0.0),
    "d = (max − m) / 16 (Q5_1: / 32), which counts the values, not the steps between them": _of(
        UNSIGNED, steps=lambda steps: steps + 1
    ),
    "numbers of x, from which m was not subtracted": _of(UNSIGNED, subtracted=lambda x, m: x),
    "m as the x of the smallest size": _of(
        UNSIGNED, least=lambda x: np.take_along_axis(x, np.abs(x).argmin(axis=1, keepdims=True), axis=1)
    ),
    "Q8_0 with halves rounded to the even number": _of(("Q8_0",), whole=np.round),
    "Q8_0 with halves rounded up, −0.5 to 0": _of(("Q8_0",), whole=lambda scaled: np.floor(scaled + np.float32(0.5))),
    "Q8_0 with numbers cut, not rounded": _of(("Q8_0",), whole=np.trunc),
    "Q8_0 without its signs": _of(("Q8_0",), whole=lambda scaled: np.abs(_away(scaled))),
    "numbers counted by the d that is stored, after its rounding to a half": _of(ALL, by_stored=True),
    "x divided by d, where x times 1 / d is meant: one rounding fewer": _of(ALL, quotient=_divided),
    "a product fused with the sum behind it: one rounding fewer": _of(PACKED, quotient=_fused),
    "halves cut, not rounded": _of(ALL, half=_half_cut),
    "halves whose subnormals become zero": _of(ALL, half=_half_flushed),
    "a byte's two numbers as neighbours, where number i stands with number i + 16": _of(
        PACKED, pairs=lambda q: (q[:, ::2] & 15) | (q[:, 1::2] & 15) << 4
    ),
    "the last 16 numbers in the low nibbles": _of(PACKED, pairs=lambda q: _pairs(np.roll(q, 16, axis=1))),
    "the first 16 numbers twice": _of(PACKED, pairs=lambda q: (q[:, :16] & 15) | (q[:, :16] & 15) << 4),
    "no fifth bits": _of(FIVE, fifths=lambda q: _fifths(q * 0)),
    "fifth bits in the reverse order": _of(FIVE, fifths=lambda q: _fifths(q[:, ::-1])),
}
