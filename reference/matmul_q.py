"""Product of a block of tokens with a quantized weight: the weight's rows as floats, times each token's x; or that added to y.

>>> block = torch.tensor([0x00, 0x38, 0x00, 0xBC] + [0xF1] * 16, dtype=torch.uint8)  # half the nibble, less 1: −0.5 and 6.5
>>> matmul_q(torch.ones(2, 32), block, "Q4_1", (1, 32))
tensor([[96.],
        [96.]])
"""

import torch

from reference.dequantize import dequantize


def matmul_q(
    x: torch.Tensor, raw: torch.Tensor, kind: str, shape: tuple[int, int], y: torch.Tensor | None = None
) -> torch.Tensor:
    """x (m, k) float32 or float64, raw the bytes of a weight of shape (n, k), y (m, n) what is there → (m, n), in x's dtype."""
    product = x @ dequantize(raw, kind).reshape(shape).to(x.dtype).T
    return product if y is None else y.to(x.dtype) + product
