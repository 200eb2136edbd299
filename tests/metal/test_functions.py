"""Functions that a kernel calls, in branches that lanes leave one by one: every lane's arguments and results stay its own."""

from __future__ import annotations

import numpy as np
import pytest

import metal
from metal.portable import Device

# A squared distance in nested branches: large enough that the device's compiler would rather call than copy it.
NEAREST = """
ATTRIBUTE float3 load(device const float *at) { return float3(at[0], at[1], at[2]); }
ATTRIBUTE float squared(float3 d) { float s = d.x * d.x; s = fma(d.y, d.y, s); return fma(d.z, d.z, s); }
kernel void f(device const float *p [[buffer(0)]], device float *out [[buffer(1)]], constant float &r [[buffer(2)]],
              uint i [[thread_position_in_grid]]) {
    const float3 centre = load(p + 93);
    if (centre.x < 1000 && i < 32) {
        out[i] = -1;
        if (i < 20) {
            const float3 v = load(p + i * 3);
            if (v.x < 1000) {
                const float3 d = centre - v;
                if (d.x < 1000) {
                    if (r < 0x1p-50f) { const float t = squared(d / r); if (t < 1) out[i] = t; }
                    else if (squared(d) < r * r) out[i] = squared(d);
                }
            }
        }
    }
}
"""


@pytest.mark.parametrize("attribute", ["inline", "__attribute__((noinline))"])
def test_vectors_of_three_reach_functions_whole(run, attribute):
    """The OpenCL runtime passes a vector of three to a function that it vectorises as packed, and takes it as padded."""
    p = np.random.default_rng(3).integers(-9, 10, (32, 3)).astype(np.float32)
    _, out, _ = run(NEAREST.replace("ATTRIBUTE", attribute), 32, p, np.zeros(32, np.float32), np.float32([16]))
    squared = ((p[31] - p) ** 2).sum(1)
    expected = np.where((np.arange(32) < 20) & (squared < 256), squared, -1)
    assert len(set(expected)) > 10
    assert out.tolist() == expected.tolist()


def test_positions_named_for_the_whole_program_reach_every_function(device):
    """Metal 3.1: `uint3 at [[thread_position_in_grid]];` outside functions. Specification, "Program Scope Global Built-ins"."""
    source = """
    #include <metal_stdlib>
    using namespace metal;
    uint3 at [[thread_position_in_grid]];
    namespace outer {
        const uint lane [[thread_index_in_simdgroup]];
        struct P { uint at; };
        uint mark(P p) { return at.y * 100 + at.x * 10 + p.at + (lane == at.x % 32 ? 0 : 5000); }
        kernel void f(device uint *y, uint2 size [[threads_per_grid]]) { y[at.y * size.x + at.x] = mark(P{3}); }
    }
    """
    y = device.buffer(40 * 2 * 4)
    run = device.kernel(source, std="3.1").function("f").dispatch(grid=(40, 2), threadgroup=(40, 1), buffers=[y])
    del run
    assert np.frombuffer(y, np.uint32).tolist() == [row * 100 + column * 10 + 3 for row in range(2) for column in range(40)]


def test_an_array_of_pointers_goes_by_reference(run):
    """`device T *(&x)[2]`, as SPIRV-Cross writes it; an array of numbers needs its address space."""
    source = """
    int pick(device int *(&of)[2], uint n) { return of[n][1] * 10 + of[1 - n][0]; }
    kernel void f(device int *a [[buffer(0)]], device int *b [[buffer(1)]], uint i [[thread_position_in_grid]]) {
        device int *both[] = {a, b};
        if (i < 2) a[2 + i] = pick(both, i);
    }
    """
    a, _ = run(source, 2, np.int32([1, 2, 0, 0]), np.int32([3, 4]))
    assert a.tolist() == [1, 2, 23, 41]
    with pytest.raises(metal.error, match="reference type of 'x' must have an explicit address space"):
        run("int first(int (&x)[2]) { return x[0]; } kernel void f(device int *a [[buffer(0)]]) {}", 1, np.int32([1]))


@pytest.mark.parametrize(
    ("head", "tail"), [("", "\n"), ("", " struct Rest { int a; };"), ("namespace n { ", "\n}\n"), ("", " struct Rest;\n\n")]
)
def test_a_function_is_compiled_alone_whatever_stands_behind_it(device, head, tail):
    """With function constants, as in a library, each function gets the declarations it needs; a source may end in any way."""
    source = "constant int c [[function_constant(0)]]; kernel void f(device int *x [[buffer(0)]]) { x[0] = c; }"
    x = device.buffer(4)
    run = device.kernel(head + source + tail).function("f", {0: 7})(1, x)
    del run
    assert np.frombuffer(x, np.int32).tolist() == [7]


@pytest.mark.parametrize("checks", ["off", "default"])
def test_memory_that_is_read_soon_may_be_asked_for_anywhere(checks):
    """The device's own: a request is no access, so the checks have nothing against an address outside every buffer."""
    source = """
    kernel void f(device int *x [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    #ifdef __METAL_PORTABLE__
        portable_prefetch(x + i * 100000);
        for (uint k = 0; k < 4; k++) portable_prefetch((device const uint *)x - 32 * k);
        if (i < 2) x[i] += 1;
    #endif
    }
    """
    device = Device(checks=checks)
    x = device.buffer(np.int32([1, 2]))
    run = device.kernel(source).function("f")(2, x)
    del run
    assert np.frombuffer(x, np.int32).tolist() == [2, 3]
