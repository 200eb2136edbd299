"""Query, key and value of a chunk of tokens, side by side in a row each: q and k turned by RoPE, k and v ready for the cache.

Pairs are neighbours in what comes in. With `halves`, the model's own pairs are (i, i + d/2), and so they are in what goes out.
Some models add biases first; some then norm each head of q and of k. These lie in the model's own order.

>>> qkv = torch.tensor([[1.0, 0.0, 0.0, 1.0, 5.0, 6.0]])  # one token, one head of two elements each
>>> q, k, v = rope_store(qkv, 1, 1, 2, position=1, base=1e4, halves=False)  # turned by one radian
>>> q.flatten(), k.flatten(), v.flatten()
(tensor([0.5403, 0.8415]), tensor([-0.8415,  0.5403]), tensor([5., 6.]))
>>> bias, norms = torch.tensor([0.0, 0.0, 0.0, 1.0, 1.0, 1.0]), torch.ones(2, 2)  # k becomes (0, 2), then (0, √2)
>>> q, k, v = rope_store(qkv, 1, 1, 2, position=0, base=1e4, halves=False, bias=bias, norms=norms, eps=0.0)
>>> q.flatten(), k.flatten(), v.flatten()
(tensor([1.4142, 0.0000]), tensor([0.0000, 1.4142]), tensor([6., 7.]))
"""

from __future__ import annotations

import torch

from reference.rms_norm import rms_norm
from reference.rope import rope


def rope_store(
    qkv: torch.Tensor,
    heads: int,
    kv_heads: int,
    d: int,
    *,
    position: int,
    base: float,
    halves: bool,
    bias: torch.Tensor | None = None,
    norms: torch.Tensor | None = None,
    eps: float = 0.0,
    scale: float = 1.0,
) -> list[torch.Tensor]:
    """qkv (tokens, (heads + 2 kv_heads) d), float32 or float64 → q, k, v (tokens, heads or kv_heads, d).

    bias ((heads + 2 kv_heads) d); norms (2, d), q's weights and k's; `scale` multiplies the turned (reference/rope.py).
    """
    sizes = [heads * d, kv_heads * d, kv_heads * d]
    parts = [part.reshape(len(qkv), -1, d) for part in qkv.split(sizes, dim=1)]
    if halves:  # what were neighbours stand half a head apart
        parts[:2] = (y.unflatten(2, (d // 2, 2)).transpose(2, 3).flatten(2) for y in parts[:2])
    if bias is not None:
        parts = [y + b.reshape(-1, d) for y, b in zip(parts, bias.to(qkv.dtype).split(sizes), strict=True)]
    if norms is not None:
        parts[:2] = (rms_norm(y, weight, eps) for y, weight in zip(parts[:2], norms.to(qkv.dtype), strict=True))
    parts[:2] = (rope(y, start=position, base=base, halves=halves, scale=scale) for y in parts[:2])
    return parts
