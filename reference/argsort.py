"""Argsort, descending: columns of each row, the largest element's first; ties in ascending order; NaN and ±∞ last.

>>> argsort(torch.tensor([[1.0, 3.0, float("inf"), 3.0, -2.0]]))
tensor([[1, 3, 0, 4, 2]])
"""

import torch


def argsort(logits: torch.Tensor) -> torch.Tensor:
    """logits (rows, n) float → (rows, n) int64. By the library's stable sort; −0 and +0 are equal to it, hence a tie."""
    finite = torch.isfinite(logits)
    return logits.masked_fill(~finite, float("-inf")).argsort(dim=1, descending=True, stable=True)
