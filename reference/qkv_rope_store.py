"""One token's query, key and value: of a normed vector three products, two of them turned by RoPE at the token's position.

Some models add biases to the products; some then norm each head of q and of k, before the turn.

>>> x = leave(torch.ones(32), torch.ones(32), nibbles=False)
>>> ones = torch.tensor(([0x00, 0x3C] + [1] * 32) * 2, dtype=torch.uint8)  # 2 rows of ones: (32, 32), turned by a radian
>>> options = {"d": 2, "position": 1, "base": 1e4, "halves": False, "eps": 0.0}
>>> q, k, v = qkv_rope_store(x, [ones, ones, ones], "Q8_0", 32, **options)
>>> q.round(decimals=2).tolist(), v.tolist()
([[-9.64, 44.22]], [[32.0, 32.0]])
>>> bias = torch.tensor([-32.0, 0.0, 0.0, 0.0, 1.0, 2.0])
>>> q, k, v = qkv_rope_store(x, [ones, ones, ones], "Q8_0", 32, bias=bias, norms=torch.ones(2, 2), **options)  # q: (0, √2)
>>> q.round(decimals=2).tolist(), v.tolist()
([[-1.19, 0.76]], [[33.0, 34.0]])
"""

from __future__ import annotations

import torch

from reference.norm_head import norm_head
from reference.prepare import leave
from reference.rms_norm import rms_norm
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
    bias: torch.Tensor | None = None,
    norms: torch.Tensor | None = None,
    scale: float = 1.0,
) -> list[torch.Tensor]:
    """x as `leave` leaves it (width), raws the bytes of q's, k's and v's weights → q, k, v (heads, d), float64.

    bias (rows of q, k and v); norms (2, d), q's weights and k's; `scale` multiplies the turned (reference/rope.py).
    """
    size = {"Q4_0": 18, "Q4_1": 20, "Q8_0": 34}[kind] * width // 32
    parts = [norm_head(x, raw, kind, (len(raw) // size, width), eps) for raw in raws]
    if bias is not None:
        parts = [y + b for y, b in zip(parts, bias.double().split([len(y) for y in parts]), strict=True)]
    q, k, v = (y.reshape(1, -1, d) for y in parts)
    if norms is not None:
        q, k = (rms_norm(y, weight, eps) for y, weight in zip((q, k), norms.double(), strict=True))
    q, k = (rope(y, start=position, base=base, halves=halves, scale=scale) for y in (q, k))
    return [y[0] for y in (q, k, v)]
