"""Wrong dequantizations of the K kinds and Q5_0, Q5_1, by what each does. Every one takes what the spec's `run` takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from reference.dequantize_k import dequantize_k

EXACT = True  # a result equals a mistake's bit for bit, or it is another mistake
STUB = np.float32(-1234.5)  # what the functions of the exercise's k_blocks.h give before they are written
SIZES = {"Q5_0": 22, "Q5_1": 24, "Q4_K": 144, "Q5_K": 176, "Q6_K": 210}
FIVES, MINIMUM, ALL = ("Q5_0", "Q5_1"), ("Q4_K", "Q5_K"), tuple(SIZES)


def _half(blocks: np.ndarray, at: int) -> np.ndarray:
    return np.ascontiguousarray(blocks[:, at : at + 2]).view(np.float16).astype(np.float64)


def _low_first(pairs: np.ndarray) -> np.ndarray:
    """(blocks, groups, bytes) → (blocks, values): of each group the low nibbles, then the high ones."""
    return np.concatenate([pairs & 15, pairs >> 4], axis=2).reshape(len(pairs), -1)


def _neighbours(pairs: np.ndarray) -> np.ndarray:
    return np.stack([pairs & 15, pairs >> 4], axis=3).reshape(len(pairs), -1)


def _high_first(pairs: np.ndarray) -> np.ndarray:
    return np.concatenate([pairs >> 4, pairs & 15], axis=2).reshape(len(pairs), -1)


def _fifth_of_32(bits: np.ndarray) -> np.ndarray:
    return np.unpackbits(bits, axis=1, bitorder="little")


def _fifth_of_runs(bits: np.ndarray) -> np.ndarray:
    return np.unpackbits(bits, axis=1, bitorder="little").reshape(-1, 32, 8).swapaxes(1, 2).reshape(-1, 256)


def _fifth_in_order(bits: np.ndarray) -> np.ndarray:
    return np.unpackbits(bits, axis=1, bitorder="little")


def _six(packed: np.ndarray, upper: int = 2) -> tuple[np.ndarray, np.ndarray]:
    a, b, c = np.split(packed, 3, axis=1)
    high_a, high_b = (a >> 6, b >> 6) if upper else (a * 0, b * 0)
    return np.concatenate([a & 63, c & 15 | high_a << 4], axis=1), np.concatenate([b & 63, c >> 4 | high_b << 4], axis=1)


def _swapped(packed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return _six(packed)[::-1]


def _crossed(packed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nibbles of bytes 8 to 11 the wrong way round."""
    turned = packed.copy()
    turned[:, 8:] = packed[:, 8:] >> 4 | packed[:, 8:] << 4
    return _six(turned)


def _of(
    kinds: Sequence[str],
    nibbles: Callable = _low_first,
    middle: Callable = lambda kind: {"Q5_0": 16, "Q6_K": 32}.get(kind, 0),
    fifth: Callable | None = None,
    six: Callable = _six,
    value: Callable = lambda scaled, least: scaled - least,
    upper: Sequence[int] = (0, 2, 4, 6),
    scales: Callable = lambda raw: raw.view(np.int8),
    run: int = 16,
) -> Callable:
    """A mistake that these kinds can have: the right way with one of its parts replaced."""

    def result(raw: np.ndarray, kind: str, shape: Sequence[int]) -> np.ndarray:
        if kind not in kinds:
            raise KeyError(kind)
        blocks = raw.reshape(-1, SIZES[kind])
        if kind in FIVES:
            at = 4 if kind == "Q5_1" else 2
            q = nibbles(blocks[:, None, at + 4 :]).astype(np.int64) + 16 * (fifth or _fifth_of_32)(blocks[:, at : at + 4])
            least = -_half(blocks, 2) if kind == "Q5_1" else 0.0
            made = (
                value(_half(blocks, 0) * (q - middle(kind)), least) if kind == "Q5_1" else _half(blocks, 0) * (q - middle(kind))
            )
        elif kind == "Q6_K":
            two = np.stack([blocks[:, 128:192].reshape(-1, 2, 32) >> shift & 3 for shift in upper], axis=2).reshape(-1, 256)
            q = nibbles(blocks[:, :128].reshape(-1, 2, 64)).astype(np.int64) + 16 * two.astype(np.int64) - middle(kind)
            s = scales(np.ascontiguousarray(blocks[:, 192:208])).astype(np.float64)
            s = s[:, : 256 // run].repeat(run, axis=1)
            made = _half(blocks, 208) * s * q
        else:
            start = 48 if kind == "Q5_K" else 16
            q = nibbles(blocks[:, start:].reshape(-1, 4, 32)).astype(np.int64)
            if kind == "Q5_K":
                q = q + 16 * (fifth or _fifth_of_runs)(blocks[:, 16:48])
            s, t = (n.astype(np.float64).repeat(32, axis=1) for n in six(blocks[:, 4:16]))
            made = value(_half(blocks, 0) * s * q, _half(blocks, 2) * t)
        return made.astype(np.float32).reshape(shape)

    return result


def _stub(raw: np.ndarray, kind: str, shape: Sequence[int]) -> np.ndarray:
    return np.full(shape, STUB, np.float32)


def _right(raw: np.ndarray, kind: str, shape: Sequence[int]) -> np.ndarray:
    return dequantize_k(torch.from_numpy(np.ascontiguousarray(raw)), kind).numpy().reshape(shape)


RIGHT = _right
MISTAKES: dict[str, Callable] = {
    "−1234.5 everywhere: this kind's bits() in k_blocks.h is still the stub": _stub,
    "without the fifth bits": _of(("Q5_0", "Q5_1", "Q5_K"), fifth=lambda bits: _fifth_of_32(bits) * 0),
    "the fifth bits of each byte from the highest down": _of(FIVES, fifth=lambda bits: np.unpackbits(bits, axis=1)),
    "the fifth bits one after the other, as in Q5_0: bit r of byte i belongs to value i of run r": _of(
        ("Q5_K",), fifth=_fifth_in_order
    ),
    "− 8 for − 16 (Q6_K: − 16 for − 32)": _of(("Q5_0", "Q6_K"), middle=lambda kind: {"Q5_0": 8, "Q6_K": 16}[kind]),
    "nothing subtracted from q": _of(("Q5_0", "Q6_K"), middle=lambda kind: 0),
    "Q5_1 with the minimum subtracted, K kinds with it added": _of(
        ("Q5_1", *MINIMUM), value=lambda scaled, least: scaled + least
    ),
    "without the minimum": _of(("Q5_1", *MINIMUM), value=lambda scaled, least: scaled),
    "a byte's two nibbles as neighbours": _of(ALL, nibbles=_neighbours),
    "the high nibbles first": _of(ALL, nibbles=_high_first),
    "scales and minimums of runs 4 to 7 without their upper 2 bits": _of(MINIMUM, six=lambda packed: _six(packed, 0)),
    "scales and minimums swapped": _of(MINIMUM, six=_swapped),
    "bytes 8 to 11 with the minimums in the low nibbles": _of(MINIMUM, six=_crossed),
    "Q6_K with scales taken as unsigned": _of(("Q6_K",), scales=lambda raw: raw),
    "Q6_K with a scale for 32 values, where each 16 have one": _of(("Q6_K",), run=32),
    "Q6_K with the upper bits in the reverse order": _of(("Q6_K",), upper=(6, 4, 2, 0)),
    "Q6_K without the upper 2 bits": _of(("Q6_K",), upper=(8, 8, 8, 8)),
    "the first block again and again: the block's number is missing": lambda raw, kind, shape: np.resize(
        dequantize_k(torch.from_numpy(np.ascontiguousarray(raw[: SIZES[kind]])), kind).numpy(), shape
    ),
}
