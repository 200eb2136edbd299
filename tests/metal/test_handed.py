"""Functions handed to templates, as Metal's kernels for many number formats do. Source: Metal Shading Language Specification 2.3,
§1.4 (C++14's templates, whose arguments may be functions)."""

from __future__ import annotations

import numpy as np
import pytest

import metal
from tests.metal.conftest import HEAD

DECLARATIONS = """
float twice(float x) { return 2 * x; }
float times(float a, float b) { return a * b; }
template <typename T> T less(T x) { return x - 1; }
template <typename T, int n> T plus(T x) { return x + n; }
namespace ns { float square(float x) { return x * x; } }
void put(device float &to, threadgroup float &with, constant float &by) { to = with * by; }

typedef float (one_t)(float);
typedef float (*two_t)(float, float);
template <one_t f> float apply(float x, float y) { return f(x) + 100; }
template <two_t f> float apply(float x, float y) { return f(x, y) + 200; }
template <float (*f)(float, float), typename T> T onward(T x, float y) { return apply<f>(x, y) + (*f)(1, 1); }
template <typename T, int n> T within(T x) { return apply<plus<T, n>>(x, 0); }
template <float (&f)(float) = twice> float preset(float x) { return f(x); }
template <float (*f)(float)> struct Map { static float go(float x) { return f(f(x)); } };
template <void (*f)(device float &, threadgroup float &, constant float &)> struct Spaces {
    device float *to;
    void go(threadgroup float &with, constant float &by) { f(*to, with, by); }
};
template <typename T, one_t f, int most>
kernel void clipped(device T *x [[buffer(0)]], uint i [[thread_position_in_grid]]) { x[i] = min(apply<f>(x[i], 0) + f(x[i]), T(most)); }
typedef decltype(clipped<float, twice, 9>) clipped_t;
template [[host_name("twice")]] kernel clipped_t clipped<float, twice, 1000>;
template [[host_name("less")]] kernel clipped_t clipped<float, less<float>, 103>;
template kernel void clipped<float, ns::square, 5>(device float *x, uint i);
"""
CALLS = {
    "apply<twice>(3, 0)": 106, "apply<times>(3, 5)": 215, "apply<&times>(3, 5)": 215, "apply<less<float>>(3, 0)": 102,
    "apply<ns::square>(5, 0)": 125, "onward<times, float>(3, 4)": 213, "within<float, 7>(1)": 108, "preset<>(4)": 8,
    "preset<ns::square>(4)": 16, "Map<twice>::go(3)": 12, "Map<plus<float, 2>>::go(3)": 7,
}  # fmt: skip


def test_a_function_is_handed_to_a_function_a_struct_and_another_template(run):
    writes = "".join(f"y[{n}] = {call};" for n, call in enumerate(CALLS))
    kernel = f"""kernel void f(device float *y [[buffer(0)]], constant float &by [[buffer(1)]]) {{
        {writes} threadgroup float with; with = 2; Spaces<put> s = {{y + {len(CALLS)}}}; s.go(with, by); }}"""
    y = run(DECLARATIONS + kernel, 1, np.zeros(len(CALLS) + 1, np.float32), np.float32([8]))[0]
    assert dict(zip([*CALLS, "put"], y.tolist(), strict=True)) == CALLS | {"put": 16}


def test_a_kernel_template_takes_a_function_and_hands_it_on(device):
    kernel = device.kernel(HEAD + DECLARATIONS)
    for name, expected in {"twice": [108, 112], "less": [102, 103], "clipped<float, ns::square, 5>": [5, 5]}.items():
        x = device.buffer(np.resize(np.float32([2, 3]), 1024))
        run = kernel.function(name)(1024, x)
        del run
        assert np.frombuffer(x, np.float32)[:2].tolist() == expected, name


def test_a_function_of_another_type_is_not_taken(device):
    with pytest.raises(metal.error) as caught:
        device.kernel(
            HEAD
            + DECLARATIONS
            + "kernel void f(device float *y [[buffer(0)]]) { y[0] = Map<times>::go(1) + preset<times>(2); }"
        )
    assert "no matching function for call to 'preset'" in str(caught.value)


def test_a_table_that_is_const_goes_to_a_function_that_does_not_say_so(run):
    """Constant memory is read-only either way: `constant float *` takes `const constant float[2]` (llama.cpp relies on it)."""
    body = """
    constexpr constant static float TABLE[2] = {3, 4};
    float second(constant float *t) { return t[1]; }
    template <typename T> float first(constant T &t) { return t; }
    kernel void f(device float *y [[buffer(0)]], constant float *x [[buffer(1)]]) { y[0] = second(TABLE) + first(*x) + first(TABLE[0]); }
    """
    assert run(body, 1, np.zeros(1, np.float32), np.float32([5]))[0].tolist() == [12]


def test_components_that_braces_leave_out_are_0_and_a_templates_number_stands_where_it_is_used(run):
    body = """
    template <short N, uint U> kernel void g(device float *y [[buffer(0)]]) {
        float4 a = {1.f}; half2 b{2}; float3 c[2] = {{1, 2,}, {}}; float d[N / 2] = {[0 ... N / 2 - 1] = 3};
        #pragma unroll(N)
        for (int i = 0; i < N / 2; i++) y[i] = a[i] + d[i];
        y[4] = -1 < U; y[5] = min(short(7), N);  // as numbers of their types, short and uint
        y[2] = b.x + b.y; y[3] = c[0].y * 10 + c[0].z + c[1].x;
    }
    template [[host_name("f")]] kernel void g<4, 1>(device float *);
    """
    assert run(body, 1, np.full(6, np.nan, np.float32))[0].tolist() == [4, 3, 2, 20, 0, 4]
