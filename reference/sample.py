"""Top-k (Fan et al., 2018), top-p (Holtzman et al., 2020), min-p (Nguyen et al., 2024) and a seeded draw, in that order.

float32 sums, one addition after the other (`accumulate` over np.float32), so that kernel and reference agree bit for bit.

>>> p = np.float32([0.5, 0.25, 0.125, 0.125])
>>> keep(p, [0, 1, 2, 3], top_k=3).tolist()
[0.5, 0.25, 0.125, 0.0]
>>> keep(p, [0, 1, 2, 3], top_p=0.75).tolist()  # 0.5 + 0.25 reaches 0.75
[0.5, 0.25, 0.0, 0.0]
>>> keep(p, [0, 1, 2, 3], top_k=3, top_p=0.75).tolist()  # of the first three's 0.875, that is 0.65625
[0.5, 0.25, 0.0, 0.0]
>>> keep(p, [0, 1, 2, 3], min_p=0.5).tolist()
[0.5, 0.25, 0.0, 0.0]
>>> [draw(p, u) for u in (0.0, 0.49, 0.5, 0.8, 0.99)]
[0, 0, 1, 2, 3]
"""

from collections.abc import Sequence
from itertools import accumulate

import numpy as np

TINY = np.float32(2.0**-126)  # what is smaller counts as 0: a fast-math device may flush it


def keep(p: np.ndarray, order: Sequence[int], top_k: int = 0, top_p: float = 1.0, min_p: float = 0.0) -> np.ndarray:
    """p (n) float32 probabilities, order: ids by falling probability → (n) float32: p of a kept token, 0 of a cut one."""
    left = list(order)[: top_k or len(p)]
    if top_p < 1:
        sums = list(accumulate(p[i] for i in left))
        wanted = np.float32(top_p) * sums[-1]
        left = left[: next((j + 1 for j, s in enumerate(sums) if s >= wanted), len(left))]
    floor = np.float32(min_p) * p[order[0]]
    weights = np.zeros_like(p)
    for i in left:
        weights[i] = p[i] if p[i] >= floor and p[i] >= TINY else 0
    return weights


def draw(weights: np.ndarray, u: float) -> int:
    """The first id at which the running sum exceeds u × total; the last one of weight above 0 if rounding lets none."""
    sums = list(accumulate(weights))
    wanted = np.float32(u) * sums[-1]
    return next((i for i, s in enumerate(sums) if s > wanted), int(np.flatnonzero(weights)[-1]))
