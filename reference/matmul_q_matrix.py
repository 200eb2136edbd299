"""Product of a block of tokens with a quantized weight, as matmul_q's, made of pieces of 8 × 8 as a matrix unit makes it.

>>> block = torch.tensor([0x00, 0x38, 0x00, 0xBC] + [0xF1] * 16, dtype=torch.uint8)  # half the nibble, less 1: −0.5 and 6.5
>>> matmul_q_matrix(torch.ones(2, 32), block, "Q4_1", (1, 32))
tensor([[96.],
        [96.]])
"""

from __future__ import annotations

import torch
from torch.nn.functional import pad

from reference.dequantize import dequantize


def matmul_q_matrix(
    x: torch.Tensor, raw: torch.Tensor, kind: str, shape: tuple[int, int], y: torch.Tensor | None = None
) -> torch.Tensor:
    """x (m, k) float32 or float64, raw the bytes of a weight of shape (n, k), y (m, n) what is there → (m, n), in x's dtype."""
    (m, k), n = x.shape, shape[0]
    weight = dequantize(raw, kind).reshape(shape).to(x.dtype)
    tokens = pad(x, (0, 0, 0, -m % 8)).reshape(-1, 8, k // 8, 8)  # missing tokens and rows count as zeros
    rows = pad(weight, (0, 0, 0, -n % 8)).reshape(-1, 8, k // 8, 8)
    result = torch.einsum("aibl,cjbl->aicj", tokens, rows).reshape(8 * len(tokens), 8 * len(rows))[:m, :n]
    return result if y is None else y.to(x.dtype) + result
