"""From logits to what is left by top-k, with probabilities of the whole row: argsort and softmax, cut off after k.

>>> order, p = sample_top(torch.tensor([[1.0, 3.0, -2.0, 3.0]]), 2)
>>> order.tolist(), [round(x, 4) for x in p.tolist()]
([1, 3], [0.4668, 0.4668])
"""

import torch

from reference.argsort import argsort
from reference.softmax import softmax


def sample_top(logits: torch.Tensor, top_k: int, temperature: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    """logits (1, n) → (columns (k) int64, the likeliest first, ties to the lower; their probabilities (k))."""
    order = argsort(logits)[0, :top_k]
    return order, softmax(logits, temperature)[0, order]
