"""What is refused, and how: at the source's own line and column, in Metal's words. Source: Metal Shading Language Specification."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

import metal
from metal.portable import macros
from metal.portable.frontend import check
from metal.portable.translate import lower
from tests.metal.conftest import HEAD

# name → (source, marker: the error must point at the first place where this stands after "/*!*/", words of the message)
K = "kernel void f(device float *x [[buffer(0)]], uint i [[thread_position_in_grid]]) { "
REFUSED = {
    "missing expression": (K + "x[i] = /*!*/; }", "expected expression"),
    "missing semicolon": (K + "float a = 1/*!*/ x[i] = a; }", "expected ';'"),
    "missing brace": (K + "if (i == 0) { x[i] = 1; ", "expected"),
    "body that is never closed": ("kernel void f(device float *x [[buffer(0)]]) /*!*/{ x[0] = 1;", "expected '}'"),
    "undeclared name": (K + "x[i] = /*!*/foo + 1; }", "undeclared identifier 'foo'"),
    "unknown function": (K + "x[i] = /*!*/expp(x[i]); }", "undeclared identifier 'expp'"),
    "unknown type": (K + "/*!*/flaot a = 1; }", "'flaot'"),
    "in a helper function": ("float g(float a) { return a + /*!*/b; }\n" + K + "x[i] = g(1); }", "undeclared identifier 'b'"),
    "wrong argument": ("float g(float a) { return a; }\n" + K + "x[i] = /*!*/g(1, 2); }", "no matching function"),
    "assigning to constant": ("kernel void f(constant float *x [[buffer(0)]]) { x[0] /*!*/= 1; }", "const"),
    "assigning to a const buffer": ("kernel void f(device const float *x [[buffer(0)]]) { x[0] /*!*/= 1; }", "const"),
    "swizzle that is not there": (K + "float2 v = float2(1, 2); x[i] = v/*!*/.z; }", "component"),
    "address space changed": (K + "threadgroup float */*!*/z = x; z[0] = 1; }", "'threadgroup float *'"),
    "device pointer to a thread parameter": (
        "void g(thread float *p) { p[0] = 1; }\n" + K + "/*!*/g(x); }", "no matching function"),
    "pointer parameter without address space": ("float g(float */*!*/p) { return p[0]; }\n" + K + "}", "must have an explicit address space"),
    "pointer variable without address space": (K + "float */*!*/p = 0; }", "must have an explicit address space"),
    "reference without address space": ("void g(float &/*!*/p) { p = 1; }\n" + K + "}", "must have an explicit address space"),
    "field without address space": ("struct S { float */*!*/p; };\n" + K + "}", "must have an explicit address space"),
    "typedef without address space": ("typedef float */*!*/P;\n" + K + "}", "must have an explicit address space"),
    "alias without address space": ("using /*!*/P = float *;\nfloat g(P p) { return p[0]; }\n" + K + "}", "must have an explicit address space"),
    "double": (K + "/*!*/double a = 1; x[i] = a; }", "'double' is not supported in Metal"),
    "double in a cast": (K + "x[i] = (/*!*/double)x[i]; }", "'double' is not supported in Metal"),
    "threadgroup variable outside a kernel": ("void g() { threadgroup float /*!*/a[4]; a[0] = 1; }\n" + K + "}", "threadgroup"),
    "lambda": (K + "auto g = /*!*/[](float a) { return a; }; x[i] = g(1); }", "lambda"),
    "goto to a label": (K + "again: x[i] = 1; /*!*/goto again; }", "goto"),
    "unknown parameter attribute": ("kernel void f(device float *x [[buffer(0)]], uint i [[/*!*/thread_position]]) {}", "unknown attribute 'thread_position'"),
    "unknown kernel attribute": ("[[/*!*/max_threads(4)]] kernel void f(device float *x [[buffer(0)]]) {}", "unknown attribute 'max_threads'"),
    "duplicate index": ("kernel void f(device float *x [[buffer(1)]], device float *y [[/*!*/buffer(1)]]) {}", "buffer index 1 is already used by parameter 'x'"),
    "index out of range": ("kernel void f(device float */*!*/x [[buffer(31)]]) {}", "index 31 is out of range"),
    "missing attribute": ("kernel void f(device float *x [[buffer(0)]], uint /*!*/i) {}", "parameter 'i' needs an attribute"),
    "wrong type for a position": ("kernel void f(device float *x [[buffer(0)]], /*!*/int i [[thread_position_in_grid]]) {}", "type 'int' is not valid"),
    "buffer in thread memory": ("kernel void f(/*!*/thread float *x [[buffer(0)]]) {}", "device or constant"),
    "not void": ("kernel /*!*/int f(device float *x [[buffer(0)]]) { return 1; }", "void return type"),
    "defined twice": (K + "}\nkernel void /*!*/f(device float *x [[buffer(0)]]) {}", "defined twice"),
    "no such template": (K + "}\ntemplate [[host_name(\"g\")]] kernel void /*!*/g<float>(device float *);", "no kernel template named 'g'"),
    "in a template kernel": (
        "template <typename T> kernel void g(device T *x [[buffer(0)]]) { x[0] = /*!*/nope; }\n"
        "template [[host_name(\"g32\")]] kernel void g<float>(device float *);", "undeclared identifier 'nope'"),
    "too few components": (K + "float4 v = /*!*/float4(1, 2, 3); x[i] = v.x; }", "wrong number of components"),
    "a comparison of vectors as numbers": (K + "float4 /*!*/v = float4(x[i]) < 2; x[i] = v.x; }", "no viable conversion from 'bool4' to"),
    "a comparison of vectors as a condition": (K + "if (/*!*/float4(x[i]) < 2) x[i] = 1; }", "value of type 'bool4' is not contextually convertible to 'bool'"),
    "inside the library": ("struct S { int a; };\n" + K + "\n\nS s = /*!*/as_type<S>(half(1)); x[i] = s.a; }", "as_type: the two types differ in size"),
    "a texture in a helper function": (
        "float g(/*!*/texture2d<float> t, sampler s) { return t.sample(s, float2(0)).x; }\n" + K + "}", "'texture2d' is not emulated: textures, samplers, ray tracing"),
    "ray tracing as a parameter": (
        "kernel void f(device float *x [[buffer(0)]], /*!*/raytracing::instance_acceleration_structure s [[buffer(1)]]) {}", "'raytracing' is not emulated"),
    "OpenCL's own functions": (K + "x[i] = /*!*/get_global_id(0); }", "get_global_id"),
    "OpenCL's own barrier": (K + "/*!*/work_group_barrier(1); }", "work_group_barrier"),
    "OpenCL's SIMD functions": (K + "x[i] = /*!*/sub_group_reduce_add(x[i]); }", "sub_group_reduce_add"),
    "OpenCL's keywords": ("/*!*/__global float *g(device float *x) { return x; }\n" + K + "}", "__global"),
    "OpenCL's wide vectors": (K + "/*!*/float8 v; }", "float8"),
    "OpenCL's vector literals": (K + "float4 v = /*!*/(float4)(1, 2, 3, 4); x[i] = v.x; }", "float4(…)"),
    "recursion": ("int g(int n) { return n ? /*!*/g(n - 1) : 0; }\n" + K + "x[i] = g(3); }", "recursion is not supported"),
    "recursion by way of another": (
        "int h(int n);\nint g(int n) { return n ? /*!*/h(n - 1) : 0; }\nint h(int n) { return g(n); }\n" + K + "x[i] = g(3); }", "recursion"),
    "program-scope variable": ("int /*!*/counter = 0;\n" + K + "}", "must reside in the constant address space"),
    "program-scope static": ("static float /*!*/table[2] = {1, 2};\n" + K + "}", "must reside in the constant address space"),
    "threadgroup initialised": (K + "threadgroup float /*!*/t[2] = {1, 2}; x[i] = t[0]; }", "cannot have an initializer"),
    "threadgroup outside a kernel": ("float g() { threadgroup float /*!*/t[4]; return t[0]; }\n" + K + "}", "threadgroup address space"),
    "variable length": (K + "float a[/*!*/i]; x[i] = a[0]; }", "not a constant expression"),
    "std": (K + "x[i] = /*!*/std::min(1, 2); }", "'std' is not supported"),
    "catch": (K + "/*!*/try { x[i] = 1; } catch (int e) {} }", "'try' is not supported"),
    "machine code": (K + "/*!*/__asm__ volatile(\"hlt\"); }", "'__asm__' is not supported"),
    "machine code by a macro": ("#define F __asm\n" + K + "/*!*/F(\"hlt\"); }", "'__asm' is not supported"),
    "a trap": (K + "if (x[i] > 1) /*!*/__builtin_trap(); }", "'__builtin_trap' is not supported"),
    "goto": (K + "/*!*/goto end; end: x[i] = 1; }", "'goto' is not supported"),
    "new": (K + "x[i] = */*!*/new float; }", "'new' is not supported"),
    "virtual": ("struct S { /*!*/virtual void f(); };\n" + K + "}", "'virtual' is not supported"),
    "bfloat before 3.1": (K + "/*!*/bfloat b; x[i] = 0; }", "'bfloat' came with Metal 3.1; this is compiled as 2.3"),
    "position at program scope before 3.1": ("uint3 /*!*/at [[thread_position_in_grid]];\n" + K + "}", "came with Metal 3.1; this is compiled as 2.3"),
    "atomic_float before 3.0": ("kernel void f(device /*!*/atomic_float *x [[buffer(0)]]) {}", "came with Metal 3.0"),
    "attribute nobody knows": ("struct S { float a [[/*!*/frobnicate]]; };\n" + K + "}", "unknown attribute 'frobnicate'"),
    "function constant twice": (
        "constant int a [[function_constant(0)]];\nconstant int b [[/*!*/function_constant(0)]];\n" + K + "}", "declared twice"),
    "#error": ("#if __METAL_VERSION__ < 300\n/*!*/#error needs 3.0\n#endif\n" + K + "}", "#error needs 3.0"),
    "#include of nothing": ("#include /*!*/\"nowhere.h\"\n" + K + "}", "'nowhere.h' file not found"),
    "#if of nonsense": ("/*!*/#if 1 +\n#endif\n" + K + "}", "an expression is missing"),
    "#endif missing": ("#if 1\n" + K + "}", "#endif is missing"),
    "#else alone": ("/*!*/#else\n" + K + "}", "#else without #if"),
    "macro with too few arguments": ("#define TWO(a, b) a + b\n" + K + "x[i] = /*!*/TWO(1); }", "takes 2 arguments, 1 given"),
    "error inside a macro": ("#define BAD(a) a + nope\n" + K + "x[i] = /*!*/BAD(1); }", "undeclared identifier 'nope'"),
    "kernel out of a macro": ("#define MAKE(n) kernel void n(device float *x [[buffer(0)]]) { x[0] = nope; }\n/*!*/MAKE(f)", "'nope'"),
    "what a function returns, without address space": ("float */*!*/g(device float *p) { return 0; }\n" + K + "}", "returns must have an explicit address space"),
    "what a method returns, without address space": ("struct S { int a; int &/*!*/g() thread { return a; } };\n" + K + "}", "returns must have an explicit address space"),
    "cast without address space": (K + "x[i] = */*!*/(float *)x; }", "this cast must have an explicit address space"),
    "reinterpret_cast without address space": (K + "x[i] = */*!*/reinterpret_cast<float *>(x); }", "this cast must have an explicit address space"),
    "array of pointers without address space": (K + "float */*!*/p[2]; }", "must have an explicit address space"),
    "pointer in a template's arguments without address space": (
        "template <typename T> struct S { T a; };\n" + K + "S<float *> /*!*/s; }", "must have an explicit address space"),
    "static variable in a function": (K + "static int /*!*/n = 0; x[i] = n++; }", "static variable 'n' must reside in the constant address space"),
    "static member": ("struct S { static const int /*!*/n = 1; };\n" + K + "}", "static variable 'n' must reside in the constant address space"),
    "recursion in a template": (
        "template <typename T> T g(T n) { return n ? /*!*/g(n - 1) : 0; }\n" + K + "x[i] = g(3); }", "recursion is not supported in Metal: 'g' calls itself"),
    "recursion of templates": (
        "template <typename T> T h(T n);\ntemplate <typename T> T g(T n) { return n ? /*!*/h(n - 1) : 0; }\n"
        "template <typename T> T h(T n) { return g<T>(n); }\n" + K + "x[i] = g(3); }", "recursion"),
    "recursion of a constructor": (
        "struct S { int a; S(int n) { a = n ? /*!*/S(n - 1).a : 0; } };\n" + K + "x[i] = S(3).a; }", "recursion"),
    "using namespace std": ("using namespace /*!*/std;\n" + K + "}", "'std' is not supported"),
    "noexcept as an operator": (K + "x[i] = /*!*/noexcept(x[i]); }", "the 'noexcept' operator is not supported"),
    "main": ("int /*!*/main() { return 0; }\n" + K + "}", "may not be named 'main'"),
    "long double": (K + "x[i] = /*!*/1.5L; }", "'long double' is not supported"),
    "C++17: auto as a template parameter": ("template </*!*/auto N> int g() { return N; }\n" + K + "}", "which is C++14"),
    "C++17: template arguments that are worked out": (
        "template <typename T> struct S { T a; S(T b) : a(b) {} };\n" + K + "S /*!*/s(1.0f); x[i] = s.a; }", "which is C++14"),
    "OpenCL's barrier and flags": (K + "barrier(/*!*/CLK_LOCAL_MEM_FENCE); }", "CLK_LOCAL_MEM_FENCE"),
    "OpenCL's casts": (K + "x[i] = */*!*/addrspace_cast<device float *>(x); }", "addrspace_cast"),
    "atomic<float> before 3.0": ("kernel void f(device /*!*/atomic<float> *x [[buffer(0)]]) {}", "came with Metal 3.0"),
    "stitchable before 2.4": ("[[/*!*/stitchable]] float g(float a) { return a; }\n" + K + "}", "came with Metal 2.4"),
    "bfloat literal before 3.1": (K + "x[i] = /*!*/1.0bf; }", "came with Metal 3.1"),
    "function without a body": ("float g(float a);\n" + K + "x[i] = sizeof(g(1)) + /*!*/g(1); }", "'g' is declared, but nowhere defined"),
    "variable without a value": ("extern constant float /*!*/g;\n" + K + "x[i] = g; }", "'g' is declared, but nowhere defined"),
    "bit-fields": ("struct S { int /*!*/a : 3; };\n" + K + "}", "bit-fields are not emulated here"),
    "index below 0": ("kernel void f(device float */*!*/x [[buffer(-1)]]) {}", "index -1 is out of range"),
    "two indices": ("kernel void f(device float *x [[buffer(0)]] [[/*!*/buffer(1)]]) {}", "has one index, 0"),
    "two positions at once": (
        "kernel void f(device float *x, uint i [[thread_position_in_grid]] [[/*!*/thread_index_in_threadgroup]]) {}", "cannot be 'thread_index_in_threadgroup' as well"),
    "positions of different sizes": (
        "kernel void f(device float *x, uint2 i [[thread_position_in_grid]], /*!*/uint n [[threads_per_grid]]) {}", "both scalars, or vectors of the same number of components"),
    "both names of the SIMD-group's width": (
        "kernel void f(device float *x, uint i [[thread_execution_width]], uint n [[/*!*/threads_per_simdgroup]]) {}", "may not have both"),
    "unknown attribute behind a kernel's parameters": ("kernel void f(device float *x) [[/*!*/frobnicate]] {}", "unknown attribute 'frobnicate'"),
    "in a template kernel without instances": ("template <typename T> kernel void g(device T *x) { threadgroup T t[4]; t[0] = /*!*/nope; }\n" + K + "}", "'nope'"),
    "duplicate index in a template kernel without instances": (
        "template <typename T> kernel void g(device T *x [[buffer(0)]], device T *y [[/*!*/buffer(0)]]) {}\n" + K + "}", "buffer index 0 is already used"),
    "a letter beyond ASCII where nothing fits": (K + "x[i] = max(/*!*/größe); }", "undeclared identifier 'größe'"),
    "comment that is never closed": (K + "}\n/*!*//* open", "unterminated /* comment"),
    "macro's parameters that are never closed": ("#define /*!*/F(a a\n" + K + "}", "')' is missing"),
    "#if nested without bounds": ("/*!*/#if " + "(" * 5000 + "1" + ")" * 5000 + "\n#endif\n", "nested too deep"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_is_refused_at_its_line_and_column_in_metals_words(device, name):
    source, words = REFUSED[name]
    source = '#include <metal_stdlib>\nusing namespace metal;\n#line 41 "m9/op.metal"\n' + source.replace("/*!*/", "\0")
    line = column = None
    if "\0" in source:
        before = source[: source.index("\0")]
        line, column = 40 + before.count("\n") - 2, len(before) - before.rfind("\n")
    source = source.replace("\0", "")
    with pytest.raises(metal.error) as caught:
        device.kernel(source).function("f")
    message = str(caught.value)
    assert words in message, message
    assert not re.search(
        r"\bfl_|__global|__local|__private|__constant|__generic|metal::|addrspace", message.replace(words, "")
    ), message
    first = message.splitlines()
    place = re.match(r"m9/op\.metal:(\d+):(\d+): error: ", first[0])
    assert place, message
    if line is not None:
        places = [(int(a), int(b)) for a, b in re.findall(r"^m9/op\.metal:(\d+):(\d+): error: ", message, re.MULTILINE)]
        assert (line, column) in places, f"expected {line}:{column} in\n{message}"
        at = next(i for i, text in enumerate(first) if text.startswith(f"m9/op.metal:{line}:{column}: "))
        assert first[at + 1] == source.splitlines()[line - 41 + 3], "the line itself is shown"
        assert first[at + 2].index("^") == column - 1


# what looks like something refused, and is not
ALLOWED = {
    "deleted and defaulted methods": "struct S { int a; S() = default; S(int b) : a(b) {} void g() = delete; };\n" + K + "x[i] = S(1).a; }",
    "templates that end": "template <int N> int g() { return g<N - 1>() + 1; }\ntemplate <> int g<0>() { return 0; }\n" + K + "x[i] = g<4>(); }",
    "packs that end": (
        "template <typename T> T g(T a) { return a; }\ntemplate <typename T, typename... U> T g(T a, U... b) { return a + g(b...); }\n"
        + K + "x[i] = g(1, 2, 3); }"),
    "an overload of the same name": "int g(int n, int m) { return n + m; }\nint g(int n) { return g(n, 1); }\n" + K + "x[i] = g(3); }",
    "static members in constant memory": "struct S { static constexpr constant int n = 1; };\n" + K + "x[i] = S::n; }",
    "an array as a kernel's parameter": "kernel void f(device float *x, constant float y[4] [[buffer(1)]], uint i [[thread_position_in_grid]]) { x[i] = y[i]; }",
    "a method's thread pointer behind an attribute": (
        "struct S { int a; inline __attribute__((always_inline)) thread int *p() thread { return &a; } };\n" + K + "S s; x[i] = *s.p(); }"),
    "positions by an alias": "typedef uint2 Place;\nusing At = Place;\nkernel void f(device float *x, At i [[thread_position_in_grid]], vec<uint, 2> n [[threads_per_grid]]) { x[i.x] = n.x; }",
    "a macro that holds its file's name": "#define FILE <metal_math>\n#include FILE\n" + K + "}",
    "a template kernel without instances": (
        "template <typename T, int N> kernel void g(device T *x [[buffer(N)]], T i [[thread_position_in_grid]]) { x[i] = 1; }\n"
        "template <typename T> kernel void h(device T *x, device const T &y) { threadgroup T t[4]; t[0] = y; x[0] = T(t[0]); }\n" + K + "}"),
    "the mark of UTF-8 in front": "\ufeff" + K + "}",
}  # fmt: skip


@pytest.mark.parametrize("name", ALLOWED)
def test_what_only_looks_like_it_is_not_refused(name):
    check(lower(("" if ALLOWED[name][0] == "\ufeff" else HEAD) + ALLOWED[name]))


def test_what_came_with_a_version_is_there_from_it_on():
    source = HEAD + K + "x[i] = nextafter(1.0f, 2.0f) + float(1.0bf); }"
    check(lower(source, version=301))
    with pytest.raises(metal.error, match=r"'nextafter' came with Metal 3\.1; this is compiled as 3\.0"):
        lower(source, version=300)


def test_macros_that_never_end_are_an_error(monkeypatch):
    monkeypatch.setattr(macros, "MAX_TOKENS", 1000)
    doubled = "".join(f"#define {b} {a} {a}\n" for a, b in pairwise("ABCDEFGHIJKL"))
    with pytest.raises(metal.error, match=r"^program_source:12:1: error: macros expand to more than 1,000 tokens"):
        lower(doubled + "L\n")


def test_line_directives_and_letters_beyond_ascii_do_not_move_the_place(device):
    source = '// ε, naïve, 数\n#line 7 "a/b.metal"\n' + K + "x[i] = 1; /* ü */ x[i] = nope; }"
    with pytest.raises(metal.error, match=r"^a/b.metal:7:\d+: error: use of undeclared identifier 'nope'") as caught:
        device.kernel(source)
    column = int(str(caught.value).split(":")[2])
    assert source.splitlines()[2][column - 1 :].startswith("nope")


def test_what_follows_from_an_error_inside_the_library_is_left_out(device):
    with pytest.raises(metal.error) as caught:
        device.kernel(K + "\nx[i] = as_type<float>(half(1));\n}")
    assert str(caught.value).count("error:") == 1


def test_a_header_in_the_callers_working_folder_is_not_taken_for_ours(device, tmp_path, monkeypatch):
    """libclang looks for its OpenCL header there first; a kernel author's folder may hold an OpenCL SDK's."""
    (tmp_path / "opencl-c-base.h").write_text("#error not ours")
    monkeypatch.chdir(tmp_path)
    device.kernel(f"{K}x[i] = {tmp_path.stat().st_ctime_ns}; }}")  # a source that no cache has


def test_every_error_of_a_source_is_reported(device):
    source = K + "\n x[i] = one;\n x[i] = two;\n}"
    with pytest.raises(metal.error) as caught:
        device.kernel(source)
    assert "program_source:2:9" in str(caught.value) and "program_source:3:9" in str(caught.value)


def test_a_source_without_a_kernel_compiles_and_has_no_function(device):
    with pytest.raises(metal.error, match="Failed to find function 'f'; this source has: none"):
        device.kernel("float g(float x) { return x; }").function("f")


@pytest.mark.parametrize(
    "source",
    [
        "",
        "}",
        "{",
        "kernel",
        "kernel void",
        "kernel void f",
        "kernel void f(",
        "[[",
        "template <",
        "template",
        "\0",
        '"',
        "/*",
        "kernel void f(device float *x [[buffer(0)]]",
    ],
)
def test_rubbish_is_an_error_never_a_crash(device, source):
    try:
        device.kernel(source)
    except metal.error:
        return
    assert source == "", "only an empty program may compile"
