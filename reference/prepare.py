"""x made ready for products with packed weights: blocks of 32 with their sums, values multiplied for their nibble.

The j-th value of a block meets a nibble that stands 4n bits above the bottom of its word, n = 2 (j mod 4) + ⌊j / 16⌋: what is
read there is 16ⁿ too large, so x[j] becomes 16⁻ⁿ x[j]. The topmost, n = 7, is shifted down when it is read.

>>> y, sums = prepare(torch.ones(32), nibbles=True)
>>> (y[[0, 1, 2, 3, 16, 17, 18, 19]]).tolist(), sums.tolist()
([1.0, 0.00390625, 1.52587890625e-05, 5.960464477539063e-08, 0.0625, 0.000244140625, 9.5367431640625e-07, 1.0], [32.0])
"""

import torch


def scale(nibbles: bool) -> torch.Tensor:
    """What the 32 values of a block are multiplied by, float64: powers of two."""
    j = torch.arange(32)
    n = 2 * (j % 4) + j // 16
    return 16.0 ** -(torch.where(n == 7, 0, n) * nibbles).double()


def prepare(x: torch.Tensor, nibbles: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """x (k) float32 or float64 → (k), (k / 32)."""
    blocks = x.reshape(-1, 32)
    return (blocks * scale(nibbles).to(x.dtype)).flatten(), blocks.sum(dim=1)


def leave(value: torch.Tensor, norm: torch.Tensor, nibbles: bool) -> torch.Tensor:
    """What a fast kernel leaves for the next: value · norm (k), prepared; its sums (k / 32); the sums of value² (k / 32)."""
    y, sums = prepare(value * norm, nibbles)
    return torch.cat([y, sums, value.pow(2).reshape(-1, 32).sum(dim=1)])


def take(left: torch.Tensor, nibbles: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """What `leave` left (k + k / 16): the vector, not multiplied for nibbles, float64, and the mean of squares."""
    k = len(left) * 16 // 17
    vector = (left[:k].double().reshape(-1, 32) / scale(nibbles)).flatten()
    return vector, left[k + k // 32 :].double().sum() / k
