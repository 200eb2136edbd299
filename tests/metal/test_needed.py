"""A function of a library is compiled with what it needs, and with nothing else: told by names, on the translated text."""

from __future__ import annotations

import pytest

from metal.portable.frontend import check
from metal.portable.translate import lower
from tests.metal.conftest import HEAD

# each declaration with an expression that needs it (and what that leads to) to compile
DECLARATIONS = {
    "static inline float add_one(float x) { return x + one; }": "add_one(2)",
    "template <typename T, int n = 3> T times(T x) { return x * n; }": "times<float>(2)",
    "template <> int times<int, 7>(int x) { return 0; }": "times<int, 7>(2)",
    "float of(float x) { return 1; } float of(int x) { return 2; }": "of(1)",
    "typedef struct { int n; float v[2]; } plain_t;": "sizeof(plain_t)",
    "struct Pair { float a, b; float sum() const { return a + b; } } ;": "Pair{1, 2}.sum()",
    "enum { RED, GREEN = 4 };": "GREEN",
    "enum class Kind : uint { first, last };": "int(Kind::last)",
    "using wide = float4;": "wide(1).x",
    "namespace ns { float inner(float x) { return x; } }": "ns::inner(2)",
    "constant float TABLE[2] = {1, 2}, *NONE = nullptr;": "TABLE[1]",
    "struct Sum { float v; }; Sum operator+(Sum a, Sum b) { return {a.v + b.v}; }": "(Sum{1} + Sum{2}).v",
    "typedef float (map_t)(float); template <map_t f> float mapped(float x) { return f(x); }": "mapped<add_one>(2)",
    "template <typename T> struct Size { static constexpr constant int value = 4; };": "int(Size<float>::value)",
    "template <typename T, typename U> constexpr constant bool both = is_same<T, U>::value;": "(both<int, float>)",
}
LIBRARY = (
    f"{HEAD}constant float one = 1; constant bool flag [[function_constant(0)]];\n"
    + "\n".join(DECLARATIONS)
    + "\nstatic_assert(sizeof(plain_t) == 12, \"\");\nkernel void none(device float *y [[buffer(0)]]) { y[0] = 1; }\n"
    + "".join(f"kernel void k{n}(device float *y [[buffer(0)]]) {{ y[0] = {use}; }}\n" for n, use in enumerate(DECLARATIONS.values()))
)  # fmt: skip


@pytest.fixture(scope="module")
def lowered():
    return lower(LIBRARY)


@pytest.mark.parametrize("number", range(len(DECLARATIONS)), ids=DECLARATIONS.values())
def test_what_a_function_needs_comes_with_it(lowered, number):
    alone = lowered.only([f"k{number}"], bare=True)
    check(alone)
    assert len(alone.text) < len(lowered.text) / 3


def test_what_no_function_needs_stays_away(lowered):
    alone = lowered.only(["none"], bare=True).text
    assert not [
        name
        for name in ("times", "plain_t", "Pair", "RED", "Kind", "TABLE", "flag", "mapped", "both", "inner(")
        if name in alone
    ]
    assert "operator" in alone, "what is called without its name comes along always"
