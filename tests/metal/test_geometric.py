"""<metal_geometric> against float64. The specification has no bounds for these: they follow from its formulas, rounded step by
step, with table 8.2's 2.5 ulp for a quotient and 2 for rsqrt. In units of ε, for n components: a dot product is wrong by at most
n/2 of the sum of its terms' sizes."""

from __future__ import annotations

import numpy as np
import pytest

import metal
from conftest import one_in
from metal.portable.frontend import check
from metal.portable.translate import lower
from tests.metal.conftest import HEAD
from tests.metal.numeric import evaluate, program


def dot(x, y):
    return (x * y).sum(axis=1, keepdims=True)


def length(x):
    return np.sqrt(dot(x, x))


def refract(i, n, eta):
    c = dot(n, i)
    k = 1 - eta * eta * (1 - c * c)
    return np.where(k < 0, 0, eta * i - (eta * c + np.sqrt(np.maximum(k, 0))) * n)


# expression → (what it is of rows of x and y, the error allowed in ε for n components)
FUNCTIONS = {
    "T(dot(x, y))": (dot, lambda n, x, y: n / 2 * dot(abs(x), abs(y))),
    "T(length_squared(x))": (lambda x, y: dot(x, x), lambda n, x, y: n / 2 * dot(x, x)),
    "T(distance_squared(x, y))": (lambda x, y: dot(x - y, x - y), lambda n, x, y: (n / 2 + 1) * dot(x - y, x - y)),
    "faceforward(x, y, x)": (lambda x, y: np.where(dot(x, y) < 0, x, -x), lambda n, x, y: 0 * x),
    # normalizing the surface: n/2 for each of two dot products, 2.5 for the quotient, a product; twice; and the difference
    "reflect(x, y)": (
        lambda x, y: x - 2 * dot(x, y) / dot(y, y) * y,
        lambda n, x, y: (2 * (n + 2.5 + 1) + 1.5) * length(x),
    ),
}
VARIANTS = {  # half of the square's error, and 2.5 for the root (x * rsqrt(x)) or for rsqrt and a product
    "T($length(x))": (lambda x, y: length(x), lambda n, x, y: (n / 4 + 2.5) * length(x)),
    "T($distance(x, y))": (lambda x, y: length(x - y), lambda n, x, y: (n / 4 + 3) * length(x - y)),
    "$normalize(x)": (lambda x, y: x / length(x), lambda n, x, y: (n / 4 + 2.5) * abs(x / length(x))),
}
CROSS = {
    "cross(x, y)": (np.cross, lambda n, x, y: abs(x[:, [1, 2, 0]] * y[:, [2, 0, 1]]) + abs(x[:, [2, 0, 1]] * y[:, [1, 2, 0]]))
}
TYPES = [
    ("float", 2, ""),
    ("float", 3, "fast::"),
    ("float", 3, "precise::"),
    ("float", 4, "precise::"),
    ("half", 3, ""),
    ("half", 4, ""),
]
DTYPES = {"float": np.float32, "half": np.float16}


def arrows(kind: str, n: int, seed: int) -> np.ndarray:
    """Of very different lengths, some along an axis."""
    rng = np.random.default_rng(seed)
    v = rng.normal(size=(600, n)) * 2.0 ** rng.integers(-3, 4, (600, 1))
    v[::7] = 0
    v[::7, 0] = 3
    return v.astype(DTYPES[kind])


def prove(run, kind, n, space, table, x, y):
    rows = evaluate(run, kind, n, space, table, x.reshape(-1), y.reshape(-1))
    a, b = x.astype(np.float64), y.astype(np.float64)
    for (name, (function, error)), got in zip(table.items(), rows, strict=True):
        exact, info = np.broadcast_to(function(a, b), a.shape), np.finfo(x.dtype)
        allowed = error(n, a, b) * float(info.eps) + float(info.smallest_subnormal)
        wrong = ~(np.abs(got.reshape(a.shape) - exact) <= allowed)
        assert not wrong.any(), f"{name} in {kind}{n}: {wrong.sum()} wrong, at {np.argwhere(wrong)[0]}"


@pytest.mark.parametrize("kind, n, space", one_in(3, TYPES))
def test_arrows_are_measured_and_turned(run, kind, n, space):
    x, y = arrows(kind, n, 0), arrows(kind, n, 1)
    clear = np.abs(dot(x.astype(float), y)) > 0.1  # or rounding decides which way faceforward turns
    x = np.where(clear, x, y)
    prove(run, kind, n, space, FUNCTIONS | VARIANTS | (CROSS if n == 3 else {}), x, y)


@pytest.mark.parametrize("n", [2, 3, 4])
def test_precise_lengths_neither_overflow_nor_vanish(run, n):
    x, y = arrows("float", n, 0), arrows("float", n, 1)
    for scale in (2.0**120, 2.0**-115):
        prove(run, "float", n, "precise::", VARIANTS, x * np.float32(scale), y * np.float32(scale))


@pytest.mark.parametrize("kind, n", [("float", 2), ("float", 3), ("half", 4)])
def test_light_is_refracted_or_wholly_reflected(run, kind, n):
    """k = 1 - η²(1 - c²) decides; where it is near 0 its root's error has no bound, so there are no such rays here."""
    x, y = (v / length(v) for v in (arrows(kind, n, seed).astype(np.float64) for seed in (0, 1)))
    eta = 1.3125
    k = 1 - eta * eta * (1 - dot(x, y) ** 2)
    x, y = (np.where(abs(k) > 0.05, v, np.eye(n)[0]).astype(DTYPES[kind]) for v in (x, y))
    # c: n/2; k: η²(n + 1) and 1; its root: that over 2√k ≤ 1/0.44, and 2.5; times n, with ηc and ηi: η(n/2 + 1) + η and 3 more
    error = (eta**2 * (n + 1) + 1) / 0.44 + 2.5 + eta * (n / 2 + 2) + 3
    table = {f"refract(x, y, {kind}({eta}))": (lambda i, n: refract(i, n, eta), lambda n, x, y: error + 0 * x)}
    assert 0.2 < (refract(x.astype(float), y.astype(float), eta) == 0).all(axis=1).mean() < 0.8, "both must occur"
    prove(run, kind, n, "", table, x, y)


@pytest.mark.parametrize("kind", DTYPES)
def test_every_function_is_there_for_every_width(kind):
    for n in (2, 3, 4):
        for space in ("", "fast::", "precise::") if kind == "float" else ("",):
            table = [*FUNCTIONS, *VARIANTS, *(CROSS if n == 3 else ()), f"refract(x, y, {kind}(1))"]
            check(lower(HEAD + program(kind, n, space, table, "xy")))


REFUSED = {
    "the length of a number": "float v = length(1.0f);",
    "cross of two components": "float2 v = cross(float2(1), float2(2));",
    "dot in fast": "float v = fast::dot(float2(1), float2(2));",
    "length of halves in precise": "half v = precise::length(half2(1));",
    "integers": "int v = dot(int2(1), int2(2));",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_metal_lacks_is_refused(name):
    with pytest.raises(metal.error):
        check(lower(f"{HEAD}kernel void f(device float *x [[buffer(0)]]) {{ {REFUSED[name]} }}"))
