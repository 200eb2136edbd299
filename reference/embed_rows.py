"""Rows of a quantized embedding, as floats.

>>> table = torch.tensor(([0x00, 0x3C] + [1] * 32) + ([0x00, 0x40] + [3] * 32), dtype=torch.uint8)  # rows of ones and of sixes
>>> embed_rows(table, "Q8_0", (2, 32), [1, 0, 1])[:, 0].tolist()
[6.0, 1.0, 6.0]
"""

from collections.abc import Sequence

import torch

from reference.dequantize import dequantize


def embed_rows(raw: torch.Tensor, kind: str, shape: tuple[int, int], ids: Sequence[int]) -> torch.Tensor:
    """raw the bytes (uint8) of a table of shape (n, width) → (tokens, width) float32."""
    return dequantize(raw, kind).reshape(shape)[list(ids)]
