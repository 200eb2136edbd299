"""Causal self-attention with grouped queries. (Vaswani et al., 2017; grouped queries: Ainslie et al., GQA, 2023)

    y[t, h] = Σ over s ≤ t of softmax over s ≤ t (q[t, h] · k[s, g] / √d) · v[s, g],   g = ⌊h / (heads / kv_heads)⌋

>>> q, k = torch.tensor([[[0.0]], [[1.0]]]), torch.tensor([[[5.0]], [[5.0]]])  # 2 tokens, 1 head, d = 1; k tells nothing apart
>>> attention(q, k, torch.tensor([[[2.0]], [[4.0]]])).flatten()  # token 0 sees itself; token 1 the mean of both
tensor([2., 3.])
"""

import torch


def attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """q (tokens, heads, d), k and v (tokens, kv_heads, d), float32 or float64 → (tokens, heads, d)."""
    weights = attention_weights(q, k)
    return torch.einsum("hts,shd->thd", weights, v.repeat_interleave(q.shape[1] // v.shape[1], dim=1))


def attention_weights(q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    """How much token t looks at token s, for each head: (heads, t, s); a row sums to 1, and is 0 where s > t."""
    tokens, heads, d = q.shape
    scores = torch.einsum("thd,shd->hts", q, k.repeat_interleave(heads // k.shape[1], dim=1)) / d**0.5
    future = torch.ones(tokens, tokens, dtype=torch.bool).triu(diagonal=1)
    return scores.masked_fill(future, float("-inf")).softmax(dim=-1)
