"""The residual add: what a block computed is added to what came in.

    y[i] = a[i] + b[i]

>>> add(torch.tensor([1.0, -2.5]), torch.tensor([0.25, 2.5]))
tensor([1.2500, 0.0000])
"""

import torch


def add(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """a and b of one shape, float32 or float64 → the same shape and dtype. No broadcasting."""
    return a + b
