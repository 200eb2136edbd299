"""Product of a quantized weight with one vector: the weight's rows as floats, times x.

>>> block = torch.tensor([0x00, 0x38, 0x00, 0xBC] + [0xF1] * 16, dtype=torch.uint8)  # half the nibble, less 1: −0.5 and 6.5
>>> matvec_q(torch.ones(32), block, "Q4_1", (1, 32))
tensor([96.])
"""

import torch

from reference.dequantize import dequantize


def matvec_q(x: torch.Tensor, raw: torch.Tensor, kind: str, shape: tuple[int, int]) -> torch.Tensor:
    """x (k) float32 or float64, raw the bytes (uint8) of a weight of shape (n, k) → (n), in x's dtype."""
    return dequantize(raw, kind).reshape(shape).to(x.dtype) @ x
