"""The last norm, the output head and the choice of temperature 0: argmax of norm_head's logits, and how likely it is.

>>> x = leave(torch.full((32,), 2.0), torch.full((32,), 0.5), nibbles=False)  # mean square 4: normed and weighted 0.5 each
>>> rows = [[0x00, 0x3C, *[q] * 16, *[0] * 16] for q in (1, 2, 2)]  # Q8_0, d = 1: logits 8, 16, 16
>>> id, p = greedy_head(x, torch.tensor(rows, dtype=torch.uint8).reshape(-1), "Q8_0", (3, 32), eps=0.0)
>>> id, round(p, 4)  # of equals the lower id
(1, 0.4999)
"""

import torch

from reference.argmax import argmax
from reference.norm_head import leave, norm_head
from reference.softmax import softmax

__all__ = ["greedy_head", "leave"]


def greedy_head(x: torch.Tensor, raw: torch.Tensor, kind: str, shape: tuple[int, int], eps: float) -> tuple[int, float]:
    """x as `leave` leaves it, raw the bytes of a weight of shape (n, k) → (id of the largest logit, its probability)."""
    logits = norm_head(x, raw, kind, shape, eps)[None]
    winner = int(argmax(logits)[0])
    return winner, float(softmax(logits)[0, winner])
