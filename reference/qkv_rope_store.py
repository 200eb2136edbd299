"""One token's query, key and value: of a normed vector three products, two of them turned by RoPE at the token's position.

>>> x = leave(torch.ones(32), torch.ones(32), nibbles=False)
>>> ones = torch.tensor(([0x00, 0x3C] + [1] * 32) * 2, dtype=torch.uint8)  # 2 rows of ones: (32, 32), turned by a radian
>>> q, k, v = qkv_rope_store(x, [ones, ones, ones], "Q8_0", 32, d=2, position=1, base=1e4, halves=False, eps=0.0)
>>> q.round(decimals=2).tolist(), v.tolist()
([[-9.64, 44.22]], [[32.0, 32.0]])
"""

import torch

from reference.norm_head import norm_head
from reference.prepare import leave
from reference.rope import rope

__all__ = ["leave", "qkv_rope_store"]


def qkv_rope_store(
    x: torch.Tensor,
    raws: list[torch.Tensor],
    kind: str,
    width: int,
    *,
    d: int,
    position: int,
    base: float,
    halves: bool,
    eps: float,
) -> list[torch.Tensor]:
    """x as `leave` leaves it (width), raws the bytes of q's, k's and v's weights → q, k, v (heads, d), float64."""
    size = {"Q4_0": 18, "Q4_1": 20, "Q8_0": 34}[kind] * width // 32
    q, k, v = (norm_head(x, raw, kind, (len(raw) // size, width), eps).reshape(1, -1, d) for raw in raws)
    q, k = (rope(y, start=position, base=base, halves=halves) for y in (q, k))
    return [y[0] for y in (q, k, v)]
