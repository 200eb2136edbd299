"""Matrix product with a weight stored as PyTorch's nn.Linear stores it: one row per output.

    y[i, j] = Σ over l of x[i, l] · weight[j, l]

>>> matmul(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[10.0, 1.0], [0.0, 1.0], [-1.0, 0.5]]))
tensor([[12.,  2.,  0.],
        [34.,  4., -1.]])
"""

import torch


def matmul(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """x (m, k), weight (n, k), float32 or float64 → (m, n) in x's dtype."""
    return torch.einsum("il,jl->ij", x, weight)
