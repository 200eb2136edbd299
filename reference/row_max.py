"""The largest element of each row: y[r] = max over i of x[r, i].

>>> row_max(torch.tensor([[1.0, 3.0, 2.0], [-5.0, -4.0, -6.0]]))
tensor([ 3., -4.])
"""

import torch


def row_max(x: torch.Tensor) -> torch.Tensor:
    """x (rows, n) float32, finite → (rows) float32. One of the row's own elements, so nothing is rounded."""
    return x.max(dim=1).values
