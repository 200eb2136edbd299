"""Quantization: float32 → blocks of 32 values that share a scale d (in Q4_1 and Q5_1 also a minimum m), as `gguf` makes them.

    Q8_0           d = max|x| / 127        q = x / d, rounded, halves away from zero
    Q4_0, Q5_0     d = e / −8, e / −16     q = ⌊x / d + 8.5⌋, ⌊x / d + 16.5⌋, at most 15, 31  e: the first x of the largest |x|
    Q4_1, Q5_1     d = (max − m) / 15, 31  q = ⌊(x − m) / d + 0.5⌋, at most 15, 31            m: the smallest x

"/ d" is the product with 1 / d, and every operation rounds to float32. d and m are stored as halves; q counts by the d before
that. A d below 2⁻¹⁰⁰ counts as 0, and anything "/ 0" is 0. Of zeros of both signs, m is −0. Formats: reference/dequantize_k.py.

>>> block = quantize(torch.tensor([0.5, -4.0, 3.6] + [0.0] * 29), "Q4_0")  # d = -4 / -8 = 0.5, as a half 0x3800
>>> block[:6].tolist()  # numbers 9, 0, 15, 8 …: 1 + 8.5, -8 + 8.5, 7.2 + 8.5, 0 + 8.5; the high nibbles are values 16 to 31
[0, 56, 137, 128, 143, 136]
"""

import torch


def quantize(x: torch.Tensor, kind: str) -> torch.Tensor:
    """x (values) float32, a multiple of 32 of them, finite → (bytes) uint8. Raises KeyError for another kind."""
    return {"Q8_0": _q8_0, "Q4_0": _q4_0, "Q4_1": _q4_1, "Q5_0": _q5_0, "Q5_1": _q5_1}[kind](x.reshape(-1, 32)).flatten()


def _q8_0(x: torch.Tensor) -> torch.Tensor:
    d = x.abs().amax(dim=1, keepdim=True) / 127
    scaled = x * _inverse(d)
    q = scaled.trunc() + (2 * scaled.frac()).trunc()
    return torch.cat([_half(d), q.to(torch.int8).view(torch.uint8)], dim=1)


def _q4_0(x: torch.Tensor) -> torch.Tensor:
    d, q = _signed(x, 8)
    return torch.cat([_half(d), _nibbles(q)], dim=1)


def _q5_0(x: torch.Tensor) -> torch.Tensor:
    d, q = _signed(x, 16)
    return torch.cat([_half(d), _fifth_bits(q), _nibbles(q)], dim=1)


def _q4_1(x: torch.Tensor) -> torch.Tensor:
    d, m, q = _unsigned(x, 15)
    return torch.cat([_half(d), _half(m), _nibbles(q)], dim=1)


def _q5_1(x: torch.Tensor) -> torch.Tensor:
    d, m, q = _unsigned(x, 31)
    return torch.cat([_half(d), _half(m), _fifth_bits(q), _nibbles(q)], dim=1)


def _signed(x: torch.Tensor, middle: int) -> tuple[torch.Tensor, torch.Tensor]:
    d = x.gather(1, x.abs().argmax(dim=1, keepdim=True)) / -middle  # the first, if there are several
    return d, (x * _inverse(d) + (middle + 0.5)).int().clamp(0, 2 * middle - 1)


def _unsigned(x: torch.Tensor, steps: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    m = x.amin(dim=1, keepdim=True)
    m = torch.where(((x == 0) & x.signbit()).any(dim=1, keepdim=True) & (m == 0), -0.0, m)
    d = (x.amax(dim=1, keepdim=True) - m) / steps
    return d, m, ((x - m) * _inverse(d) + 0.5).int().clamp(0, steps)


def _inverse(d: torch.Tensor) -> torch.Tensor:
    return torch.where(d.abs() < 2.0**-100, 0.0, 1 / d)


def _half(value: torch.Tensor) -> torch.Tensor:
    """(blocks, 1) float32 → (blocks, 2) bytes."""
    return value.half().view(torch.uint8)


def _nibbles(q: torch.Tensor) -> torch.Tensor:
    return ((q[:, :16] & 15) | (q[:, 16:] & 15) << 4).to(torch.uint8)


def _fifth_bits(q: torch.Tensor) -> torch.Tensor:
    """Bit 4 of number i as bit i of 32."""
    return ((q.long() >> 4 & 1) << torch.arange(32)).sum(dim=1, keepdim=True).int().view(torch.uint8)
