"""Scaled RoPE: how much more slowly each pair turns in a model that was trained on short texts and made for longer ones.

Llama 3's way (The Llama 3 Herd of Models, 2024; formula as in transformers): pairs that turn often within the first
training's context stay as they are, pairs that turn less than about once are slowed down, and between the two it is gradual.
Linear (Chen et al., Extending Context Window by Positional Interpolation, 2023): all pairs are slowed down alike. YaRN (Peng et
al., 2023) is gradual from pair to pair, and makes queries and keys larger, so that attention over a long text stays as sharp.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Stretch:
    """RoPE for texts `factor` times as long: of `kind` "linear" or "yarn".

    YaRN leaves pairs with more than `fast` turns in `original` tokens as they are, slows those with less than `slow` down by
    `factor`, and multiplies what is turned by `attention`: None is the paper's 0.1 · ln factor + 1.
    """

    kind: str
    factor: float
    original: int = 0
    fast: float = 32.0
    slow: float = 1.0
    attention: float | None = None

    def factors(self, base: float, d: int) -> tuple[float, ...]:
        """What the frequency of each of the d/2 pairs is divided by, rounded to float32. `base` must be above 1 for YaRN.

        >>> Stretch("linear", 4.0).factors(10000.0, 8)
        (4.0, 4.0, 4.0, 4.0)
        >>> Stretch("yarn", 4.0, 1024).factors(10000.0, 8)  # pair 0 turns 163 times, pair 1 16, pair 2 1.6, pair 3 0.16 times
        (1.0, 1.3333333730697632, 2.0, 4.0)
        """
        if self.kind == "linear":
            return (float(np.float32(self.factor)),) * (d // 2)
        first, last = (
            d * math.log(self.original / (turns * math.tau)) / (2 * math.log(base)) for turns in (self.fast, self.slow)
        )
        begin, end = (
            max(math.floor(first), 0),
            min(math.ceil(last), d - 1),
        )  # pairs from which on, and up to which, it is gradual
        width = end - begin or 0.001
        slowed = (min(max((i - begin) / width, 0.0), 1.0) for i in range(d // 2))
        return tuple(float(np.float32(1 / (share / self.factor + 1 - share))) for share in slowed)

    @property
    def scale(self) -> float:
        """What RoPE turns is multiplied by it.

        >>> round(Stretch("yarn", 4.0, 1024).scale, 4), Stretch("linear", 4.0).scale
        (1.1386, 1.0)
        """
        if self.kind == "linear":
            return 1.0
        return 0.1 * math.log(self.factor) + 1 if self.attention is None else self.attention
