"""How many elements of each row are NaN or infinite.

>>> nonfinite(torch.tensor([[1.0, float("nan"), float("-inf")], [0.0, -0.0, 3e38]]))
tensor([2, 0])
"""

import torch


def nonfinite(x: torch.Tensor) -> torch.Tensor:
    """x (rows, n) float → (rows) int64."""
    return (~torch.isfinite(x)).sum(dim=1)
