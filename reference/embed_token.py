"""A token's row of the embedding, and the same prepared for the first norm's product.

>>> row = torch.tensor([0x00, 0x3C] + [1] * 32, dtype=torch.uint8)  # one block of Q8_0: d = 1, all values 1
>>> x, left = embed_token(row, "Q8_0", (1, 32), 0, torch.full((32,), 3.0), nibbles=False)
>>> x.sum().item(), left[:2].tolist(), left[32:].tolist()
(32.0, [3.0, 3.0], [96.0, 32.0])
"""

import torch

from reference.dequantize import dequantize
from reference.prepare import leave


def embed_token(
    raw: torch.Tensor, kind: str, shape: tuple[int, int], token: int, norm: torch.Tensor, nibbles: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """raw the bytes of a table (n, width) → row `token` (width) float32, and what is left for the next kernel, float64."""
    x = dequantize(raw, kind).reshape(shape)[token]
    return x, leave(x.double(), norm.double(), nibbles)
