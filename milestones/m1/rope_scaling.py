"""Scaled RoPE: how much more slowly each pair turns in a model that was trained on short texts and made for longer ones.

Llama 3's way (The Llama 3 Herd of Models, 2024; formula as in transformers): pairs that turn often within the first
training's context stay as they are, pairs that turn less than about once are slowed down, and between the two it is gradual.
"""

from __future__ import annotations

import math

import numpy as np


def llama3_factors(base: float, d: int, *, factor: float, low: float, high: float, original: int) -> tuple[float, ...]:
    """What the frequency of each of the d/2 pairs is divided by, rounded to float32, as GGUF files hold them.

    A pair with less than `low` turns in `original` tokens is slowed down by `factor`, one with more than `high` not at all.

    >>> llama3_factors(10000.0, 8, factor=8.0, low=1.0, high=4.0, original=1024)
    (1.0, 1.0, 3.2396419048309326, 8.0)
    """
    return tuple(
        float(np.float32(_factor(original * base ** (-2 * i / d) / math.tau, factor, low, high))) for i in range(d // 2)
    )


def _factor(turns: float, factor: float, low: float, high: float) -> float:
    if turns < low:
        return factor
    if turns > high:
        return 1.0
    share = (turns - low) / (high - low)  # of the frequency that is kept
    return 1 / ((1 - share) / factor + share)
