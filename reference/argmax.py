"""Argmax over finite values: the column of each row's largest element, ties to the lower column; NaN and ±∞ never win.

>>> argmax(torch.tensor([[1.0, 3.0, 3.0], [float("nan"), -2.0, float("inf")], [float("nan")] * 3]))
tensor([         1,          1, 4294967295])
"""

import torch

NOTHING = 0xFFFFFFFF  # for a row without a finite value


def argmax(logits: torch.Tensor) -> torch.Tensor:
    """logits (rows, n) float → (rows) int64. Sorts, which is nothing like the kernel's reduction, and keeps ties in order."""
    finite = torch.isfinite(logits)
    order = logits.masked_fill(~finite, float("-inf")).argsort(dim=1, descending=True, stable=True)
    return torch.where(finite.any(dim=1), order[:, 0], NOTHING)
