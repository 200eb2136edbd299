"""The one table of tolerances. Each is an error bound, never tuned until green.

ε = 2⁻²³ is the spacing of float32 at 1; a correctly rounded operation errs by at most ε/2 of its result. A sum of n products
in any order errs by at most n·ε/2 · Σ|aᵢbᵢ| to first order (Higham, Accuracy and Stability of Numerical Algorithms, §3.1);
products and sums each round, hence terms × ε with a magnitude Σ|aᵢbᵢ| that the spec computes in float64. Fast math may
reassociate (covered: any order) and replace division by a reciprocal (a few ε, counted per op below).
"""

from __future__ import annotations

from typing import Any

import numpy as np

EPSILON = {np.dtype(np.float32): 2.0**-23, np.dtype(np.float16): 2.0**-10}
TINY = 2.0**-126  # below the smallest normal float32 a fast-math device may flush to zero

# op → roundings that every element suffers besides those of its sum: what they are stands beside the number
EXTRA = {
    "add": 0.5,  # one addition, correctly rounded
    "attention": 4,  # division (2.5 ulp in Metal's table), rounding the expected value (0.5), spare 1
    "matmul": 1,  # the store
    "repeat_penalty": 3,  # division (2.5 ulp in Metal's table), rounding the expected value (0.5)
    "rms_norm": 8,  # mean (1), + ε (1), rsqrt (fast math: 2 ulp on Apple's table, halved by nothing), two products (2), spare 1
    "row_max": 0,  # one of its inputs: nothing rounds
    "row_sum": 0.5,  # rounding the expected value
    # the angle, at most π: its rounding to float, its constant, their product (1.5 π); precise sin or cos (4 ulp); two products
    # and their sum (1.5); spare 0.8
    "rope": 11,
    # 1 + e (0.5), division (2.5 ulp in Metal's table), two products (1), rounding the expected value (0.5), spare 0.5
    "swiglu": 5,
}


def sum_bound(op: str, terms: float, magnitude: Any, dtype: Any = np.float32) -> np.ndarray:
    """Allowed error of an op whose element is a sum of `terms` products with Σ|aᵢbᵢ| = `magnitude` (array, float64)."""
    if op not in EXTRA:
        raise LookupError(f"{op} has no tolerance yet: count its roundings in a line of EXTRA in reference/tolerance.py")
    return (terms + EXTRA[op]) * EPSILON[np.dtype(dtype)] * np.abs(np.asarray(magnitude, np.float64)) + TINY


def softmax_bound(x: Any, p: Any, temperature: float) -> np.ndarray:
    """Allowed error of softmax with exact result `p` (rows, n) for the inputs `x`, both float64-able.

    z = (x − max) / T: the difference rounds (½ ε), 1/T rounds once on the host (½ ε) and the product once more (½ ε): 1.5 ε|z|,
    and exp turns an absolute error of z into a relative one of the weight. exp itself: 3 + ⌊2|z|⌋ ulp (Metal's table; more than
    the portable device's). So a weight errs by r = (3.5|z| + 3) ε. The sum errs by the weights' errors and by its additions:
    at the narrowest width a lane adds ⌈n / 32⌉ terms, then come two trees of five. Division: 2.5 ulp; storing the expected: ½.
    A z below −128 is cut off: both sides are then 0 or nearly.
    """
    x64, p64 = np.asarray(x, np.float64), np.asarray(p, np.float64)
    z = np.minimum((x64.max(axis=-1, keepdims=True) - x64) / temperature, 128.0)
    r = 3.5 * z + 3
    terms = -(-x64.shape[-1] // 32) + 10
    return p64 * (r + (p64 * r).sum(axis=-1, keepdims=True) + terms + 3) * 2.0**-23 + TINY


def half_storage(q: Any, k: Any, v: Any, position: int) -> np.ndarray:
    """What attention may err by, beyond its float32 error, because keys and values are kept as halves. (tokens, heads, d).

    A stored element is off by at most 2⁻¹¹ of itself, or by 2⁻²⁵ where the half is subnormal. So each score is off by at most
    e = Σ|qᵢ|(2⁻¹¹|kᵢ| + 2⁻²⁵) / √d; with the largest such e over the keys seen, a weight changes by a factor within e^(±2e)
    (numerator e^e, denominator e^−e); and the weighted sum of the values by (e^(2e) − 1) Σ w|v| + e^(2e) Σ w (2⁻¹¹|v| + 2⁻²⁵).
    """
    q64, k64, v64 = (np.asarray(a, np.float64) for a in (q, k, v))
    out, group = np.empty_like(q64), q64.shape[1] // k64.shape[1]
    for t, h in np.ndindex(*q64.shape[:2]):
        keys, values = (a[: position + t + 1, h // group] for a in (k64, np.abs(v64)))
        scores = keys @ q64[t, h] / q64.shape[2] ** 0.5
        weights = np.exp(scores - scores.max())
        weights /= weights.sum()
        e = ((np.abs(keys) * 2.0**-11 + 2.0**-25) @ np.abs(q64[t, h])).max() / q64.shape[2] ** 0.5
        out[t, h] = np.expm1(2 * e) * (weights @ values) + np.exp(2 * e) * (weights @ (values * 2.0**-11 + 2.0**-25))
    return out


def packed_bound(x: Any, raw: Any, kind: str, shape: tuple[int, int]) -> np.ndarray:
    """Allowed error of a product of x (k) with a packed weight (n, k), whose bytes are `raw`. (n).

    Within a block q·x is summed, then multiplied by d, and m times the sum of x is added: k products and k additions in any
    order, and per block the products with d and m and two additions. So (k + 4) ε of the sum of |x|(|d·q| + |m|), the last
    two measured apart, because they may cancel: for Q4_0 m is −8d, for Q8_0 there is none. Multiplying by a power of two is
    exact; where that leaves float32's range, or a half is subnormal, at most 2^-100 of |x| is lost.
    """
    values = {"Q4_0": 18, "Q4_1": 20, "Q8_0": 34}[kind]
    blocks = np.asarray(raw, np.uint8).reshape(*shape[:1], -1, values)
    half = lambda at: np.abs(np.ascontiguousarray(blocks[..., at : at + 2]).view(np.float16).astype(np.float64))  # noqa: E731
    q = blocks[..., values - 16 :].astype(np.int64)
    q = np.concatenate([q % 16, q // 16], axis=-1)
    if kind == "Q8_0":
        size = half(0) * np.abs(np.ascontiguousarray(blocks[..., 2:]).view(np.int8).astype(np.float64))
    else:
        size = half(0) * q + (half(2) if kind == "Q4_1" else 8 * half(0))
    magnitude = size.reshape(shape) @ np.abs(np.asarray(x, np.float64))
    return (shape[1] + 4) * 2.0**-23 * magnitude + 2.0**-100 * np.abs(np.asarray(x, np.float64)).sum() + TINY
