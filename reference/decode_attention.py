"""Attention of new tokens over a cache: query t stands at position p + t and looks at cache rows 0 … p + t.

    y[t, h] = Σ over s ≤ p + t of softmax over s (q[t, h] · k[s, g] / √d) · v[s, g],   g = ⌊h / (heads / kv_heads)⌋

>>> k, v = torch.tensor([[[5.0]], [[5.0]], [[99.0]]]), torch.tensor([[[2.0]], [[4.0]], [[99.0]]])  # row 2 is not written yet
>>> decode_attention(torch.tensor([[[1.0]]]), k, v, position=1).flatten()  # one query at position 1: the mean of rows 0 and 1
tensor([3.])
"""

import torch


def decode_attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, position: int) -> torch.Tensor:
    """q (tokens, heads, d), k and v (capacity, kv_heads, d) → (tokens, heads, d), of q's dtype. One query at a time."""
    k, v = k.to(q.dtype), v.to(q.dtype)  # halves become floats, exactly
    out = torch.empty_like(q)
    group = q.shape[1] // k.shape[1]
    for t in range(q.shape[0]):
        seen = position + t + 1
        for h in range(q.shape[1]):
            keys, values = k[:seen, h // group], v[:seen, h // group]
            out[t, h] = torch.softmax(keys @ q[t, h] / q.shape[2] ** 0.5, dim=0) @ values
    return out
