"""The hidden layer of the feed-forward part: silu(gate) · up of a normed vector, prepared for the way down.

>>> x = leave(torch.ones(32), torch.ones(32), nibbles=False)
>>> ones = torch.tensor(([0x00, 0x3C] + [1] * 32) * 32, dtype=torch.uint8)  # gate and up are 32, and silu(32) is 32
>>> gate_up_swiglu(x, ones, ones, "Q8_0", (32, 32), eps=0.0, nibbles=False)[[0, 32]].round(decimals=3)
tensor([ 1024., 32768.], dtype=torch.float64)
"""

import torch

from reference.norm_head import norm_head
from reference.prepare import leave
from reference.swiglu import swiglu


def gate_up_swiglu(
    x: torch.Tensor, gate: torch.Tensor, up: torch.Tensor, kind: str, shape: tuple[int, int], eps: float, nibbles: bool
) -> torch.Tensor:
    """x as `leave` leaves it (width), gate and up the bytes of weights (ffn, width) → what is left (ffn), float64."""
    value = swiglu(norm_head(x, gate, kind, shape, eps), norm_head(x, up, kind, shape, eps))
    return leave(value, torch.ones_like(value), nibbles)
