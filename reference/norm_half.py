"""RMSNorm of each row, kept as halves: what a product reads that takes its rows as float16.

What is too large for a half, beyond 65504, is infinite.

>>> norm_half(torch.tensor([[3.0, 4.0]]), torch.tensor([1.0, 2.0]), eps=0.0)  # 3 / √12.5 = 0.848528…, the nearest half
tensor([[0.8486, 2.2637]], dtype=torch.float16)
"""

import torch

from reference.rms_norm import rms_norm


def norm_half(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    """x (rows, n), weight (n), float32 or float64 → (rows, n) float16."""
    return rms_norm(x, weight, eps).half()
