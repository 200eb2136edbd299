"""Softmax with a temperature: y = exp(x / T) / Σ exp(x / T) along the last axis.

>>> softmax(torch.tensor([[0.0, math.log(3.0)]]))
tensor([[0.2500, 0.7500]])
>>> softmax(torch.tensor([[0.0, math.log(3.0)]]), temperature=0.5)  # weights 1 : 3² instead of 1 : 3
tensor([[0.1000, 0.9000]])
"""

import math  # noqa: F401  (for the examples)

import torch


def softmax(x: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
    """x (rows, n) → (rows, n) of x's dtype, computed in float64: the largest is subtracted, which cancels in the quotient."""
    z = x.double() / temperature
    weights = torch.exp(z - z.max(dim=-1, keepdim=True).values)
    return (weights / weights.sum(dim=-1, keepdim=True)).to(x.dtype)
