"""Copy: y[i] = x[i], the same bits.

>>> copy(torch.tensor([7, -1, 0], dtype=torch.int32))
tensor([ 7, -1,  0], dtype=torch.int32)
"""

import torch


def copy(x: torch.Tensor) -> torch.Tensor:
    """x (n) whole numbers of 32 bits → (n), in memory of its own."""
    return x.clone()
