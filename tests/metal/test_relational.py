"""<metal_relational>: what is asked of a number, and choices by conditions, one or one for each component.

Comparisons are of finite numbers: under fast math those of NaN are undefined.
"""

from __future__ import annotations

import numpy as np
import pytest

import metal
from conftest import one_in
from metal.portable.frontend import check
from metal.portable.translate import lower
from tests.metal.conftest import HEAD
from tests.metal.numeric import evaluate, hard, program


def normal(x):
    return np.isfinite(x) & (np.abs(x) >= np.finfo(x.dtype).tiny)


QUESTIONS = {
    "T(isfinite(x))": lambda x, y: np.isfinite(x),
    "T(isinf(x))": lambda x, y: np.isinf(x),
    "T(isnan(x))": lambda x, y: np.isnan(x),
    "T(isnormal(x))": lambda x, y: normal(x),
    "T(signbit(x))": lambda x, y: np.signbit(x),  # of -0 and of NaN too
    "T(isordered(x, y))": lambda x, y: ~np.isnan(x) & ~np.isnan(y),
    "T(isunordered(x, y))": lambda x, y: np.isnan(x) | np.isnan(y),
    "T(not isnan(x))": lambda x, y: ~np.isnan(x),
    "T(not(isnan(x) || isinf(y)))": lambda x, y: ~(np.isnan(x) | np.isinf(y)),
    "T(!isinf(x) && !isnan(y))": lambda x, y: ~np.isinf(x) & ~np.isnan(y),
}
CHOICES = {
    "select(x, y, isnan(z))": lambda x, y, z: np.where(np.isnan(z), y, x),
    "select(x, y, isnan(z) || signbit(x))": lambda x, y, z: np.where(np.isnan(z) | np.signbit(x), y, x),
    "select(x, T(1), signbit(z))": lambda x, y, z: np.where(np.signbit(z), np.ones_like(x), x),
    "select(x, y, true)": lambda x, y, z: y,
    "select(x, y, false)": lambda x, y, z: x,
}
TYPES = [("float", 1), ("float", 3), ("half", 1), ("half", 4)]
EVERY_TYPE = [(kind, lanes) for kind in ("float", "half") for lanes in (1, 2, 3, 4)]
DTYPES = {"float": np.float32, "half": np.float16}


@pytest.mark.parametrize("kind, lanes", one_in(3, TYPES))
def test_questions_are_answered_from_the_bits(run, kind, lanes):
    """NaN and infinity that come out of memory are seen, though fast math lets the compiler assume that there are none."""
    x, y, z = (np.random.default_rng(n).permutation(hard(DTYPES[kind], 1200, n)) for n in range(3))
    for v in (x, y, z):
        v[::11] = np.nan
    rows = evaluate(run, kind, lanes, "", [*QUESTIONS, *CHOICES], x, y, z)
    for (name, expected), got in zip(QUESTIONS.items(), rows, strict=False):
        wrong = got != expected(x, y)
        assert not wrong.any(), f"{name} in {kind}{lanes} of {x[wrong][0]!r}, {y[wrong][0]!r}"
    for (name, expected), got in zip(CHOICES.items(), rows[len(QUESTIONS) :], strict=True):
        assert np.array_equal(got, expected(x, y, z), equal_nan=True), f"{name} in {kind}{lanes}"


# expression → its value, one and all in one kernel
EXPRESSIONS = {
    "all(int4(1, 2, 3, 4) < int4(2, 3, 4, 5))": True,
    "all(int4(1, 2, 3, 4) < int4(2, 3, 4, 4))": False,
    "any(int4(1, 2, 3, 4) == int4(0, 0, 0, 4))": True,
    "any(int4(1, 2, 3, 4) == int4(0))": False,
    "all(float2(1, 2) != float2(2, 3))": True,
    "any(half3(1, 2, 3) > half3(3))": False,
    "any(half3(1, 2, 4) > half3(3))": True,
    "all(uchar4(200) >= uchar4(200))": True,
    "all(ushort3(1, 2, 3) <= ushort3(1, 2, 2))": False,
    "any(long2(1l << 40, 0) == long2(0, 1l << 40))": False,
    "all(ulong2(1ul << 40, 5) == ulong2(1ul << 40, 5))": True,
    "all(not(int2(1, 2) == int2(2, 1)))": True,
    "all(int2(1, 2) == int2(1, 2) && int2(3, 4) != int2(4, 3))": True,
    "any(int2(1, 2) == int2(1, 2) && int2(3, 4) == int2(4, 3))": False,
    "all(true)": True,
    "any(n == 2)": False,
    "select(1, 2, n == 1)": 2,
    "select(1.5f, 2.5f, n > 5)": 1.5,
    "select(false, true, n == 1)": 1,
    "select(int3(1, 2, 3), int3(7, 8, 9), float3(1, 5, 1) > float3(2)).y": 8,
    "select(int3(1, 2, 3), int3(7, 8, 9), float3(1, 5, 1) > float3(2)).z": 3,
    "select(float4(1, 2, 3, 4), float4(5, 6, 7, 8), half4(0, 1, 2, 3) > half4(2)).w": 8,
    "select(float4(1, 2, 3, 4), float4(5, 6, 7, 8), half4(0, 1, 2, 3) > half4(2)).x": 1,
    "select(half2(1, 2), half2(3, 4), long2(0, 1l << 40) != long2(0)).y": 4,
    "select(uchar4(1), uchar4(250), uint4(0, 1, 2, 3) == uint4(3)).w": 250,
    "select(ulong2(1), ulong2(9), char2(1, 2) < char2(2, 2)).x": 9,
    "select(float2(1, 2), 0.0f, int2(1, 0) == int2(1)).x": 0,
    "select(short3(5), short3(6), n == 1).z": 6,
}


def test_conditions_come_together_and_choose(run):
    body = "\n".join(f"y[{i}] = {text};" for i, text in enumerate(EXPRESSIONS))
    source = f"kernel void f(device float *y [[buffer(0)]], constant int &n [[buffer(1)]]) {{\n{body}\n}}"
    got = run(source, 1, np.full(len(EXPRESSIONS), np.nan, np.float32), np.int32([1]))[0]
    assert dict(zip(EXPRESSIONS, got.tolist(), strict=True)) == {name: float(value) for name, value in EXPRESSIONS.items()}


@pytest.mark.parametrize("kind, lanes", EVERY_TYPE)
def test_every_question_is_there_for_every_width(kind, lanes):
    check(lower(HEAD + program(kind, lanes, "", [*QUESTIONS, *CHOICES], "xyz")))


REFUSED = {
    "a question about an integer vector": "bool b = all(isnan(int2(1)));",
    "conditions fewer than components": "float4 v = select(float4(1), float4(2), int2(1) == int2(1));",
    "numbers for conditions": "float4 v = select(float4(1), float4(2), uint4(1));",
    "values of two types": "float2 v = select(float2(1), half2(2), true);",
    "all of a vector of fractions": "bool b = all(float2(1));",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_metal_lacks_is_refused(name):
    with pytest.raises(metal.error):
        check(lower(f"{HEAD}kernel void f(device float *x [[buffer(0)]]) {{ {REFUSED[name]} }}"))


def test_questions_are_found_by_their_full_names(device):
    """Kernels that other compilers write say metal:: throughout, and never `using namespace metal`."""
    source = """#include <metal_stdlib>
    kernel void f(device metal::int2 *y [[buffer(0)]]) {
        metal::int2 x = y[0];
        y[1] = metal::select(x, metal::int2(7, 8), x < 3);
        y[2] = metal::int2(metal::any(x == 1), metal::all(x == 1));
        y[3] = metal::select(x, 9, metal::bool2(true, false));
    }"""
    y = device.buffer(np.int32([1, 5, 0, 0, 0, 0, 0, 0]))
    run = device.kernel(source).function("f")(1, y)
    del run
    assert np.frombuffer(y, np.int32).tolist() == [1, 5, 7, 5, 1, 0, 9, 5]
