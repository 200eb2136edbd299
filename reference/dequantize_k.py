"""Dequantization of the kinds that reference/dequantize.py leaves out: the bytes of a tensor in a file → float32.

Blocks of 32 values; bit i of the 32 is bit 4 of number i, byte i holds the low 4 bits of numbers i and i + 16:

    Q5_0  22 bytes: half d, 32 bits, 16 bytes           → d · (q − 16)
    Q5_1  24 bytes: half d, half m, 32 bits, 16 bytes   → d · q + m

"K" kinds, blocks of 256 values in 8 runs of 32 (Q6_K: 16 of 16), each with a scale of its own that is a small whole number:

    Q4_K  144 bytes: half d, half m, 12 bytes of eight 6-bit scales s and minimums t, 128 bytes → d · s · q − m · t
    Q5_K  176 bytes: the same, with 32 bytes of fifth bits before the 128                       → d · s · q − m · t
    Q6_K  210 bytes: 128 bytes of low 4 bits, 64 of upper 2, 16 signed bytes s, half d          → d · s · (q − 32)

Runs 2i and 2i + 1 share 32 bytes of nibbles, low and high (Q6_K: of each 128 values, the first 64 are low nibbles). Bit r of
fifth byte i belongs to value i of run r.

>>> block = torch.tensor([0x00, 0x38, 0x00, 0xBC, 1, 0, 0, 0x80] + [0xF1] * 16, dtype=torch.uint8)  # d = 0.5, m = -1
>>> dequantize_k(block, "Q5_1")[[0, 1, 16, 31]]  # 17, 1, 15, 31
tensor([ 7.5000, -0.5000,  6.5000, 14.5000])

In float64 every product and sum here is exact, so there is one rounding, to float32, at the end.
"""

import torch


def dequantize_k(raw: torch.Tensor, kind: str) -> torch.Tensor:
    """raw (bytes) uint8 → (values) float32, rounded once. Raises KeyError for another kind."""
    return {"Q5_0": _q5_0, "Q5_1": _q5_1, "Q4_K": _q4_k, "Q5_K": _q5_k, "Q6_K": _q6_k}[kind](raw).float().flatten()


def _q5_0(raw: torch.Tensor) -> torch.Tensor:
    d, fifth, pairs = raw.reshape(-1, 22).split([2, 4, 16], dim=1)
    return _half(d) * (_numbers(pairs, 16) + 16 * _bits(fifth) - 16)


def _q5_1(raw: torch.Tensor) -> torch.Tensor:
    d, m, fifth, pairs = raw.reshape(-1, 24).split([2, 2, 4, 16], dim=1)
    return _half(d) * (_numbers(pairs, 16) + 16 * _bits(fifth)) + _half(m)


def _q4_k(raw: torch.Tensor) -> torch.Tensor:
    d, m, packed, pairs = raw.reshape(-1, 144).split([2, 2, 12, 128], dim=1)
    return _scaled(d, m, packed, _numbers(pairs, 32))


def _q5_k(raw: torch.Tensor) -> torch.Tensor:
    d, m, packed, fifth, pairs = raw.reshape(-1, 176).split([2, 2, 12, 32, 128], dim=1)
    by_run = _bits(fifth).reshape(-1, 32, 8).transpose(1, 2).flatten(1)
    return _scaled(d, m, packed, _numbers(pairs, 32) + 16 * by_run)


def _q6_k(raw: torch.Tensor) -> torch.Tensor:
    low, upper, scales, d = raw.reshape(-1, 210).split([128, 64, 16, 2], dim=1)
    two = torch.stack([upper.reshape(-1, 2, 32) >> shift & 3 for shift in (0, 2, 4, 6)], dim=2).flatten(1)
    q = (_numbers(low, 64) + 16 * two - 32).unflatten(1, (16, 16))
    return _half(d)[:, None] * scales.view(torch.int8)[:, :, None] * q


def _scaled(d: torch.Tensor, m: torch.Tensor, packed: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """Scales and minimums 0 to 3 are the low 6 bits of bytes 0–3 and 4–7, whose upper 2 bits are those of 4 to 7; bytes 8–11
    are the rest of these: low nibbles of the scales, high ones of the minimums."""
    a, b, c = packed.double().split(4, dim=1)
    scales = torch.cat([a % 64, c % 16 + (a // 64) * 16], dim=1)
    least = torch.cat([b % 64, c // 16 + (b // 64) * 16], dim=1)
    return (_half(d) * scales)[:, :, None] * q.unflatten(1, (8, 32)) - (_half(m) * least)[:, :, None]


def _numbers(pairs: torch.Tensor, run: int) -> torch.Tensor:
    """Of each `run` bytes the low nibbles, then the high ones."""
    bytes_ = pairs.reshape(len(pairs), -1, run).double()
    return torch.stack([bytes_ % 16, bytes_ // 16], dim=2).flatten(1).floor()


def _bits(bytes_: torch.Tensor) -> torch.Tensor:
    """The bits of each byte, the lowest first."""
    return (bytes_[:, :, None] >> torch.arange(8) & 1).flatten(1).double()


def _half(pair: torch.Tensor) -> torch.Tensor:
    """(blocks, 2) bytes → (blocks, 1) float64."""
    return pair.contiguous().view(torch.float16).double()
