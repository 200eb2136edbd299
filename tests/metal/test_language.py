"""The Metal that the kernels are written in: each feature run, its result known. Source: Metal Shading Language Specification 2.3."""

from __future__ import annotations

import numpy as np
import pytest

from metal.portable import library
from metal.portable.frontend import check
from metal.portable.translate import lower
from tests.metal.conftest import HEAD

# name → (statements that write y[0 … n), expected)
VECTORS = {
    "four scalars": ("float4 v = float4(1, 2, 3, 4); y[0] = v.x; y[1] = v.y; y[2] = v.z; y[3] = v.w;", [1, 2, 3, 4]),
    "vector and scalar": ("float4 v = float4(float3(1, 2, 3), 9); y[0] = v.z; y[1] = v.w;", [3, 9]),
    "scalar and vector": ("float3 v = float3(5, float2(6, 7)); y[0] = v.x; y[1] = v.z;", [5, 7]),
    "two vectors": ("float4 v = float4(float2(1, 2), float2(3, 4)); y[0] = v.y; y[1] = v.z;", [2, 3]),
    "three pieces": ("float4 v = float4(1, float2(2, 3), 4); y[0] = v.y; y[1] = v.w;", [2, 4]),
    "splat": ("float4 v = float4(7); y[0] = v.x; y[1] = v.w;", [7, 7]),
    "conversion": ("float4 v = float4(half4(1.5h, 2, 3, 4)); y[0] = v.x; int2 w = int2(float2(2.9f, -2.9f)); y[1] = w.x; y[2] = w.y;", [1.5, 2, -2]),
    "braces": ("float2 v = {3, 4}; y[0] = v.x; y[1] = v.y;", [3, 4]),
    "swizzles read": ("float4 v = float4(1, 2, 3, 4); float2 w = v.wy; y[0] = w.x; y[1] = w.y; y[2] = v.zyx.x; y[3] = v.xx.y;", [4, 2, 3, 1]),
    "swizzles written": ("float4 v = float4(0); v.yz = float2(5, 6); v.w = 7; y[0] = v.x; y[1] = v.y; y[2] = v.z; y[3] = v.w;", [0, 5, 6, 7]),
    "subscripts": ("float4 v = float4(1, 2, 3, 4); for (uint i = 0; i < 4; i++) v[i] *= 2; y[0] = v[0]; y[1] = v[3];", [2, 8]),
    "arithmetic": ("float3 v = float3(1, 2, 3) * 2 + float3(1); y[0] = v.x; y[1] = v.z; y[2] = dot(v, float3(1, 1, 1));", [3, 7, 15]),
    "vec<T, N>": ("vec<float, 4> v = vec<float, 4>(1, 2, 3, 4); vec<half, 2> w = vec<half, 2>(5, 6); y[0] = v.w; y[1] = w.y;", [4, 6]),
    "unsigned": ("uint2 v = uint2(1, 2) << 4; uchar4 b = uchar4(250, 251, 252, 253) + uchar4(10); y[0] = v.y; y[1] = b.w;", [32, 7]),
    "as_type": ("y[0] = as_type<uint>(1.0f) == 0x3F800000u; y[1] = as_type<float>(0x40490fdbu); y[2] = as_type<ushort2>(0x00010002u).y;", [1, np.float32(np.pi), 1]),
}  # fmt: skip
SCALARS = {
    "integers": ("int a = -7; uint b = 7u; y[0] = a / 2; y[1] = a % 3; y[2] = b >> 1; y[3] = (a ^ 5) & 15;", [-3, -1, 3, 12]),
    "narrow": ("uchar a = 200; a += 100; short b = short(40000); ushort c = 65535; c++; y[0] = a; y[1] = b; y[2] = c;", [44, -25536, 0]),
    "64 bits": ("ulong a = 1ul << 40; long b = -(1l << 33); y[0] = float(a >> 38); y[1] = float(b >> 32);", [4, -2]),
    "half": ("half a = 0.1h; half b = half(2049.0f); y[0] = float(a) * 1024; y[1] = float(b); y[2] = sizeof(half);", [0.0999755859375 * 1024, 2048, 2]),
    "sizes": ("y[0] = sizeof(float3); y[1] = sizeof(float4); y[2] = sizeof(half3); y[3] = sizeof(long);", [16, 16, 8, 8]),
    "bits": ("y[0] = popcount(0xF0F0u); y[1] = clz(1u); y[2] = ctz(8u); y[3] = rotate(0x80000001u, 4u) == 24u;", [8, 31, 3, 1]),
    "abs min max clamp": ("y[0] = abs(-3); y[1] = min(2u, 3u); y[2] = max(-1.0f, 2.0f); y[3] = clamp(9, 0, 5);", [3, 2, 2, 5]),
    "select": ("y[0] = select(1.0f, 2.0f, true); y[1] = select(1.0f, 2.0f, false);", [2, 1]),
    "ternary and logic": ("bool a = y[0] == 0 && !(y[1] != 0); y[0] = a ? 3 : 4; y[1] = a || false;", [3, 1]),
    "switch": ("for (int i = 0; i < 4; i++) switch (i) { case 0: y[i] = 5; break; case 1: case 2: y[i] = 6; break; default: y[i] = 7; }", [5, 6, 6, 7]),
    "while and do": ("int n = 0; while (n < 5) { n++; if (n == 2) continue; if (n == 4) break; } do n += 10; while (n < 30); y[0] = n;", [34]),
    "program-scope tables": ("y[0] = TABLE[2]; y[1] = PRIMES.second; y[2] = LIMIT;", [30, 3, 12]),
    "enum": ("Shade s = LIGHT; y[0] = s; y[1] = int(Kind::b);", [1, 4]),
    "templates": ("y[0] = twice<float>(4); y[1] = twice(3); y[2] = power<3>(2.0f); y[3] = pick<float4>(1).w;", [8, 6, 8, 4]),
    "references": ("float a = 1; bump(a); float b[3] = {1, 2, 3}; fill(b, 3); y[0] = a; y[1] = b[2]; copy(y + 3, y[0]);", [2, 12, 0, 2]),
    "overloads": ("y[0] = kind(1.0f); y[1] = kind(1); y[2] = kind(half(1)); y[3] = kind(1u);", [1, 2, 3, 4]),
    "structs": ("Box b; b.size = float2(2, 3); b.n = 4; Box c = b; y[0] = c.area(); Pair p = {7, 8}; y[1] = p.first;", [24, 7]),
    "macros": ("y[0] = SQUARE(3 + 1); y[1] = WIDE(2).w; DEVICE_FLOAT q = y; q[2] = 5;", [16, 2, 5]),
    "a function named like OpenCL's": ("y[0] = mad(2, 3, 4); y[1] = convert_int(5.0f);", [99, 98]),
}  # fmt: skip
DECLARATIONS = """
#define SQUARE(x) ((x) * (x))
#define WIDE(x) float4(x)
#define DEVICE_FLOAT device float *
constant float TABLE[4] = {10, 20, 30, 40};
struct Pair { int first; int second; };
constant Pair PRIMES = {2, 3};
constexpr constant int LIMIT = 12;
enum Shade { DARK, LIGHT };
enum class Kind : uint { a = 3, b };
struct Box { float2 size; int n; float area() const thread { return size.x * size.y * n; } };
template <typename T> T twice(T x) { return x + x; }
template <int N> float power(float x) { float r = 1; for (int i = 0; i < N; i++) r *= x; return r; }
template <typename V> V pick(int x) { return V(x, x + 1, x + 2, x + 3); }
template <typename T> void bump(thread T &x) { x += 1; }
void fill(thread float *x, uint n) { for (uint i = 0; i < n; i++) x[i] += 9; }
template <typename T> void copy(device T *to, device const T &from) { *to = from; }
int kind(float x) { return 1; }  int kind(int x) { return 2; }  int kind(half x) { return 3; }  int kind(uint x) { return 4; }
float mad(int a, int b, int c) { return 99; }
float convert_int(float x) { return 98; }
"""


@pytest.mark.parametrize("name", VECTORS | SCALARS)
def test_a_feature_gives_what_it_should(run, name):
    statements, expected = (VECTORS | SCALARS)[name]
    kernel = (
        f"kernel void f(device float *y [[buffer(0)]], uint i [[thread_position_in_grid]]) {{ if (i == 0) {{ {statements} }} }}"
    )
    y = run(DECLARATIONS + kernel, 1, np.zeros(8, np.float32))[0]
    assert y[: len(expected)].tolist() == np.float32(expected).tolist()


def test_a_struct_of_arguments_has_metals_layout(run):
    """float4 on 16 bytes, ulong on 8, an array in place: host and kernel must mean the same bytes."""
    layout = np.dtype({"names": ["n", "scale", "big", "v", "a", "last"], "formats": ["u4", "f4", "u8", "4f4", "3i4", "u2"],
                       "offsets": [0, 4, 8, 16, 32, 44], "itemsize": 48})  # fmt: skip
    args = np.zeros(1, layout)
    args[0] = (7, 0.5, 1 << 33, (1, 2, 3, 4), (-1, -2, -3), 65535)
    body = """
    struct Args { uint n; float scale; ulong big; float4 v; int a[3]; ushort last; };
    kernel void f(device float *y [[buffer(0)]], constant Args &args [[buffer(1)]], uint i [[thread_position_in_grid]]) {
        if (i != 0) return;
        y[0] = args.n; y[1] = args.scale; y[2] = float(args.big >> 32); y[3] = args.v.w; y[4] = args.a[2]; y[5] = args.last;
        y[6] = sizeof(Args);
    }
    """
    assert run(body, 1, np.zeros(7, np.float32), args.view(np.uint8))[0].tolist() == [7, 0.5, 2, 4, -3, 65535, 48]


TEMPLATE = """
template <typename T, typename V, int N = 2>
kernel void scale(device T *x [[buffer(0)]], constant uint &n [[buffer(1)]], uint i [[thread_position_in_grid]],
                  uint t [[thread_position_in_threadgroup]]) {
    threadgroup T tile[1024 * N];
    V v = V(x[i], T(1), T(2), T(3));
    tile[t * N] = v.x + v.w;
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (i < n) x[i] = tile[t * N] * N;
}
template [[host_name("scale_f32")]] kernel void scale<float, float4>(device float *, constant uint &, uint, uint);
template [[host_name("scale_f16_by_3")]] kernel void scale<half, half4, 3>(device half *, constant uint &, uint, uint);
template [[host_name("scale_u32")]] [[kernel]] void scale<uint, uint4, 4>(device uint *x [[buffer(0)]], constant uint &, uint, uint);
"""


@pytest.mark.parametrize(
    ("name", "dtype", "by"), [("scale_f32", np.float32, 2), ("scale_f16_by_3", np.float16, 3), ("scale_u32", np.uint32, 4)]
)
def test_a_template_kernel_has_one_function_for_each_instantiation(run, name, dtype, by):
    x = np.arange(100).astype(dtype)
    assert (run(TEMPLATE, 90, x, np.uint32([90]), name=name)[0] == np.where(np.arange(100) < 90, (x + 3) * by, x)).all()


def test_attributes_comments_and_spellings_in_odd_places(run):
    body = """
    // kernel void not_this(device float *x) {}  "
    /* kernel void nor_this( */
    [[kernel]] /* why */ void
    f(/* a */ device float *x [[ buffer ( 0 ) ]], // the data, (really)
      uint
      i [[thread_position_in_grid]])
    {
        #pragma unroll
        for (int n = 0; n < 4; n++)
            x[n] = n; // ] } )
        const char c = ')';
        x[4] = c;
    }
    """
    assert run(body, 1, np.zeros(1024, np.float32))[0][:5].tolist() == [0, 1, 2, 3, 41]


def test_several_kernels_share_a_file(run):
    body = """
    static float helper(float x) { return x * 3; }
    kernel void first(device float *x [[buffer(0)]], uint i [[thread_position_in_grid]]) { if (i < 4) x[i] = helper(x[i]); }
    kernel void second(device float *x [[buffer(0)]], uint i [[thread_position_in_grid]]) { if (i < 4) x[i] = helper(x[i]) + 1; }
    """
    x = np.float32([1, 2, 3, 4])
    assert run(body, 4, x, name="first")[0].tolist() == [3, 6, 9, 12]
    assert run(body, 4, x, name="second")[0].tolist() == [4, 7, 10, 13]


def naming(*names: str) -> str:
    """A program in which these names stand, and mean nothing."""
    text = " ".join(names)
    return f'{HEAD}constant char names[] = "{text}";\nkernel void f(device float *x [[buffer(0)]]) {{ x[0] = 1; }}'


@pytest.mark.parametrize("name", library.names())
def test_every_function_of_the_library_is_read_alone(name):
    """A program that has just this name in it gets just its lines: they must not hang on what other names bring along."""
    lowered = lower(naming(name), version=301)
    assert len(library.text(lowered.text)) > len(library.text(""))
    check(lowered)


def test_the_library_compiles_whole(device):
    """Nothing in it may clash with what OpenCL has built in, nor with the rest of it."""
    device.kernel(naming(*library.names()), std="3.1")
