"""RMSNorm: divide each row by its root mean square, then scale each column. (Zhang & Sennrich, 2019)

    y[r, i] = x[r, i] / sqrt(mean over j of x[r, j]² + eps) · weight[i]

>>> rms_norm(torch.tensor([[3.0, 4.0]]), torch.tensor([1.0, 2.0]), eps=0.0)  # root mean square = √12.5 ≈ 3.5355
tensor([[0.8485, 2.2627]])
"""

import torch


def rms_norm(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    """x (rows, n), weight (n), float32 or float64 → (rows, n) in x's dtype. ε is added inside the root."""
    mean_square = x.pow(2).mean(dim=-1, keepdim=True)
    return x / torch.sqrt(mean_square + eps) * weight
