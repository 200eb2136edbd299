"""Each row back to front: y[r, i] = x[r, n − 1 − i], the same bits.

>>> reverse(torch.tensor([[1, 2, 3], [4, 5, 6]], dtype=torch.int32))
tensor([[3, 2, 1],
        [6, 5, 4]], dtype=torch.int32)
"""

import torch


def reverse(x: torch.Tensor) -> torch.Tensor:
    """x (rows, n) whole numbers of 32 bits → (rows, n)."""
    return x.flip(dims=(1,))
