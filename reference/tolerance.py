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
    "rms_norm": 8,  # mean (1), + ε (1), rsqrt (fast math: 2 ulp on Apple's table, halved by nothing), two products (2), spare 1
    # the angle, at most π: its rounding to float, its constant, their product (1.5 π); precise sin or cos (4 ulp); two products
    # and their sum (1.5); spare 0.8
    "rope": 11,
    # 1 + e (0.5), division (2.5 ulp in Metal's table), two products (1), rounding the expected value (0.5), spare 0.5
    "swiglu": 5,
}


def sum_bound(op: str, terms: int, magnitude: Any, dtype: Any = np.float32) -> np.ndarray:
    """Allowed error of an op whose element is a sum of `terms` products with Σ|aᵢbᵢ| = `magnitude` (array, float64)."""
    return (terms + EXTRA[op]) * EPSILON[np.dtype(dtype)] * np.abs(np.asarray(magnitude, np.float64)) + TINY
