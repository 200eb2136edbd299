"""Rotary position embedding: turn each pair of elements by an angle that grows with the position. (Su et al., RoFormer, 2021)

Pair i of a head is the complex number x[2i] + j·x[2i + 1]; at position p it is multiplied by e^(j·θ), θ = p · base^(−2i/d).
GGUF's Llama files hold Q and K rows in this order. Hugging Face's pair the two halves of a head: x[i] + j·x[i + d/2].
Models made for longer texts turn some pairs more slowly: θ is divided by the pair's factor. YaRN (Peng et al., 2023) makes
what is turned larger as well: `scale` times cos and sin.

>>> rope(torch.tensor([[[1.0, 0.0, 1.0, 0.0]]]), start=1, base=10000.0)  # turned by 1 and by 0.01 radians
tensor([[[0.5403, 0.8415, 0.9999, 0.0100]]])
>>> rope(torch.tensor([[[1.0, 1.0, 0.0, 0.0]]]), start=1, base=10000.0, halves=True)
tensor([[[0.5403, 0.9999, 0.8415, 0.0100]]])
>>> rope(torch.tensor([[[1.0, 0.0, 1.0, 0.0]]]), start=1, base=10000.0, factors=(1.0, 4.0), scale=2.0)
tensor([[[1.0806, 1.6829, 2.0000, 0.0050]]])
"""

from collections.abc import Sequence

import torch


def rope(
    x: torch.Tensor, start: int, base: float, halves: bool = False, factors: Sequence[float] = (), scale: float = 1.0
) -> torch.Tensor:
    """x (tokens, heads, d), float32 or float64, d even; token t stands at position start + t → the same shape and dtype.

    Angles are made in float64: at position 8192 a float32 angle would already be wrong by 0.0005 radians.
    """
    tokens, heads, d = x.shape
    if halves:  # bring the halves side by side, and back
        paired = x.reshape(tokens, heads, 2, d // 2).transpose(2, 3).reshape(x.shape)
        turned = rope(paired, start, base, factors=factors, scale=scale)
        return turned.reshape(tokens, heads, d // 2, 2).transpose(2, 3).reshape(x.shape)
    position = torch.arange(start, start + tokens, dtype=torch.float64)
    frequency = base ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)
    if factors:
        frequency /= torch.tensor(factors, dtype=torch.float64)
    turn = torch.polar(torch.tensor([scale], dtype=torch.float64), torch.outer(position, frequency))  # (tokens, d/2), complex
    pairs = torch.view_as_complex(x.double().reshape(tokens, heads, d // 2, 2).contiguous())
    return torch.view_as_real(pairs * turn[:, None]).reshape(x.shape).to(x.dtype)
