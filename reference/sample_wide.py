"""From logits to the weights of what any of the cuts leave: softmax, argsort and m3's cuts.

>>> logits = torch.log(torch.tensor([[1.0, 2.0, 4.0, 4.0]]))
>>> [round(w * 11, 4) for w in sample_wide(logits, top_p=0.7).tolist()]  # 4/11 + 4/11 reaches 0.7
[0.0, 0.0, 4.0, 4.0]
>>> [round(w * 11, 4) for w in sample_wide(logits, top_p=0.3).tolist()]  # of equals the lower id
[0.0, 0.0, 4.0, 0.0]
>>> [round(w * 25, 4) for w in sample_wide(logits * 2, top_k=3, min_p=0.25).tolist()]  # min-p: at least 1/4 of 16/37
[0.0, 2.7027, 10.8108, 10.8108]
"""

import numpy as np
import torch

from reference.argsort import argsort
from reference.sample import keep
from reference.softmax import softmax


def sample_wide(
    logits: torch.Tensor, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0, min_p: float = 0.0
) -> np.ndarray:
    """logits (1, n) → (n) float32: the probability of a kept token, 0 of a cut one."""
    p = softmax(logits, temperature)[0].float().numpy()
    return keep(p, argsort(logits)[0].tolist(), top_k, top_p, min_p)
