"""Query, key and value of a chunk of tokens, side by side in a row each: q and k turned by RoPE, k and v ready for the cache.

Pairs are neighbours in what comes in. With `halves`, the model's own pairs are (i, i + d/2), and so they are in what goes out.

>>> qkv = torch.tensor([[1.0, 0.0, 0.0, 1.0, 5.0, 6.0]])  # one token, one head of two elements each
>>> q, k, v = rope_store(qkv, 1, 1, 2, position=1, base=1e4, halves=False)  # turned by one radian
>>> q.flatten(), k.flatten(), v.flatten()
(tensor([0.5403, 0.8415]), tensor([-0.8415,  0.5403]), tensor([5., 6.]))
"""

import torch

from reference.rope import rope


def rope_store(
    qkv: torch.Tensor, heads: int, kv_heads: int, d: int, *, position: int, base: float, halves: bool
) -> list[torch.Tensor]:
    """qkv (tokens, (heads + 2 kv_heads) d), float32 or float64 → q, k, v (tokens, heads or kv_heads, d)."""
    q, k, v = (part.reshape(len(qkv), -1, d) for part in qkv.split([heads * d, kv_heads * d, kv_heads * d], dim=1))
    q, k = (rope(y, start=position, base=base) for y in (q, k))
    if halves:  # what were neighbours stand half a head apart
        q, k = (y.unflatten(2, (d // 2, 2)).transpose(2, 3).flatten(2) for y in (q, k))
    return [q, k, v]
