"""The last norm and the output head, of a vector as the kernel before left it: times the norm's weights already.

    logits = (x · weightᵀ) / sqrt(mean square + eps)

>>> x = leave(torch.full((32,), 2.0), torch.full((32,), 3.0), nibbles=False)  # mean square 4; times the norm's weights 6
>>> norm_head(x, torch.tensor([0x00, 0x3C] + [1] * 32, dtype=torch.uint8), "Q8_0", (1, 32), eps=0.0)  # 32 · 6 / 2
tensor([96.], dtype=torch.float64)
"""

import torch

from reference.matvec_q import matvec_q
from reference.prepare import leave, take

__all__ = ["leave", "norm_head"]


def norm_head(x: torch.Tensor, raw: torch.Tensor, kind: str, shape: tuple[int, int], eps: float) -> torch.Tensor:
    """x as `leave` leaves it, raw the bytes of a weight of shape (n, k) → (n) float64."""
    vector, square = take(x, kind != "Q8_0")
    return matvec_q(vector, raw, kind, shape) / torch.sqrt(square + eps)
