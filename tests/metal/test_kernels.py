"""Kernels in every spelling: out of macros, as templates in all their forms, in namespaces, beside other kinds of function."""

from __future__ import annotations

import numpy as np
import pytest

import metal
from metal.portable.device import LIBRARY, MANY

# name → (program, function, what x = [0, 1, 2, 3] becomes)
KERNELS = {
    "out of a macro": (
        "#define MAKE(n, body) kernel void n##_kernel(device float *x [[buffer(0)]], uint i [[thread_position_in_grid]]) { if (i < 4) { body } }\n"
        "MAKE(a, x[i] += 1;) MAKE(b, x[i] *= 2;)",
        "b_kernel", [0, 2, 4, 6]),
    "instantiated by a macro": (
        "template <typename T, int N> kernel void add(device T *x [[buffer(0)]], uint i [[thread_position_in_grid]]) { if (i < 4) x[i] += T(N); }\n"
        '#define EACH(M) M(float, 3) M(half, 4)\n#define INST(T, N) template [[host_name("add_" #T "_" #N)]] [[kernel]] void add<T, N>(device T *, uint);\n'
        "EACH(INST)", "add_float_3", [3, 4, 5, 6]),
    "by decltype": (
        "template <typename T> kernel void twice(device T *x [[buffer(0)]], uint i [[thread_position_in_grid]]) { if (i < 4) x[i] *= 2; }\n"
        'template [[host_name("t")]] [[kernel]] decltype(twice<float>) twice<float>;', "t", [0, 2, 4, 6]),
    "by a typedef of decltype": (
        "template <typename T> kernel void twice(device T *x [[buffer(0)]], uint i [[thread_position_in_grid]]) { if (i < 4) x[i] *= 2; }\n"
        'typedef decltype(twice<float>) twice_t;\ntemplate [[host_name("t")]] kernel twice_t twice<float>;', "t", [0, 2, 4, 6]),
    "defaults that hang on other parameters": (
        "template <typename T, typename U = T, int N = 5> kernel void f(device T *x [[buffer(0)]], uint i [[thread_position_in_grid]]) { U y = N; if (i < 4) x[i] = x[i] + y; }\n"
        'template [[host_name("f5")]] kernel void f<float>(device float *, uint);', "f5", [5, 6, 7, 8]),
    "a value of several tokens": (
        "template <int N> kernel void f(device float *x [[buffer(0)]], uint i [[thread_position_in_grid]]) { if (i < 4) x[i] = N * 2; }\n"
        'template [[host_name("f")]] kernel void f<1 + 2>(device float *, uint);', "f", [6, 6, 6, 6]),
    "a function as a parameter": (
        "inline float square(float v) { return v * v; }\n"
        "template <float (*fn)(float)> kernel void map(device float *x [[buffer(0)]], uint i [[thread_position_in_grid]]) { if (i < 4) x[i] = fn(x[i]); }\n"
        'template [[host_name("sq")]] kernel void map<square>(device float *, uint);', "sq", [0, 1, 4, 9]),
    "a type with a template of its own": (
        "template <typename T> struct Op { static T go(T v) { return v + T(10); } };\n"
        "template <typename T, typename F> kernel void map(device T *x [[buffer(0)]], uint i [[thread_position_in_grid]]) { if (i < 4) x[i] = F::go(x[i]); }\n"
        'template [[host_name("m")]] kernel void map<float, Op<float>>(device float *, uint);', "m", [10, 11, 12, 13]),
    "an explicit specialisation": (
        "template <typename T> kernel void f(device T *x [[buffer(0)]], uint i [[thread_position_in_grid]]) { if (i < 4) x[i] = 1; }\n"
        "template <> kernel void f<float>(device float *x [[buffer(0)]], uint i [[thread_position_in_grid]]) { if (i < 4) x[i] = 7; }\n"
        'template [[host_name("f")]] kernel void f<float>(device float *, uint);', "f", [7, 7, 7, 7]),
    "in a namespace": (
        "namespace a { namespace b { constant float K[2] = {3, 4}; inline float g(float v) { return v + K[1]; }\n"
        "kernel void f(device float *x [[buffer(0)]], uint i [[thread_position_in_grid]]) { if (i < 4) x[i] = g(x[i]); } } }",
        "f", [4, 5, 6, 7]),
    "a program's own part of namespace metal": (
        "namespace metal { inline float extra(float v) { return metal::exp(v) * 0 + v + 1; } }\n"
        "kernel void f(device float *x [[buffer(0)]], uint i [[thread_position_in_grid]]) { if (i < 4) x[i] = metal::extra(x[i]); }",
        "f", [1, 2, 3, 4]),
    "beside vertex and fragment functions": (
        "struct V { float4 at [[position]]; float2 uv [[user(uv)]]; };\n"
        "vertex V show(uint id [[vertex_id]]) { V v; v.at = float4(0); return v; }\n"
        "fragment float4 paint(V in [[stage_in]]) { return float4(in.uv, 0, 1); }\n"
        "kernel void f(device float *x [[buffer(0)]], uint i [[thread_position_in_grid]]) { if (i < 4) x[i] += 1; }",
        "f", [1, 2, 3, 4]),
    "names that OpenCL keeps for itself": (
        "kernel void f(device float *x [[buffer(0)]], uint i [[thread_position_in_grid]]) {\n"
        "  float local = 1, global = 2, generic = 3; struct { float pipe; } s = {4}; if (i < 4) x[i] = local + global + generic + s.pipe; }",
        "f", [10, 10, 10, 10]),
    "threadgroup variables of inner blocks": (
        "kernel void f(device float *x [[buffer(0)]], uint i [[thread_position_in_grid]], uint t [[thread_index_in_threadgroup]]) {\n"
        "  for (int n = 0; n < 2; n++) { threadgroup float s[1024]; s[t] = float(t) + n; threadgroup_barrier(mem_flags::mem_threadgroup);\n"
        "    if (i < 4) { x[i] = s[i] + s[3]; } threadgroup_barrier(mem_flags::mem_threadgroup); } }",
        "f", [5, 6, 7, 8]),
    "pragmas": (
        "kernel void f(device float *x [[buffer(0)]], uint i [[thread_position_in_grid]]) {\n"
        "  // exact\n  #pragma clang fp contract(off)\n  #pragma METAL internals : enable\n  float s = 0;\n"
        "  #pragma unroll\n  for (int n = 0; n < 3; n++)\n    s += n;\n  if (i < 4) x[i] = s; }", "f", [3, 3, 3, 3]),
    "constants at program scope": (
        "constant uint3 SIZE [[maybe_unused]] = uint3(8u, 1u, 1u);\nconstant float4 TABLE[2] = {float4(1, 2, 3, 4), float4(float2(5), 6, 7)};\n"
        "constant float HALF = 0.5;\n"
        "kernel void f(device float *x [[buffer(0)]], uint i [[thread_position_in_grid]]) { if (i < 4) x[i] = TABLE[1][i] + SIZE.x + HALF; }",
        "f", [13.5, 13.5, 14.5, 15.5]),
    "casts of vectors": (
        "template <typename T> T as(int4 v) { return (T)v; }\n"
        "kernel void f(device float *x [[buffer(0)]], uint i [[thread_position_in_grid]]) { if (i < 4) {\n"
        "  float4 v = (float4)int4(1, 2, 3, 4) * 2 + as<float4>(int4(1)); int2 n = (int2)(float2(2.9f, -2.9f)); float w = (float)(n.x) + (uint)7;\n"
        "  x[i] = v[i] + (float)n.y + ((half4)(v > 5.0f))[i] + w; } }",
        "f", [10, 12, 15, 17]),
    "namespaces called metal": (
        "namespace metal { namespace precise { inline float twice(float v) { return v + v; } } inline float one() { return 1; } }\n"
        "namespace c10 { namespace metal { inline float two() { return ::metal::exp(0.0f) + ::metal::one(); } } }\n"
        "kernel void f(device float *x [[buffer(0)]], uint i [[thread_position_in_grid]]) { if (i < 4) x[i] = precise::twice(x[i]) + ::c10::metal::two() + ::metal::precise::sqrt(4.0f); }",
        "f", [4, 6, 8, 10]),
    "qualified types": (
        "using metal::uint;\nkernel void f(device float *x [[buffer(0)]], metal::uint i [[thread_position_in_grid]]) { if (i < 4) { metal::float4 v = metal::float4(i); x[i] = v.w + metal::half(1); } }",
        "f", [1, 2, 3, 4]),
    "positions spelled otherwise": (
        "kernel void f(device float *x [[buffer(0)]], const uint i [[thread_position_in_grid]], unsigned int t [[thread_index_in_threadgroup]],\n"
        "  uint32_t n [[threads_per_grid]], uint16_t l [[thread_index_in_simdgroup]]) { if (i < 4) x[i] = t + l + i + (n > 3); }",
        "f", [1, 4, 7, 10]),
    "enumerators as indices": (
        "enum Index { Unused, Data = Unused, More = 1 << 2 };\nconstexpr constant uint Width = 64;\n"
        "[[max_total_threads_per_threadgroup(Width)]] kernel void f(device float *x [[buffer(Data)]], uint i [[thread_position_in_grid]]) { if (i < 4) x[i] = More + Width; }",
        "f", [68, 68, 68, 68]),
    "a width out of template parameters": (
        "template <int M, int N> [[kernel, max_total_threads_per_threadgroup(M * N * 32)]] void w(device float *x [[buffer(0)]], uint i [[thread_position_in_grid]], uint n [[threads_per_threadgroup]]) { if (i < 4) x[i] = n; }\n"
        'template [[host_name("f")]] [[kernel]] void w<1, 2>(device float *, uint, uint);', "f", [64, 64, 64, 64]),
    "a helper that has a kernel's attributes": (
        "void help(device float *x [[buffer(0)]], uint i [[thread_position_in_grid]]) { if (i < 4) x[i] = 3; }\n"
        "kernel void f(device float *x [[buffer(0)]], uint i [[thread_position_in_grid]]) { help(x, i); }", "f", [3, 3, 3, 3]),
    "safe math": (  # under fast math (s - 1e8) - x is 0
        "kernel void f(device float *x [[buffer(0)]], uint i [[thread_position_in_grid]]) {\n"
        "  #pragma METAL fp math_mode(safe)\n  #pragma METAL fp contract(off)\n"
        "  if (i < 4) { float s = x[i] + 1e8f; x[i] = (s - 1e8f) - x[i]; } }", "f", [0, -1, -2, -3]),
    "digit separators, lines that go on, macros in a pragma": (
        "#define TIMES 2\nkernel void f(device float *x [[buffer(0)]], \\\n  uint i [[thread_position_in_grid]]) {\n  float s = 1'000;\n"
        "  #pragma unroll(TIMES)\n  for (int n = 0; n < 2; n++) s += n;\n  if (i < 4) x[i] = s; }", "f", [1001, 1001, 1001, 1001]),
    "references to arrays": (
        "float sum(threadgroup float (&s)[4]) { return s[0] + s[3]; }\n"
        "kernel void f(device float *x [[buffer(0)]], uint i [[thread_position_in_grid]]) { threadgroup float s[4]; if (i < 4) s[i] = x[i];\n"
        "  threadgroup_barrier(mem_flags::mem_threadgroup); if (i < 4) x[i] = sum(s) + i; }", "f", [3, 4, 5, 6]),
    "attributes behind the head": (
        "kernel void f(device float *x [[buffer(2 - 2)]], uint i [[thread_position_in_grid]]) [[max_total_threads_per_threadgroup(32 * 2)]] { if (i < 4) x[i] = 1; }",
        "f", [1, 1, 1, 1]),
}  # fmt: skip


@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_is_found_and_right(run, name):
    program, function, expected = KERNELS[name]
    assert run(program, 4, np.float32([0, 1, 2, 3]), name=function)[0].tolist() == expected


def test_a_literal_without_a_suffix_is_a_float(run):
    """Metal has no double: 0.1 is the float nearest to it."""
    program = (
        "kernel void f(device float *x [[buffer(0)]]) { x[0] = sizeof(0.1); x[1] = 0.1 == 0.1f; x[2] = sizeof(1e-3 * 2); }"
    )
    assert run(program, 1, np.zeros(3, np.float32))[0].tolist() == [4, 1, 4]


CONSTANTS = """
constant int times [[function_constant(0)]];
constant bool shifted [[function_constant(1)]];
constant float4 table [[function_constant(1 + 1)]];
constant float by = is_function_constant_defined(times) ? float(times) : 0.5;
kernel void f(device float *x [[buffer(0)]], device const float *shift [[buffer(1), function_constant(shifted)]],
              uint i [[thread_position_in_grid]]) {
    if (i >= 4) return;
    x[i] = x[i] * by + table[i];
    if (shifted) x[i] += shift[0];
}
"""


@pytest.mark.parametrize(
    ("constants", "expected"),
    [
        (None, [0.5, 1, 1.5, 2]),
        ({"times": 3}, [3, 6, 9, 12]),
        ({0: 3, "table": (10, 20, 30, 40)}, [13, 26, 39, 52]),
        ({0: -1, 1: True}, [99, 98, 97, 96]),
    ],
)
def test_function_constants_have_the_values_that_are_given(device, constants, expected):
    """By index or by name. A buffer that is there for one of them need not be bound while it is false."""
    function = device.kernel(CONSTANTS).function("f", constants=constants)
    x = device.buffer(np.float32([1, 2, 3, 4]))
    run = function(4, x, *([np.float32([100])] if constants and constants.get(1) else []))
    del run
    assert np.frombuffer(x, np.float32).tolist() == expected


@pytest.mark.parametrize(
    ("constants", "words"),
    [
        ({7: 1}, "no function constant 7; this source has: 0 ('times'), 1 ('shifted'), 2 ('table')"),
        ({"nope": 1}, "no function constant 'nope'"),
        ({0: 1.5}, "function constant 0 ('times') is a int: give a whole number from -2147483648 to 2147483647, got 1.5"),
        ({0: 2**31}, "give a whole number"),
        ({1: 2}, "give true or false"),
        ({2: 1.0}, "give a sequence of 4 numbers"),
        ({2: (1, 2, 3, float("nan"))}, "give a finite number"),
    ],
)
def test_a_function_constant_that_does_not_fit_is_named(device, constants, words):
    with pytest.raises(metal.error) as caught:
        device.kernel(CONSTANTS).function("f", constants=constants)
    assert words in str(caught.value)


def test_a_buffer_that_a_function_constant_calls_for_must_be_bound(device):
    function = device.kernel(CONSTANTS).function("f", constants={"shifted": True})
    with pytest.raises(metal.error, match=r"reads buffer\(1\) \('shift'\)"):
        function(4, np.zeros(4, np.float32))


def test_of_a_large_library_only_the_function_asked_for_is_compiled(device, monkeypatch):
    """A hundred instantiations: one is built when it is asked for, and an error in another one is told only then."""
    lines = [f'template [[host_name("f{n}")]] kernel void f<{n}>(device float *);' for n in range(100)]
    template = "template <int N> kernel void f(device float *x [[buffer(0)]]) { BODY x[0] = N; }\n"
    built = []
    real = type(device._runtime).build

    def build(self, lowered, before=""):
        built.append(list(lowered.kernels))
        return real(self, lowered, before)

    monkeypatch.setattr(type(device._runtime), "build", build)
    seed = f"// {np.random.default_rng().integers(1 << 62)}\n"  # not in the cache
    kernel = device.kernel(seed + template.replace("BODY", "") + "\n".join(lines))
    assert built == []
    x = device.buffer(4)
    run = kernel.function("f42")(1, x)
    del run
    assert np.frombuffer(x, np.float32)[0] == 42 and built == [["f42"]]
    again = device.kernel(seed + template.replace("BODY", "") + "\n".join(lines))
    again.function("f42")
    assert built == [["f42"]], "the second time it comes from the cache"
    wrong = device.kernel(seed + template.replace("BODY", "typename fits<(N < 50)>::yes a = 0; x[1] = a;").replace(
        "template <int", "template <bool> struct fits {}; template <> struct fits<true> { typedef float yes; };\ntemplate <int"
    ) + "\n".join(lines))  # fmt: skip
    wrong.function("f7")
    with pytest.raises(metal.error, match="yes"):
        wrong.function("f77")


@pytest.mark.parametrize("number", [MANY, MANY + 1, LIBRARY])
def test_an_error_in_any_instantiation_is_told_for_the_whole_file(device, number):
    """Whether its functions are compiled together or each on its own."""
    source = (
        'template <int N> kernel void f(device float *x [[buffer(0)]]) { static_assert(N != 1, "not this one"); x[0] = N; }\n'
    )
    source += "\n".join(f'template [[host_name("f{n}")]] kernel void f<{n}>(device float *);' for n in range(number))
    with pytest.raises(metal.error, match=r"program_source:1:\d+: error: .*not this one"):
        device.kernel(source)


def test_the_language_version_is_ours_to_choose(device):
    source = "kernel void f(device int *x [[buffer(0)]]) { x[0] = __METAL_VERSION__; }"
    x = device.buffer(4)
    run = device.kernel(source, std="3.1").function("f")(1, x)
    del run
    assert np.frombuffer(x, np.int32)[0] == 310
    with pytest.raises(metal.error, match=r"Metal 9\.9 is not a version"):
        device.kernel(source, std="9.9")


def test_a_kernel_that_cannot_run_here_is_refused_alone(device):
    """Textures are not emulated; another kernel of the same file does not have to pay for that."""
    source = (
        f"// {np.random.default_rng().integers(1 << 62)}\n#include <metal_stdlib>\nusing namespace metal;\nusing namespace metal::raytracing;\n"
        "kernel void draw(texture2d<float, access::write> t [[texture(0)]], uint2 at [[thread_position_in_grid]]) { t.write(1, at); }\n"
        "kernel void f(device float *x [[buffer(0)]]) { x[0] = 5; }"
    )
    for kernel in (device.kernel(source), device.kernel(source)):  # made, and out of the cache
        x = device.buffer(4)
        run = kernel.function("f")(1, x)
        del run
        assert np.frombuffer(x, np.float32)[0] == 5
        with pytest.raises(metal.error, match="'texture2d' is not emulated: textures, samplers"):
            kernel.function("draw")
