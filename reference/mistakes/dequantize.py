"""Wrong dequantizations, by what each does. Every one takes what the spec's `run` takes: raw (bytes), kind, shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from reference.dequantize import dequantize

EXACT = True  # a result equals a mistake's bit for bit, or it is another mistake
STUB = np.float32(-1234.5)  # what the functions of the exercise's blocks.h give before they are written

SIZES = {"Q8_0": 34, "Q4_0": 18, "Q4_1": 20}
HALF, NIBBLES, BLOCKS, FOURS = (*SIZES, "F16"), ("Q4_0", "Q4_1"), tuple(SIZES), ("Q4_1",)


def _half(bits: np.ndarray, rebias: int = 112, subnormal: float = 2.0**-24, infinite: bool = True) -> np.ndarray:
    """Halves from their bits to float64, the hard way, so that each part can go wrong."""
    sign = np.where(bits & 0x8000, -1.0, 1.0)
    exponent, mantissa = (bits >> 10 & 31).astype(np.int64), (bits & 1023).astype(np.float64)
    normal = (1 + mantissa / 1024) * 2.0 ** (exponent + rebias - 127)
    special = np.where(mantissa == 0, np.inf, np.nan)
    small = mantissa * subnormal if subnormal else normal
    return sign * np.where((exponent == 0) & (subnormal != 0), small, np.where((exponent == 31) & infinite, special, normal))


def _flushed(bits: np.ndarray) -> np.ndarray:
    return np.where(bits & 0x7C00, _half(bits), np.copysign(0.0, _half(bits)))


def _low_first(pairs: np.ndarray) -> np.ndarray:
    return np.concatenate([pairs & 15, pairs >> 4], axis=1)


def _interleaved(pairs: np.ndarray) -> np.ndarray:
    return np.stack([pairs & 15, pairs >> 4], axis=2).reshape(len(pairs), 32)


def _high_first(pairs: np.ndarray) -> np.ndarray:
    return np.concatenate([pairs >> 4, pairs & 15], axis=1)


def _numbers(blocks: np.ndarray, start: int, signed: bool = True) -> np.ndarray:
    bytes_ = np.ascontiguousarray(blocks[:, start : start + 32])
    return (bytes_.view(np.int8) if signed else bytes_).astype(np.float64)


def _of(
    kinds: Sequence[str],
    half: Callable = _half,
    nibbles: Callable = _low_first,
    q: Callable = lambda q, kind: q - 8 if kind == "Q4_0" else q,
    value: Callable = lambda d, q, m: d * q + m,
    signed: bool = True,
    start: int | None = None,
    stride: int | None = None,
) -> Callable:
    """A mistake that these kinds can have: the right way with one of its parts replaced."""

    def result(raw: np.ndarray, kind: str, shape: Sequence[int]) -> np.ndarray:
        if kind not in kinds:
            raise KeyError(kind)
        if kind == "F16":
            return half(raw.view(np.uint16)).astype(np.float32).reshape(shape)
        blocks, used = raw.reshape(-1, SIZES[kind]), 4 if kind == "Q4_1" else 2
        if stride:
            blocks = np.stack([raw[i * stride :][: SIZES[kind]] for i in range(len(blocks))])
        d, m = (half(np.ascontiguousarray(blocks[:, i : i + 2]).view(np.uint16)) for i in (0, 2))
        at = used if start is None else start
        plain = _numbers(blocks, at, signed) if kind == "Q8_0" else nibbles(blocks[:, at : at + 16]).astype(np.float64)
        return value(d, q(plain, kind), m if kind == "Q4_1" else -0.0).astype(np.float32).reshape(shape)

    return result


def _bits(kinds: Sequence[str], floats: Callable[[np.ndarray], np.ndarray]) -> Callable:
    """A mistake of the kinds of 16 bits: from them to a float32."""

    def result(raw: np.ndarray, kind: str, shape: Sequence[int]) -> np.ndarray:
        if kind not in kinds:
            raise KeyError(kind)
        return floats(raw.view(np.uint16)).reshape(shape)

    return result


def _stub(raw: np.ndarray, kind: str, shape: Sequence[int]) -> np.ndarray:
    return np.full(shape, STUB, np.float32)


def _right(raw: np.ndarray, kind: str, shape: Sequence[int]) -> np.ndarray:
    return dequantize(torch.from_numpy(raw), kind).numpy().reshape(shape)


RIGHT = _right
MISTAKES: dict[str, Callable] = {
    "−1234.5 everywhere: this kind's bits() in blocks.h, or a helper that it calls, is still the stub": _stub,
    "a byte's low and high nibble as neighbours, where all 16 low nibbles come first": _of(NIBBLES, nibbles=_interleaved),
    "the high nibbles first, then the low ones": _of(NIBBLES, nibbles=_high_first),
    "the low nibbles twice: the high ones are not shifted down": _of(
        NIBBLES, nibbles=lambda p: np.concatenate([p & 15, p & 15], axis=1)
    ),
    "the high nibble left on top of the low one": _of(NIBBLES, nibbles=lambda p: np.concatenate([p, p >> 4], axis=1)),
    "blocks taken to lie 18 bytes apart, as Q4_0's do": _of(("Q8_0", "Q4_1"), stride=18),
    "Q4_0 without the − 8": _of(("Q4_0",), q=lambda q, kind: q),
    "Q4_0 with − 7 instead of − 8": _of(("Q4_0",), q=lambda q, kind: q - 7),
    "Q4_0 whose nibbles are taken as signed, 8 as −8, instead of − 8": _of(
        ("Q4_0",), q=lambda q, kind: np.where(q > 7, q - 16, q)
    ),
    "Q4_1 with − 8, which is Q4_0's": _of(FOURS, q=lambda q, kind: q - 8),
    "Q4_1 with scale and minimum swapped": _of(FOURS, value=lambda d, q, m: m * q + d),
    "Q4_1 without the minimum": _of(FOURS, value=lambda d, q, m: d * q),
    "Q4_1 with the minimum subtracted": _of(FOURS, value=lambda d, q, m: d * q - m),
    "Q4_1 as d · (q + m)": _of(FOURS, value=lambda d, q, m: d * (q + m)),
    "Q4_1 with numbers that begin at byte 2, where the minimum is": _of(FOURS, start=2),
    "Q8_0 with bytes taken as unsigned": _of(("Q8_0",), signed=False),
    "numbers that begin at byte 0, where the scale is": _of(BLOCKS, start=0),
    "the numbers without their scale": _of(BLOCKS, value=lambda d, q, m: q + m),
    "the first block's scale for every block": _of(BLOCKS, value=lambda d, q, m: d[:1] * q + m),
    "the numbers divided by their scale": _of(BLOCKS, value=lambda d, q, m: q / d + m),
    "halves read as whole numbers": _of(HALF, half=lambda bits: bits.astype(np.float64)),
    "halves with the upper and lower byte swapped": _of(HALF, half=lambda bits: _half(bits.byteswap())),
    "halves whose sign is lost": _of(HALF, half=lambda bits: np.abs(_half(bits))),
    "halves twice as large: their exponent gets 113 added, not 112": _of(HALF, half=lambda bits: _half(bits, 113, 2.0**-24)),
    "halves half as large: their exponent gets 111 added, not 112": _of(HALF, half=lambda bits: _half(bits, 111, 2.0**-24)),
    "halves whose subnormals become zero": _of(HALF, half=_flushed),
    "halves whose subnormals are taken for normal numbers": _of(HALF, half=lambda bits: _half(bits, subnormal=0)),
    "halves whose subnormals are half as large: 2⁻²⁵ for 2⁻²⁴": _of(HALF, half=lambda bits: _half(bits, subnormal=2.0**-25)),
    "halves whose infinities and NaNs are taken for large numbers": _of(
        ("F16",), half=lambda bits: _half(bits, infinite=False)
    ),
    "F16 read as BF16": _bits(("F16",), lambda bits: (bits.astype(np.uint32) << 16).view(np.float32)),
    "BF16 read as F16": _bits(("BF16",), lambda bits: bits.view(np.float16).astype(np.float32)),
    "BF16 in the lower half of a float: not shifted by 16": _bits(
        ("BF16",), lambda bits: bits.astype(np.uint32).view(np.float32)
    ),
    "BF16 shifted by 15": _bits(("BF16",), lambda bits: (bits.astype(np.uint32) << 15).view(np.float32)),
    "the first 32 values again and again: the block's number is missing": lambda raw, kind, shape: np.resize(
        dequantize(torch.from_numpy(raw), kind).numpy()[:32], shape
    ),
}
