"""Attention of a block of tokens over a cache: what decode_attention gives, each query's rows taken 32 at a time, in one pass.

After each 32 rows the weighted sum and the sum of weights are those of all rows so far, relative to the largest score so far
(online softmax: Milakov & Gimelshein, 2018; Dao et al., FlashAttention, 2022).

>>> k, v = torch.tensor([[[5.0]], [[5.0]], [[99.0]]]), torch.tensor([[[2.0]], [[4.0]], [[99.0]]])  # row 2 is not written yet
>>> flash_prefill(torch.tensor([[[1.0]]]), k, v, position=1).flatten()  # one query at position 1: the mean of rows 0 and 1
tensor([3.])
"""

import torch


def flash_prefill(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, position: int, rows: int = 32) -> torch.Tensor:
    """q (tokens, heads, d), k and v (capacity, kv_heads, d) → (tokens, heads, d), of q's dtype."""
    k, v = k.to(q.dtype), v.to(q.dtype)  # halves become floats, exactly
    out, group = torch.empty_like(q), q.shape[1] // k.shape[1]
    for t, h in ((t, h) for t in range(q.shape[0]) for h in range(q.shape[1])):
        keys, values = k[: position + t + 1, h // group], v[: position + t + 1, h // group]
        largest, total, mixed = torch.tensor(float("-inf"), dtype=q.dtype), q.new_zeros(()), torch.zeros_like(q[t, h])
        for some, its in zip(keys.split(rows), values.split(rows), strict=True):
            scores = some @ q[t, h] / q.shape[2] ** 0.5
            now = torch.maximum(largest, scores.max())
            shrink, weights = torch.exp(largest - now), torch.exp(scores - now)
            largest, total, mixed = now, total * shrink + weights.sum(), mixed * shrink + weights @ its
        out[t, h] = mixed / total
    return out
