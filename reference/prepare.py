"""x made ready for products with packed weights: blocks of 32 with their sums, values multiplied for their nibble.

The j-th value of a block meets a nibble that stands 4n bits above the bottom of its word, n = 2 (j mod 4) + ⌊j / 16⌋: what is read there
is 16ⁿ too large, so x[j] becomes 16⁻ⁿ x[j]. The topmost, n = 7, is shifted down when it is read.

>>> y, sums = prepare(torch.ones(32), nibbles=True)
>>> (y[[0, 1, 2, 3, 16, 17, 18, 19]]).tolist(), sums.tolist()
([1.0, 0.00390625, 1.52587890625e-05, 5.960464477539063e-08, 0.0625, 0.000244140625, 9.5367431640625e-07, 1.0], [32.0])
"""

import torch


def prepare(x: torch.Tensor, nibbles: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """x (k) float32 or float64 → (k), (k / 32)."""
    j = torch.arange(32)
    n = 2 * (j % 4) + j // 16
    scale = torch.where(n == 7, 0, n) * nibbles
    blocks = x.reshape(-1, 32)
    return (blocks * 16.0 ** -scale.to(x.dtype)).flatten(), blocks.sum(dim=1)
