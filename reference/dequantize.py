"""Dequantization: the bytes of a tensor in a file → float32.

    F32, F16   the values themselves
    BF16       the upper half of a float32, whose lower half is 0
    Q8_0       blocks of 34 bytes: half d, 32 signed bytes q               → d · q
    Q4_0       blocks of 18 bytes: half d, 16 bytes of two nibbles         → d · (q − 8), the 16 low nibbles first
    Q4_1       blocks of 20 bytes: half d, half m, 16 bytes of two nibbles → d · q + m, the 16 low nibbles first

>>> block = torch.tensor([0x00, 0x38, 0x00, 0xBC] + [0xF1] * 16, dtype=torch.uint8)  # d = 0.5, m = -1, low 1, high 15
>>> dequantize(block, "Q4_1")[[0, 15, 16, 31]]
tensor([-0.5000, -0.5000,  6.5000,  6.5000])

In float64 every product and sum here is exact (multiples of 2⁻²⁴ below 2²¹), so there is one rounding, to float32, at the end.
"""

import torch


def dequantize(raw: torch.Tensor, kind: str) -> torch.Tensor:
    """raw (bytes) uint8 → (values) float32, rounded once. Raises KeyError for another kind."""
    return {"F32": _f32, "F16": _f16, "BF16": _bf16, "Q8_0": _q8_0, "Q4_0": _q4_0, "Q4_1": _q4_1}[kind](raw)


def _f32(raw: torch.Tensor) -> torch.Tensor:
    return raw.view(torch.float32)


def _f16(raw: torch.Tensor) -> torch.Tensor:
    return raw.view(torch.float16).float()


def _q8_0(raw: torch.Tensor) -> torch.Tensor:
    scale, q = raw.reshape(-1, 34).split([2, 32], dim=1)
    return (_half(scale) * q.contiguous().view(torch.int8)).float().flatten()


def _bf16(raw: torch.Tensor) -> torch.Tensor:
    return torch.stack([torch.zeros_like(raw.view(torch.int16)), raw.view(torch.int16)], dim=1).view(torch.float32).flatten()


def _q4_0(raw: torch.Tensor) -> torch.Tensor:
    scale, pairs = raw.reshape(-1, 18).split([2, 16], dim=1)
    q = torch.cat([pairs % 16, pairs // 16], dim=1).double() - 8
    return (_half(scale) * q).float().flatten()


def _q4_1(raw: torch.Tensor) -> torch.Tensor:
    scale, least, pairs = raw.reshape(-1, 20).split([2, 2, 16], dim=1)
    q = torch.cat([pairs % 16, pairs // 16], dim=1)
    return (_half(scale) * q + _half(least)).float().flatten()


def _half(pair: torch.Tensor) -> torch.Tensor:
    """(blocks, 2) bytes → (blocks, 1) float64."""
    return pair.contiguous().view(torch.float16).double()
