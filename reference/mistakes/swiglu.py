"""Wrong SwiGLUs, by what each does. Every one takes what the spec's `run` takes: gate and up of one shape."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np


def _sigmoid(g: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-g))


def _gelu(g: np.ndarray) -> np.ndarray:
    return g * (1 + np.vectorize(math.erf)(g / 2**0.5)) / 2


def _overflowing(g: np.ndarray, u: np.ndarray) -> np.ndarray:
    e = np.exp(g.astype(np.float32))
    return g * (e / (1 + e)) * u


def _half(g: np.ndarray, u: np.ndarray) -> np.ndarray:
    g16 = g.astype(np.float16)
    return g16 / (1 + np.exp(-g16)) * u.astype(np.float16)


def _wide(mistake: Callable) -> Callable:
    """The mistake in float64, its result in float32 as a kernel would store it."""

    def result(gate: np.ndarray, up: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            return np.asarray(mistake(np.asarray(gate, np.float64), np.asarray(up, np.float64))).astype(np.float32)

    return result


RIGHT = _wide(lambda g, u: g * _sigmoid(g) * u)

MISTAKES: dict[str, Callable] = {
    "SwiGLU with gate and up swapped": _wide(lambda g, u: u * _sigmoid(u) * g),
    "SwiGLU with sigmoid(−gate): the minus in exp(−gate) is missing": _wide(lambda g, u: g * _sigmoid(-g) * u),
    "SwiGLU with sigmoid(|gate|)": _wide(lambda g, u: g * _sigmoid(np.abs(g)) * u),
    "sigmoid(gate) · up: the gate itself is missing": _wide(lambda g, u: _sigmoid(g) * u),
    "gate · up: the sigmoid is missing": _wide(lambda g, u: g * u),
    "SiLU of the gate alone: up is missing": _wide(lambda g, u: g * _sigmoid(g)),
    "SiLU(gate) + up: added, not multiplied": _wide(lambda g, u: g * _sigmoid(g) + u),
    "gate · sigmoid(up): the sigmoid is taken of the wrong one": _wide(lambda g, u: g * _sigmoid(u)),
    "gate · sigmoid(gate · up)": _wide(lambda g, u: g * _sigmoid(g * u)),
    "exp(gate) / (1 + exp(gate)) in float32: infinity by infinity where the gate is large": _wide(_overflowing),
    "gate / exp(−gate) · up: the 1 + is missing": _wide(lambda g, u: g * np.exp(g) * u),
    "GELU in SiLU's place": _wide(lambda g, u: _gelu(g) * u),
    "ReLU in SiLU's place": _wide(lambda g, u: np.maximum(g, 0) * u),
    "tanh in the sigmoid's place": _wide(lambda g, u: g * np.tanh(g) * u),
    "sigmoid(1.702 · gate), the quick GELU, in SiLU's place": _wide(lambda g, u: g * _sigmoid(1.702 * g) * u),
    "exp2 for exp": _wide(lambda g, u: g / (1 + np.exp2(-g)) * u),
    "SwiGLU in half precision": _wide(_half),
}
