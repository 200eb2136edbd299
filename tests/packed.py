"""Inputs of specs whose kernels read packed weights and vectors that were left by another kernel; and the bounds they share."""

from __future__ import annotations

import numpy as np
import torch
from gguf import GGMLQuantizationType, quants

from metal.tensor import Tensor
from reference.compare import assert_close
from reference.matvec_q import matvec_q
from reference.prepare import leave, scale, take
from reference.tolerance import EPSILON, TINY, packed_bound

EPS = EPSILON[np.dtype(np.float32)]
KINDS = ("Q4_0", "Q4_1", "Q8_0")


def weight(seed, kind, n, k):
    """Bytes of a weight: the `gguf` package's blocks of normal rows with outliers."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((n, k)).astype(np.float32) * 10.0 ** rng.integers(-2, 1, (n, 1)).astype(np.float32)
    rows.reshape(-1)[:: max(2, rows.size // 5)] *= 30
    return quants.quantize(rows, GGMLQuantizationType[kind]).reshape(-1)


def vector(seed, k, spread=1.0):
    x = (np.random.default_rng(seed + 1).standard_normal(k) * spread).astype(np.float32)
    x[::19] *= 20
    return x


def left(seed, k, kind, spread=1.0):
    """A vector as a kernel leaves it for a weight of `kind`, float32."""
    x, norm = (torch.from_numpy(vector(seed + i, k, s)) for i, s in ((0, spread), (7, 0.5)))
    return leave(x.double(), norm.double(), kind != "Q8_0").float().numpy()


def normed(x, raw, kind, shape, eps):
    """A norm's factor times a product: its result in float64, and its bound.

    The product errs by packed_bound. The squares are ⌈k / 32⌉ sums, added in any order; mean, ε, root and the product with
    the factor round too: (k / 64 + 8) ε of the result, which is half of the squares' error, and more than what the rest makes.
    """
    v, square = take(torch.from_numpy(x), kind != "Q8_0")
    factor = float(1 / (square + eps) ** 0.5)
    y = factor * matvec_q(v, torch.from_numpy(raw), kind, shape).numpy()
    return y, factor * packed_bound(v.numpy(), raw, kind, shape) + (shape[1] / 64 + 8) * EPS * np.abs(y)


def headed(y, error, weight, eps):
    """RMSNorm of heads (…, d), float64, that are off by `error` beforehand: its result, and its bound.

    1/√(mean square + ε) moves by its cube times the mean of |y| · error, to first order; 2⁻¹⁰ of that is more than the second.
    The d squares and their sum round d times by ε, of which the root keeps half, and rms_norm's 8 more; ε/2 each: d/4 + 8.
    """
    level = 1 / np.sqrt((y**2).mean(-1, keepdims=True) + eps)
    off = level * error + np.abs(y) * level**3 * (np.abs(y) * error).mean(-1, keepdims=True)
    made = y * level * weight
    return made, np.abs(weight) * off * (1 + 2.0**-10) + (y.shape[-1] / 4 + 8) * EPS * np.abs(made)


def turned_bound(y, error, halves, scale=1.0):
    """What heads (…, d) may be off by after their turn, if by `error` before: both of the pair's errors, 11 ε of their sizes
    for the angle, its sine and cosine, and the sum (reference/tolerance.py, rope), and 1 ε for the product with the scale.
    """
    d = y.shape[-1]
    other = [(i + d // 2) % d if halves else i ^ 1 for i in range(d)]
    size = np.abs(y)
    return scale * (error + error[..., other] + 12 * EPS * (size + size[..., other]))


def extras(seed, heads, kv_heads, d, which):
    """What some models have beside a Llama's products, of the words in `which`: bias, norms (their weights), scale."""
    rng = np.random.default_rng(seed + 99)
    bias = rng.standard_normal((heads + 2 * kv_heads) * d) * 3.0
    norms = 1 + 0.5 * rng.standard_normal((2, d))
    return (
        bias.astype(np.float32) if "bias" in which else None,
        norms.astype(np.float32) if "norms" in which else None,
        1.25 if "scale" in which else 1.0,
    )


def assert_left(got, value, error, norm, nibbles, squares=True):
    """What a kernel left, against `value` (float64), of which it may be off by `error`, times norm.

    The product with the norm's weights rounds (ε/2); multiplying for nibbles is exact. A sum of 32 rounds 31 times, by ε/2 of
    the sum of the sizes; a sum of squares too, each of which doubles its value's relative error.
    """
    k, y = len(value), value * norm
    off = np.abs(norm) * error + EPS * np.abs(y) + TINY
    up = 1 / np.tile(scale(nibbles).numpy(), k // 32)
    assert_close((got[:k] * up).astype(np.float32), y.astype(np.float32), off, what="values")
    blocks = lambda a: a.reshape(-1, 32).sum(axis=1)  # noqa: E731
    assert_close(got[k : k + k // 32], blocks(y).astype(np.float32), blocks(off + 16 * EPS * np.abs(y)) + TINY, what="sums")
    if squares:
        off = 2 * np.abs(value) * error + error**2 + 18 * EPS * value**2
        assert_close(got[k + k // 32 :], blocks(value**2).astype(np.float32), blocks(off) + TINY, what="squares")


def tiled(rows):
    """Rows (capacity, heads, d) as m6 keeps keys: (tiles, heads, d, 32), missing rows of the last tile as in a new cache."""
    room = np.full((-(-len(rows) // 32) * 32, *rows.shape[1:]), np.nan, rows.dtype)
    room[: len(rows)] = rows
    return np.ascontiguousarray(room.reshape(-1, 32, *rows.shape[1:]).transpose(0, 2, 3, 1))


def with_room(gpu, shape, dtype=np.float32):
    """A tensor, and the function that says whether the memory behind it is as poisoned as before."""
    size = int(np.prod(shape))
    room = gpu.empty((size + 2048,), dtype)
    before = room.numpy().copy()[size:]

    def check():
        bits = f"u{before.itemsize}"
        written = room.numpy()[size:].view(bits) != before.view(bits)
        assert not written.any(), (
            f"memory past the output: {written.sum()} elements behind its last were written, the first of them "
            f"{written.argmax()} further on: is the tail sent home?"
        )

    return Tensor(room.buffer, shape, dtype), check
