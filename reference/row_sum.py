"""The sum of each row: y[r] = x[r, 0] + x[r, 1] + … + x[r, n − 1].

>>> row_sum(torch.tensor([[1.0, 2.0, 3.0], [0.5, -0.5, 4.0]]))
tensor([6., 4.])
"""

import torch


def row_sum(x: torch.Tensor) -> torch.Tensor:
    """x (rows, n) float32 or float64 → (rows) in x's dtype. In float64 the specs' sums are exact to float32's last bit."""
    return x.sum(dim=1)
