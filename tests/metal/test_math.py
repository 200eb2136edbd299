"""<metal_math> and <metal_common>: every function against NumPy's float64, by the error tables of the specification's chapter 8.

8.1 is the table of metal::precise, 8.2 that of metal::fast and of fast math, which is the default, 8.3 that of half. Where 8.2
gives a formula and no bound ("implemented as …") the function is held to 8.1, which is stricter than the formula. By section 8.5
a subnormal number may count as zero, on the way in and on the way out. Under fast math NaN and infinity are undefined: only
metal::precise is asked for them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import metal
from conftest import one_in
from metal.portable.frontend import check
from metal.portable.translate import lower
from tests.metal.conftest import HEAD
from tests.metal.numeric import evaluate, hard, judge, program

EXACT, ROUNDED = 0, 0.5  # "0 ulp" and "correctly rounded" in the tables
PI = np.pi


def cospi(x):
    r = np.abs(x - 2 * np.round(x / 2))  # exact: NumPy's cos(πx) would lose everything where it is near 0
    return np.where(r <= 0.25, np.cos(PI * r), np.where(r <= 0.75, np.sin(PI * (0.5 - r)), -np.cos(PI * (1 - r))))


def sinpi(x):
    r = x - 2 * np.round(x / 2)
    near_1 = np.sign(r) * np.sin(PI * (1 - np.abs(r)))
    return np.where(np.abs(r) <= 0.25, np.sin(PI * r), np.where(np.abs(r) <= 0.75, np.sign(r) * cospi(np.abs(r) - 0.5), near_1))


def median(*v):
    """The middle one, or the only one that is no NaN; with one NaN among them either of the others is right."""
    nans = np.isnan(v).sum(axis=0)
    return np.ma.masked_array(np.where(nans == 0, np.median(v, axis=0), np.fmax(np.fmax(*v[:2]), v[2])), nans == 1)


def binary(function: Callable) -> Callable:
    return lambda x, y, z: function(x, y)


def within(error: float, low: float, high: float, ulps: float = np.inf) -> Callable:
    """An absolute error from `low` to `high`, and ulps (or no bound at all) beyond."""
    return lambda ulp, x: np.where((x >= low) & (x <= high), error, ulps * ulp)


def exponential(ulp, x):
    return (3 + np.floor(np.abs(2 * x))) * ulp


def inside(ulps: float, condition: Callable) -> Callable:
    return lambda ulp, *x: np.where(condition(*x), ulps * ulp, np.inf)


# expression → (what it is, ulps of table 8.1, of table 8.2 where that has a bound of its own: ulps or a function)
UNARY = {
    "$acos(x)": (np.arccos, 4, 5),
    "$acosh(x)": (np.arccosh, 4),
    "$asin(x)": (np.arcsin, 4, 5),
    "$asinh(x)": (np.arcsinh, 4),
    "$atan(x)": (np.arctan, 5, 5),
    "$atanh(x)": (np.arctanh, 5),
    "$ceil(x)": (np.ceil, ROUNDED),
    "$cos(x)": (np.cos, 4, within(2.0**-13, -PI, PI)),
    "$cosh(x)": (np.cosh, 4),
    "$cospi(x)": (cospi, 4, within(2.0**-13, -1, 1)),
    "$divide(x, T(3))": (lambda x: x / 3, ROUNDED, 2.5),  # tempts a compiler to multiply by a third
    "$exp(x)": (np.exp, 4, exponential),
    "$exp2(x)": (np.exp2, 4, exponential),
    "$exp10(x)": (lambda x: 10.0**x, 4),
    "$fabs(x)": (np.abs, EXACT),
    "$abs(x)": (np.abs, EXACT),
    "$floor(x)": (np.floor, ROUNDED),
    "$log(x)": (np.log, 4, within(2.0**-21, 0.5, 2, ulps=3)),
    "$log2(x)": (np.log2, 4, within(2.0**-22, 0.5, 2, ulps=2)),
    "$log10(x)": (np.log10, 4),
    "$rint(x)": (np.rint, ROUNDED),
    "$round(x)": (lambda x: np.copysign(np.floor(np.abs(x) + 0.5), x), ROUNDED),
    "$rsqrt(x)": (lambda x: 1 / np.sqrt(x), ROUNDED, 2),
    "$saturate(x)": (lambda x: np.fmin(np.fmax(x, 0), 1), EXACT),
    "$sin(x)": (np.sin, 4, within(2.0**-13, -PI, PI)),
    "$sinh(x)": (np.sinh, 4),
    "$sinpi(x)": (sinpi, 4, within(2.0**-13, -1, 1)),
    "$sqrt(x)": (np.sqrt, ROUNDED, 4.5),  # x * rsqrt(x): 2 ulp of rsqrt are up to 4 of the product, which is rounded once more
    "$tan(x)": (np.tan, 6),
    "$tanh(x)": (np.tanh, 5),
    "$tanpi(x)": (lambda x: sinpi(x) / cospi(x), 6),
    "$trunc(x)": (np.trunc, ROUNDED),
    "$sincos(x, w)": (np.sin, 4, within(2.0**-13, -PI, PI)),
    "w": (np.cos, 4, within(2.0**-13, -PI, PI)),  # what sincos has left in w
    "$modf(x, w)": (lambda x: np.modf(x)[0], EXACT),
    "T(w)": (np.trunc, EXACT),  # what modf has left
    "$frexp(x, e)": (lambda x: np.frexp(x)[0], EXACT),
    "T(e)": (lambda x: np.ma.masked_array(np.frexp(x)[1], ~np.isfinite(x)), EXACT),
    "T($ilogb(x))": (lambda x: np.ma.masked_array(np.frexp(x)[1] - 1, ~np.isfinite(x) | (x == 0)), EXACT),
}
SEVERAL = {
    "$atan2(x, y)": (binary(np.arctan2), 6, inside(6, lambda x, y, z: (x != 0) & (y != 0))),
    "$copysign(x, y)": (binary(np.copysign), EXACT),
    "$divide(x, y)": (
        binary(np.divide),
        ROUNDED,
        inside(2.5, lambda x, y, z: (np.abs(y) >= 2.0**-126) & (np.abs(y) <= 2.0**126)),
    ),
    "$fdim(x, y)": (lambda x, y, z: np.where(x <= y, 0, x - y), ROUNDED),
    "$fmax(x, y)": (binary(np.fmax), EXACT),
    "$max(x, y)": (binary(np.fmax), EXACT),
    "$fmin(x, y)": (binary(np.fmin), EXACT),
    "$min(x, y)": (binary(np.fmin), EXACT),
    "$fmod(x, y)": (binary(np.fmod), EXACT),
    "$pow(x, y)": (binary(np.power), 16, inside(16, lambda x, y, z: x > 0)),  # exp2(y * log2(x))
    "$ldexp(x, I(clamp(y, T(-300), T(300))))": (
        lambda x, y, z: np.ma.masked_array(np.ldexp(x, np.clip(np.nan_to_num(y), -300, 300).astype(int)), np.isnan(y)),
        ROUNDED,
    ),
    "$powr(x, y)": (
        lambda x, y, z: np.where(np.isnan(y * np.log(x)), np.nan, np.power(x, y)),
        16,
        inside(16, lambda x, y, z: x > 0),
    ),
    "$fmax3(x, y, z)": (lambda x, y, z: np.fmax(x, np.fmax(y, z)), EXACT),
    "$max3(x, y, z)": (lambda x, y, z: np.fmax(x, np.fmax(y, z)), EXACT),
    "$fmin3(x, y, z)": (lambda x, y, z: np.fmin(x, np.fmin(y, z)), EXACT),
    "$min3(x, y, z)": (lambda x, y, z: np.fmin(x, np.fmin(y, z)), EXACT),
    # float64 holds the product whole and rounds the sum by 2⁻²⁹ of a float's ulp
    "$fma(x, y, z)": (lambda x, y, z: x * y + z, ROUNDED + 2.0**-29),
    "$fmedian3(x, y, z)": (median, EXACT),
    "$median3(x, y, z)": (median, EXACT),
    "$clamp(x, min(y, z), max(y, z))": (lambda x, y, z: np.fmin(np.fmax(x, np.fmin(y, z)), np.fmax(y, z)), EXACT),
}


def common(eps: float) -> dict[str, tuple]:
    """<metal_common>, of which the specification gives formulas and no bounds: these follow from the formulas' roundings."""

    def smooth(x, y, z):
        t = np.clip((x - 0.25) / 3.75, 0, 1)
        return t * t * (3 - 2 * t)

    return {
        "sign(x)": (lambda x, y, z: np.sign(x), EXACT),
        "step(y, x)": (lambda x, y, z: np.where(x < y, 0, 1), EXACT),
        # a difference, a product and a sum are rounded (ε/2), each of at most |x| + |y|
        "mix(x, y, saturate(z))": (
            lambda x, y, z: x + (y - x) * np.clip(z, 0, 1),
            lambda ulp, x, y, z: 1.5 * eps * (np.abs(x) + np.abs(y)),
        ),
        # in ε/2: t has 2 of the differences and 5 of the quotient (2.5 ulp), t² twice that, 3 - 2t no more and 1, two products
        "smoothstep(T(0.25), T(4), x)": (smooth, lambda ulp, *x: 16 * eps * smooth(*x) + 2 * ulp),
    }


def fract(below: float) -> dict[str, tuple]:
    """x - floor(x) of a tiny negative number rounds to 1, which fract never is."""
    return {"$fract(x)": (lambda x: np.where(np.isinf(x), 0, np.minimum(x - np.floor(x), below)), ROUNDED)}


SPACES = ["", "fast::", "precise::"]
LANES = [1, 2, 3, 4]
KINDS = {"float": np.float32, "half": np.float16}
FRACT = {"float": fract(1 - 2.0**-24), "half": fract(1 - 2.0**-11)}
SIZE = 12 * 400  # a whole number of vectors of every width


def prove(run, kind, lanes, space, table, *inputs):
    """Run a whole table and judge each row by the specification's column for this type and namespace."""
    for got, (name, (exact, ulps, *fast)) in zip(evaluate(run, kind, lanes, space, table, *inputs), table.items(), strict=True):
        if kind == "half":
            bound = ulps if callable(ulps) else min(ulps, 1)  # table 8.3; pow and powr, which it leaves out, are held to 1 too
        else:
            bound = fast[0] if fast and space != "precise::" else ulps
        judge(f"{name} in {kind}{lanes}, $ = '{space}',", got, exact, bound, *inputs, nonfinite=space == "precise::")


def shuffled(dtype) -> list[np.ndarray]:
    """Inputs in which everything hard meets everything else; the last is at first all but the product of the others."""
    made = [np.random.default_rng(seed).permutation(hard(dtype, SIZE, seed)) for seed in range(3)]
    with np.errstate(all="ignore"):
        made[2][:500] = -(made[0] * made[1])[:500]  # of which fma leaves only the last bits
    made[1][3000:4000] = np.random.default_rng(3).integers(-300, 300, 1000)  # powers of 2 that are no numbers of the type
    return made


# A compile costs a third of a second: of fast:: and precise:: two widths are run, and all the others are read only.
RUN = [*(("", n) for n in LANES), ("fast::", 1), ("fast::", 3), ("precise::", 1), ("precise::", 4)]


@pytest.mark.parametrize("space, lanes", one_in(3, RUN))
def test_functions_of_a_float_keep_to_their_table(run, space, lanes):
    prove(run, "float", lanes, space, UNARY | FRACT["float"], hard(np.float32, SIZE))


@pytest.mark.parametrize("space, lanes", one_in(3, RUN))
def test_functions_of_several_floats_keep_to_their_table(run, space, lanes):
    x, y, z = shuffled(np.float32)
    x[1000:2000] = np.random.default_rng(4).uniform(0.9, 1.1, 1000)  # powers near 1, with large exponents
    y[1000:2000] = np.random.default_rng(5).uniform(-900, 900, 1000)
    y[2000:3000] = np.random.default_rng(6).integers(-9, 10, 1000)  # whole exponents of negative numbers
    prove(run, "float", lanes, space, SEVERAL, x, y, z)


@pytest.mark.parametrize("lanes", one_in(2, [4, 1]))
def test_functions_of_a_half_keep_to_their_table_for_every_half_there_is(run, lanes):
    prove(run, "half", lanes, "", UNARY | FRACT["half"], np.arange(65536, dtype=np.uint16).view(np.float16))


@pytest.mark.parametrize("lanes", one_in(3, [3, 1, 2]))
def test_functions_of_several_halves_keep_to_their_table(run, lanes):
    prove(run, "half", lanes, "", SEVERAL, *shuffled(np.float16))


@pytest.mark.parametrize("kind, lanes", one_in(2, [("float", 3), ("float", 1), ("half", 2), ("half", 4)]))
def test_common_functions_follow_their_formulas(run, kind, lanes):
    x, y, z = (np.clip(np.nan_to_num(v), -1000, 1000) for v in shuffled(KINDS[kind]))  # mix would overflow on the way
    prove(run, kind, lanes, "", common(float(np.finfo(KINDS[kind]).eps)), x, y, z)


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("kind, space", [("half", ""), *(("float", space) for space in SPACES)])
def test_every_function_is_there_for_every_width(kind, space, lanes):
    everything = [*UNARY, *FRACT[kind], *SEVERAL, *(common(0) if space == "" else ())]
    check(lower(HEAD + program(kind, lanes, space, everything, "xyz")))


REFUSED = {
    "half vectors in precise": "half4 v = precise::exp(half4(1));",
    "half vectors in fast": "half4 v = fast::exp(half4(1));",
    "a function of <metal_common> in fast": "float v = fast::mix(1.0f, 2.0f, 0.5f);",
    "integers of another width": "short e; float m = frexp(1.5f, e);",
    "references to device memory": "float m = modf(1.5f, x[0]);",
    "nextafter, which came with Metal 3.1": "float v = nextafter(1.0f, 2.0f);",
    "OpenCL's erf": "float v = erf(1.0f);",
    "OpenCL's mad": "float v = mad(1.0f, 2.0f, 3.0f);",
    "OpenCL's half_exp": "float v = half_exp(1.0f);",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_metal_lacks_is_refused(name):
    with pytest.raises(metal.error):
        check(lower(f"{HEAD}kernel void f(device float *x [[buffer(0)]]) {{ {REFUSED[name]} }}"))


def test_a_program_may_call_its_own_things_what_opencl_calls_its_functions():
    own = "#define hypot(a, b) ((a) + (b))\nfloat erf(float v) { return v; } struct S { float mad(float v) thread { return v; } };"
    use = "float radians = hypot(erf(1), 2); S s; x[0] = s.mad(radians) * (radians);"
    check(lower(f"{HEAD}{own}\nkernel void f(device float *x [[buffer(0)]]) {{ {use} }}"))
