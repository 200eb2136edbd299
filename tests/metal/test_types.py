"""Types: what they hold, how they lie in memory, what becomes of what. Source: Metal Shading Language Specification 2.3, §2
(bfloat: 3.1, §2.1). Each group is one program; every expression in it has a value worked out by hand."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

import metal
from tests.metal.conftest import HEAD

# group → (declarations, statements before, {expression: value})
GROUPS = {
    "vectors are built from pieces": (
        "template <typename V> V pick(int x) { return V(x, x + 1, x + 2, x + 3); }\n#define V4 float4\nconstant float3 C(1, 2, 3);\n"
        "constexpr constant float4 K = float4(float3(1, float2(2, 3)), 4);\nconstant float4 KS[2] = {float4(K.x, 2, 3, 4), float4(5)};",
        "float4 v(1, 2, 3, 4), w(v.xy, v.zw); half4 h = half4(half2(1, 2), float2(3, 4)); float2 g = metal::float2(3, 4);",
        {"v.w + w.y": 6, "h.z": 3, "pick<uchar4>(254).w": 1, "V4(5, 6, 7, 8).y": 6, "C.y": 2, "K.z": 3, "KS[1].w": 5, "g.y": 4,
         "float4(int2(1, 2), h.xy).w": 2, "uchar4(300, 2.7f, 0, 1).x": 44, "int2(float2(-2.9f, 2.9f)).x": -2, "float4(uint4(4000000000u)).x": 4e9,
         "vec<long, 2>(1l << 33).y": 2.0**33, "float3().z": 0, "half(0.1)": float(np.float16(0.1)), "short2(70000).x": 4464}),
    "a literal without a suffix is a float, h makes a half": (
        "float kind(float) { return 1; } float kind(half) { return 2; } float kind(int) { return 3; }", "half h = 2;",
        {"kind(1.0)": 1, "kind(1.0h)": 2, "kind(1.0H)": 2, "kind(1)": 3, "sizeof(1.0)": 4, "exp(0.0)": 1, "kind(1.0f * h)": 1, "kind(h * h)": 2,
         "0.1 == 0.1f": 1}),
    "bool vectors": (
        "struct S { bool3 b; uchar c; bool2 d; }; bool3 flip(bool3 b) { return !b; } constant bool4 K = bool4(true, false, 1, 0);\n"
        "constant bool2 KS[2] = {{true, false}, bool2(0, 5)}; float kind(bool4) { return 1; } float kind(uchar4) { return 2; }",
        "float4 a(1, 2, 3, 4); bool4 m = a < float4(2.5f), n = half4(a) == half4(2), k = K, q = {true, true, false, false}, o = m;"
        "o.zw = bool2(false, true); o[0] = false; threadgroup bool4 t[2]; t[1] = m; t[1].z = true;",
        {"m.x && m.y && !m.z && !m.w": 1, "all(m)": 0, "any(m)": 1, "int4(m).x": 1, "n.y": 1, "(n || a > 3.5f).w": 1, "(m && !n).x": 1,
         "select(a, a + 10, m).x": 11, "select(a, a + 10, m).w": 4, "float4(m).z": 0, "flip(bool3(true, m.xy)).x": 0, "o.w": 1, "o.x": 0, "o.g": 1,
         "K.z + KS[1][1]": 2, "all(k == K)": 1, "any(k != bool4(1, 0, 1, 0))": 0, "kind(m)": 1, "bool3(float3(0.5f, 0, -1)).x": 1, "t[1].z": 1,
         "q.y": 1, "all(vec<bool, 2>(true) && true)": 1, "float4(bool2(a.xy > 1.5f), q.x, m.y).y": 1, "(m ^ n).y": 0, "(m & true).x": 1,
         "sizeof(bool4) * 100 + sizeof(bool3) * 10 + sizeof(bool2)": 442, "sizeof(S)": 8, "any(bool2(q.zw))": 0}),
    "true is 1 where numbers are made of a comparison": (
        "template <typename T> T made(float4 a) { return T(a > 2.5f); } template <int N> int4 five() { return int4(N); } bool4 less(float4 a) { return a < 2.5f; }\n"
        "template <typename T> auto under(T a, T b) { return a < b; } template <typename T> bool every(T a, T b) { return all(a < b && !(a == b)); }\n"
        "template <int N, bool B = (N > 2)> int count() { return B + (N < 10); } template <typename T> T least(T a, T b) { return a < b ? a : b; }",
        "float4 v(1, 2, 3, 4); auto m = v < INFINITY; bool4 k = 1 < v && half4(1) < half4(2), e = v > 1; e &= v > 2; e |= bool4(true, false, false, false);"
        "int q = (v < 2.5f).x; packed_float3 p = packed_float3(1, 2, 3);",
        {"int4(v < 2.5f).x": 1, "int4(v < 2.5f).w": 0, "made<int4>(v).w": 1, "made<float4>(v).w": 1, "uint4(!(v < 2)).w": 1, "int2((v.xy < v.zw)).y": 1,
         "float4(v.xy < 1.5f, 7, v.x > v.y).x": 1, "int4(bool4(v < 2.5f) && v > 1.5f).y": 1, "int2(v.x < v.y ? int2(5) : int2(6)).y": 5,
         "int4(five<7>()).x": 7, "int4(int4(-4) >> 1).x": -2, "int4(as_type<int4>(v)).x": 0x3F800000, "q": 1, "m.x + m.y": 2, "k.x": 0, "k.y": 1,
         "less(v).x": 1, "under(v, float4(2)).x": 1, "under(1, 2)": 1, "every(v, v + 1)": 1, "every(v, v)": 0, "every(1, 2)": 1, "count<3>()": 2, "least(3, 2)": 2,
         "(!v).x": 0, "(v == v).x + (v != v).x": 1, "e.x + e.y * 10 + e.z * 100": 101, "(p < 2.0f).x": 1, "int3(p == packed_float3(1, 0, 3)).z": 1,
         "isfinite(v).x": 1, "any(isnan(v) || v > 3)": 1, "((float4)(v < 2.5f)).x": 1, "(v < 2.5f)[1]": 1, "(v.xy > 1 || v.x < 0).y": 1}),
    "a bool spread over a vector is 1": (
        "struct S { float4 a; bool b; float4 get() const thread { return b; } }; struct C { float4 v, w = true; C(bool b) : v(b) {} }; float4 back(bool b) { return b; }\n"
        "float first(float4 v = true) { return v.x; } template <typename T> T spread(T a, bool b) { T v = b; v += b; return v * b; } template <typename T> T give(bool b) { return b; }\n"
        "template <typename T> T times(T a, float b, float c) { return a * (b < c); } template <typename T> struct G { T v, w = true; G(bool b) : v(b) {} };\n"
        "constant bool K = true; constant float4 KV = float4(2) * K;",
        "bool b = i < 5; float4 v(1, 2, 3, 4), w = b, u = v, z; u += b; z = b; half4 h = half4(2) * b; uchar4 c = uchar4(200) + b; float4 a[2] = {b, v}; S s = {v, b}, t = {b, b};"
        "C d(b); G<float4> g(b); packed_float3 p = packed_float3(1, 2, 3), k = b; p += b; p.yz = b;",
        {"p.x": 2, "p.z": 1, "k.y": 1, "(p * b).x": 2, "spread(packed_float3(1), b).x": 2, "w.x": 1, "u.w": 5, "z.z": 1, "h.x": 2, "c.y": 201, "a[0].y": 1, "s.get().x": 1, "t.a.y": 1, "d.v.x": 1, "d.w.x": 1, "back(b).x": 1, "first(b)": 1, "first()": 1,
         "spread(v, b).x": 2, "spread(1.0f, b)": 2, "give<float4>(b).y": 1, "give<int>(b)": 1, "times(v, 1, 2).y": 2, "g.v.x": 1, "g.w.x": 1, "KV.x": 2,
         "static_cast<float4>(b).x": 1, "((float4)b).x": 1, "(v * (v.x < 2)).y": 2, "(true * v).y": 2, "(v * !b).x": 0, "(int4(3) << b).x": 6, "(uint4(4) | b).x": 5,
         "clamp(v, b, 3).x": 1, "max(v, b).x": 1, "fma(v, b, b).y": 3, "(i > 7 ? v : b).x": 1, "(b ? 1 : float4(0)).x": 1, "select(v, b, b).y": 1, "(b & (v < 3)).x": 1}),
    "a template's parameters are worked out from vec<T, N>": (
        "template <typename T, int N> T sum(vec<T, N> v) { T s = 0; for (int i = 0; i < N; i++) s += v[i]; return s; } template <typename T> T first(vec<T, 2> v) { return v.x; }\n"
        "template <typename T> T first(thread vec<T, 3> &v) { return v.z = 9; } template <typename T, uint N> uint count(vec<T, N> v) { return N; }\n"
        "template <typename T> struct complex { enum { is = 0 }; }; template <typename T> struct complex<vec<T, 2>> { enum { is = 1 }; };\n"
        "template <typename T> struct narrow; template <uint N> struct narrow<vec<float, N>> { using type = vec<half, N>; };\n"
        "template <typename T> T second(device const vec<T, 4> *p) { return p->y; } template <typename T> T scaled(vec<T, 2> v, T by) { return v.y * by; }",
        "float3 v(1, 2, 3); typename narrow<float4>::type h = half4(3); y[45] = 4;",
        {"sum(float4(1, 2, 3, 4))": 10, "sum(int2(3))": 6, "first(half2(5, 6))": 5, "first(v) + v.z": 18, "count(uchar3(1))": 3, "complex<float>::is": 0,
         "complex<half2>::is": 1, "complex<float3>::is": 0, "h.w": 3, "second((device float4 *)(y + 44))": 4, "scaled(bfloat2(2, 3), bfloat(2))": 6}),
    "as_type takes any type of the same size": (
        "", "float4 a(1, 2, 3, 4);",
        {"as_type<half2>(0x3C004000u).x": 2, "as_type<uint>(uchar4(1, 2, 3, 4)) == 0x04030201u": 1, "as_type<int2>(1ul << 33).y": 2,
         "as_type<uint2>(half4(1)).x == 0x3C003C00u": 1, "as_type<float>(1)": 2.0**-149, "as_type<float3>(a).z": 3, "as_type<ushort>(1.0h)": 0x3C00,
         "as_type<uint2>(as_type<ulong>(uint2(5, 6))).y": 6}),
    "packed vectors": (
        "struct V { packed_float3 p; float z; }; constant packed_float3 K = packed_float3(1, 2, 3); constant V KV = {{1, 2, 3}, 4};\n"
        "constant packed_float3 KS[2] = {{4, 5, 6}, packed_float3(7, 8, 9)}; float second(device packed_float3 &p) { p.x = 70; return p[1]; }",
        "packed_float3 p = float3(1, 2, 3), q = KS[0], s = K, e = {7, 8, 9}; float3 v = p; device packed_float3 *g = (device packed_float3 *)(y + 40);"
        "threadgroup packed_float3 t[4]; g[1] = p * 2; t[2] = g[1]; t[2].xy = float2(8, 9); q += v; q *= 2; s = KS[1]; s.yz = v.xy; g[2] = e;",
        {"v.z": 3, "KS[1].y + KV.p[2]": 11, "(g[1] + p).y": 6, "t[2][1]": 9, "(t[2].xyz + v).x": 9, "float2(K.yz).y": 3, "q.x": 10, "q.b": 18,
         "s[2]": 2, "dot(p, p)": 14, "float4(p, 9).w + float4(p.xy, 1, 2).y": 11, "second(g[1]) + g[1].x": 74, "(-p).y": -2, "(2 * p)[2]": 6,
         "(p - 1.0f).x": 0, "int(all(bool3(p == K)))": 1, "(packed_half4(half2(1, 2), 3, 4) + half4(1)).z": 4, "packed_float3(2.0f).z": 2,
         "(packed_uchar3{250, 251, 252} + uchar(10)).y": 5, "(packed_int2(int2(6, 7)) % 4).y": 3, "y[46]": 7}),
    "components of packed, bool and bfloat vectors in any order": (
        "template <typename T> float2 back(T v) { return v.yx; } constant packed_float3 K = packed_float3(1, 2, 3);",
        "device packed_float3 *g = (device packed_float3 *)(y + 40), &r = g[2]; g[0] = float3(1, 2, 3); g[1] = 0; g[1].xz = float2(8, 9); packed_float3 p = g[0].zyx; r = 7;"
        "p.zx += float2(10, 20); float2 w = r.zz + g->zy; g->zx *= w; bool4 b = float4(1, 2, 3, 4) < 2.5f; bool2 c = b.wx; bfloat4 z = bfloat4(1, 2, 3, 4), q = z.wzyx;"
        "threadgroup packed_half4 t; t = half4(1, 2, 3, 4); t.wx = half2(5, 6);",
        {"g[1].x * 10 + g[1].z": 89, "p.x": 23, "p.z": 11, "c.x": 0, "c.y": 1, "b.xxxx.z": 1, "w.y": 9, "g[0].z": 30, "g[0].x": 9, "q.x": 4, "q.yx.x": 3, "back(g[0]).y": 9,
         "back(float3(4, 5, 6)).x": 5, "K.zx.x": 3, "t.w * 10 + t.x": 56, "(g[0].zyx * 2).x": 60, "g[0].bgr.x": 30, "p.xzy.y": 11, "g[0].yz.yx.x": 30, "int4(b.wzyx).w": 1,
         "all(b.yxyx)": 1}),
    "the names of simd.h": (
        "#include <simd/simd.h>\nstruct U { matrix_float4x4 m; vector_float3 v; simd_float2 a; simd::float4 b; simd_half3x3 h; };\n"
        "template <typename T, typename = typename enable_if<is_integral<T>::value>::type> T sign(T x) { return select(select(x, T(1), x > T(0)), T(-1), x < T(0)); }",
        "U u; u.m = matrix_float4x4(2.0f); u.v = vector_float3(1, 2, 3); u.a = simd_float2(4, 5); u.b = simd::float4(u.a, 6, 7); simd::float2 q = u.a; simd::float3x3 n(3.0f);",
        {"u.m[1][1]": 2, "u.v.z": 3, "u.a.y": 5, "u.b.w": 7, "q.x": 4, "(u.m * u.b).x": 8, "n[2].z": 3, "sizeof(U)": 144, "sign(int4(-3)).x": -1, "sign(uint2(3)).y": 1,
         "sign(-2.0f)": -1, "is_integral_v<int4>": 1, "is_integral_v<float4>": 0, "is_integral_v<const int>": 1, "is_arithmetic_v<int4>": 0}),
    "structs copied out of constant memory": (
        "struct Args { float a; float4 v; int n[3]; }; constant Args A = {1, {1, 2, 3, 4}, {5, 6, 7}}; struct W { Args a; int n; };\n"
        "constant W WS[2] = {{{1, {1, 2, 3, 4}}, 3}, {{2, {5, 6, 7, 8}}, 4}}; float g(Args a) { return a.a + a.n[2]; } constant array<float, 2> C = {5, 6};\n"
        "Args get(constant Args &a) { return a; } template <typename T> T pick(bool c, T a, constant T &b) { T r = b; r = c ? a : b; return r; }",
        "constant Args *p = &A; constant Args &r = A; Args q = A, s[2]; s[0] = p[0]; s[1] = r; W w = WS[1]; auto t = WS[0].a; array<float, 2> c = C;"
        "thread const Args &o = q; device Args *d = (device Args *)(y + 40); d[0] = r;",
        {"q.v.y": 2, "g(*p)": 8, "g(A) + g(q)": 16, "s[0].n[1] + s[1].v.w": 10, "w.a.v.x + w.n": 9, "t.v.z": 3, "get(A).n[0]": 5, "o.a": 1, "c[1]": 6,
         "pick(false, q, A).v.w": 4, "(w.n > 3 ? w.a : WS[0].a).a": 2, "d->n[2]": 7}),
    "a scalar takes the type of the vector beside it": (
        "template <typename V> V by(V v) { return v * 0.5f; } template <typename V> V add(V v, int n) { v += n; return v; }",
        "half4 c = half4(2) * 0.5f; c = 2.0f * c * 3.0 - 1.0f; half4 h = c; h *= 0.5f; h += float(i) + 1; uchar4 u = uchar4(250) + 10; short2 s = 70000 + short2(1);",
        {"c.x": 5, "h.y": 3.5, "u.z": 4, "s.x": 4465, "by(c).x": 2.5, "by(float2(3)).y": 1.5, "by(3.0f)": 1.5, "by(half2(3)).x": 1.5,
         "add(uchar2(250), 10).x": 4, "add(int2(250), 10).x": 260, "(half4(4) * (h.x + half4(1) * 2.0f).x).y": 22, "dot(half3(1, 2, 3) * 0.5, half3(1.0))": 3,
         "int4(c > 2.5f).x": 1, "(half2(1, 2) + 0.1 * half2(1)).x == half(1) + half(0.1)": 1}),
    "array is a value": (
        "constant array<float, 3> K = {1, 2, 3}; constant array<float2, 2> K2 = {float2(1, 2), float2(3, 4)};\n"
        "float total(thread const array<float, 4> &a) { float s = 0; for (float x : a) s += x; return s; }\n"
        "float total2(constant array<float2, 2> &a) { float s = 0; for (auto x : a) s += x.y; return s; }\n"
        "float sum(array<float, 4> a) { float s = 0; for (size_t i = 0; i < a.size(); i++) s += a[i]; a[0] = 99; return s; }",
        "array<float, 4> a = {1, 2, 3, 4}, b = a; a[1] = 9; array<array<int, 2>, 2> c = {{{1, 2}, {3, 4}}};"
        "device array<float, 4> &d = *(device array<float, 4> *)(y + 40); d = a; for (device float &x : d) x += 1;",
        {"total(b)": 10, "sum(a)": 17, "a[0]": 1, "total2(K2)": 6, "K[2] + K.size()": 6, "c[1][0]": 3, "d.back()": 5, "d[1]": 10, "sizeof(a)": 16}),
    "limits and constants": (
        "constant float LIMIT = numeric_limits<float>::max(); constexpr constant int D = numeric_limits<half>::digits;", "",
        {"LIMIT == FLT_MAX": 1, "D": 11, "numeric_limits<int>::min() == INT_MIN": 1, "numeric_limits<half>::max()": 65504,
         "numeric_limits<half>::lowest()": -65504, "numeric_limits<ulong>::max() == ~0ul": 1, "numeric_limits<uchar>::digits10": 2,
         "numeric_limits<float>::min()": 2.0**-126, "numeric_limits<half>::epsilon()": 2.0**-10, "numeric_limits<short>::lowest()": -32768,
         "as_type<uint>(numeric_limits<float>::infinity()) == 0x7F800000u": 1, "as_type<ushort>(numeric_limits<half>::quiet_NaN())": 0x7E00,
         "numeric_limits<float>::max_exponent10": 38, "numeric_limits<uint>::is_signed": 0, "numeric_limits<long>::digits": 63,
         "M_PI_F": np.pi, "M_PI_H": 3.140625, "M_E_F": np.e, "M_SQRT1_2_H": float(np.float16(0.5**0.5)), "M_2_SQRTPI_F": 2 / np.pi**0.5,
         "MAXFLOAT": np.finfo(np.float32).max, "MAXHALF": 65504, "as_type<ushort>(HUGE_VALH)": 0x7C00, "CHAR_MIN": -128, "LONG_MAX > 0": 1,
         "sizeof(size_t) + sizeof(ptrdiff_t)": 16, "int8_t(200) + uint8_t(200)": 144}),
    "type traits": (
        "template <typename T> enable_if_t<is_integral_v<T>, float> kind(T) { return 1; }\n"
        "template <typename T> typename enable_if<is_floating_point<T>::value, float>::type kind(T) { return 2; }\n"
        "template <typename T> float branch() { if constexpr (is_same_v<T, float>) return 1; else return 2; }",
        "conditional_t<true, float, int> c = 1.5f; make_unsigned_t<int> u = -1;",
        {"kind(1)": 1, "kind(1.0h)": 2, "kind(1ul)": 1, "branch<float>()": 1, "branch<half>()": 2, "c": 1.5, "u > 0": 1, "true_type::value": 1,
         "is_same<remove_cv_t<const volatile int>, int>::value": 1, "is_pointer_v<device float *>": 1, "is_same_v<remove_pointer_t<device float *>, float>": 1,
         "is_same_v<remove_reference_t<thread float &>, float>": 1, "is_signed_v<uint>": 0, "is_arithmetic_v<float2>": 0, "is_arithmetic_v<int2>": 0,
         "is_integral_v<int4> && is_integral_v<const uchar2>": 1, "is_integral_v<float4>": 0, "is_floating_point_v<half3>": 1, "is_convertible_v<int, float>": 1,
         "is_scalar_v<half>": 1, "is_scalar_v<float2>": 0, "is_same_v<decltype(declval<int>() + declval<float>()), float>": 1}),
    "bfloat": (
        "constant bfloat K = 1.5bf; constant bfloat2 KS = {1, 2.5bf}; float kind(float) { return 1; } float kind(bfloat) { return 2; }\n"
        "struct S { bfloat a; bfloat3 b; bfloat2 c; };",
        "bfloat a = bfloat(2), b = K; b *= b; bfloat4 v = bfloat4(1, 2, 3, 4), u = v * 2.0f; u += v; device bfloat *g = (device bfloat *)(y + 40); g[1] = bfloat(3.14159f);"
        "threadgroup bfloat2 t[2]; t[1] = KS; v.xy = KS;",
        {"a": 2, "b": 2.25, "K * 2": 3, "g[1]": 3.140625, "kind(a + a) * 100 + kind(a * 2.0f) * 10 + kind(a * 2)": 212, "a < 3 && a == 2.0f && K > 1": 1,
         "-a": -2, "as_type<ushort>(bfloat(1))": 0x3F80, "as_type<bfloat>(ushort(0x4000))": 2, "exp(bfloat(0))": 1, "half(K)": 1.5, "int(bfloat(7.9f))": 7,
         "u[3]": 12, "float4(v * v).y": 6.25, "t[1].y": 2.5, "all(v.xy == KS)": 1, "(v < 3).w": 0, "float4(bfloat2(5, 6), v.zw).w": 4, "half4(v).z": 3,
         "vec<bfloat, 3>(7).z": 7, "bfloat2(float2(1, 2)).y": 2, "numeric_limits<bfloat>::max()": float(ml_dtypes.finfo(ml_dtypes.bfloat16).max),
         "sizeof(S)": 24, "sizeof(bfloat3)": 8, "is_floating_point_v<bfloat>": 1}),
}  # fmt: skip


@pytest.mark.parametrize("group", GROUPS)
def test_values(run, group):
    declarations, before, cases = GROUPS[group]
    stores = "\n".join(f"y[{n}] = float({expression});" for n, expression in enumerate(cases))
    kernel = f"kernel void f(device float *y [[buffer(0)]], uint i [[thread_position_in_grid]]) {{ {before} if (i == 0) {{ {stores} }} }}"
    got = run(f"{declarations}\n{kernel}", 1, np.full(64, np.nan, np.float32), std="3.1")[0]
    wrong = {e: (float(g), v) for g, (e, v) in zip(got, cases.items(), strict=False) if g != np.float32(v)}
    assert not wrong, f"expression: (got, expected) {wrong}"


# fields → (offset of each, size of the whole), counted by hand from the specification's tables of sizes and alignments
LAYOUTS = {
    "char a; int b; short c; long d; bool e;": ([0, 4, 8, 16, 24], 32),
    "float a; float2 b; float3 c; float d; float4 e;": ([0, 8, 16, 32, 48], 64),
    "half a; half2 b; half3 c; half4 d; half e;": ([0, 4, 8, 16, 24], 32),
    "uchar a; uchar2 b; uchar3 c; uchar4 d; ushort3 e; ulong2 f;": ([0, 2, 4, 8, 16, 32], 48),
    "bool a; bool2 b; bool3 c; bool4 d; bool e;": ([0, 2, 4, 8, 12], 16),
    "char a; packed_float3 b; packed_half3 c; packed_char3 d; packed_long2 e;": ([0, 4, 16, 22, 32], 48),
    "packed_float3 a; float b; packed_float3 c[3]; float d;": ([0, 12, 16, 52], 56),
    "float a; float2x2 b; float2x3 c; float3x2 d; float4x4 e;": ([0, 8, 32, 64, 96], 160),
    "half a; half2x2 b; half3x3 c; half4x2 d; half2x4 e;": ([0, 4, 16, 40, 56], 72),
    "float3x3 a; float b; float4x3 c; half d;": ([0, 48, 64, 128], 144),
    "uint a; atomic_uint b; atomic_bool c; atomic<int> d; array<half, 3> e; array<float3, 2> f;": ([0, 4, 8, 12, 16, 32], 64),
    "bfloat a; bfloat2 b; bfloat3 c; bfloat4 d; bfloat e;": ([0, 4, 8, 16, 24], 32),
    "struct { char x; float3 y; } a; char b; struct { short x; char y; } c[3]; half d;": ([0, 32, 34, 46], 48),
}


def test_structs_lie_in_memory_as_on_metal(run):
    """Offsets of every field in device memory, sizes, and the alignment that an array of them needs."""
    structs, stores, expected = [], [], []
    for number, (fields, (offsets, size)) in enumerate(LAYOUTS.items()):
        structs.append(f"struct S{number} {{ {fields} }};")
        stores.append(f"device S{number} *s{number} = (device S{number} *)y;")
        for name, offset in zip("abcdef", offsets, strict=False):
            stores.append(f"y[{len(expected)}] = (device char *)&s{number}->{name} - (device char *)s{number};")
            expected.append(offset)
        stores.append(f"y[{len(expected)}] = (device char *)(s{number} + 1) - (device char *)s{number};")
        expected.append(size)
    kernel = f"kernel void f(device int *y [[buffer(0)]], uint i [[thread_position_in_grid]]) {{ if (i == 0) {{ {' '.join(stores)} }} }}"
    got = run("\n".join(structs) + kernel, 1, np.full(len(expected), -1, np.int32), std="3.1")[0]
    assert got.tolist() == expected, "\n".join(LAYOUTS)


def test_bytes_of_the_host_are_the_kernels_values(run):
    """A packed array of stride 12, bools of one byte, halves and a matrix, written by NumPy and read through constant and device."""
    layout = np.dtype(
        {"names": ["p", "b", "m", "h"], "formats": ["3f4", "3u1", "12f4", "3f2"], "offsets": [0, 12, 16, 64], "itemsize": 80}
    )
    host = np.zeros(2, layout)
    host[1] = ((1, 2, 3), (1, 0, 1), np.arange(12), (0.5, 1.5, 2.5))
    body = """
    struct S { packed_float3 p; bool3 b; float3x3 m; packed_half3 h; };
    kernel void f(device float *y [[buffer(0)]], constant S *s [[buffer(1)]], device S *d [[buffer(2)]], uint i [[thread_position_in_grid]]) {
        if (i != 0) return;
        packed_float3 p = s[1].p; bool3 b = s[1].b; float3x3 m = s[1].m; float3 v = d[1].p;
        y[0] = p.z + v.y; y[1] = b.x && !b.y && b.z; y[2] = m[2][1]; y[3] = d[1].h[2]; y[4] = (s[1].m * float3(1, 0, 0)).y; y[5] = sizeof(S);
        d[0].p = v * 2; d[0].b = !b; d[0].m[1] = v; d[0].h = half3(7);
    }
    """
    y, _, written = run(body, 1, np.zeros(6, np.float32), host.view(np.uint8), host.view(np.uint8))
    assert y.tolist() == [5, 1, 9, 2.5, 1, 80]
    first = written.view(layout)[0]
    assert first["p"].tolist() == [2, 4, 6] and first["b"].tolist() == [0, 1, 0] and first["h"].tolist() == [7, 7, 7]
    assert first["m"].tolist() == [0, 0, 0, 0, 1, 2, 3, 0, 0, 0, 0, 0], "only the second column was written"


def test_bfloat_rounds_to_nearest_even(run):
    """Every upper half with lower halves around the tie, subnormals, infinities and NaNs, against ml_dtypes' bfloat16."""
    high = np.arange(65536, dtype=np.uint32) << 16
    bits = np.concatenate([high | low for low in (0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF)])
    body = """kernel void f(device const uint *x [[buffer(0)]], device bfloat *y [[buffer(1)]], device uint *z [[buffer(2)]], uint i [[thread_position_in_grid]]) {
        y[i] = bfloat(as_type<float>(x[i])); z[i] = as_type<uint>(float(y[i])); }"""
    _, got, back = run(body, bits.size, bits, np.zeros(bits.size, np.uint16), np.zeros(bits.size, np.uint32), std="3.1")
    nan = np.isnan(bits.view(np.float32))
    with np.errstate(invalid="ignore"):
        expected = bits.view(np.float32).astype(ml_dtypes.bfloat16).view(np.uint16)
    assert (got[~nan] == expected[~nan]).all()
    assert np.isnan(got[nan].view(ml_dtypes.bfloat16).astype(np.float32)).all()
    assert (back == got.astype(np.uint32) << 16).all()


K = "kernel void f(device float *y [[buffer(0)]]) { "
REFUSED = {
    "a vector from too many pieces": K + "float2 v = float2(1, 2, 3); y[0] = v.x; }",
    "a vector from a longer one": K + "float2 v = float2(float3(1)); y[0] = v.x; }",
    "a bool vector from a longer one": K + "bool2 v = bool2(float3(1)); y[0] = v.x; }",
    "a packed vector from too few pieces": K + "packed_float3 v = packed_float3(float2(1)); y[0] = v.x; }",
    "a comparison of vectors as a vector of numbers": K + "float4 v = float4(1) < 2; y[0] = v.x; }",
    "a comparison of vectors as numbers to a function": "float g(int4 v) { return v.x; }\n" + K + "y[0] = g(float4(1) < 2); }",
    "a comparison of vectors times a vector": K + "float4 v = float4(1); v *= v < 2; y[0] = v.x; }",
    "a comparison of vectors as a condition": K + "if (float4(y[0]) < 2) y[0] = 1; }",
    "a comparison of vectors before a question mark": K + "float4 v = float4(1); y[0] = (v < 2 ? v : v + 1).x; }",
    "a vector of integers as bools": K + "bool4 b = int4(1); y[0] = b.x; }",
    "one vector type in another's place": K + "int4 i = int4(1); float4 v = i; y[0] = v.x; }",
    "a vector of one length in another's place": K + "packed_float3 p = float4(1); y[0] = p.x; }",
    "a whole vector times a fraction": K + "int4 v = int4(1) * 0.5f; y[0] = v.x; }",
    "a struct of another type out of constant memory": "struct A { int a; }; struct B { int b; }; constant A S = {1};\n"
    + K
    + "B b = S; y[0] = b.b; }",
    "as_type between sizes": K + "y[0] = as_type<float>(half(1)); }",
    "writing a constant packed vector": "constant packed_float3 C = {1, 2, 3};\n" + K + "C[0] = 1; }",
    "a device vector through a thread pointer": K + "thread packed_float3 *p = (device packed_float3 *)y; p->x = 1; }",
    "a choice by a vector of another length": K + "y[0] = select(float4(1), float4(2), bool3(true)).x; }",
}


@pytest.mark.parametrize("name", REFUSED)
def test_is_refused(device, name):
    with pytest.raises(metal.error, match=r"program_source:\d+:\d+: error: "):
        device.kernel(HEAD + REFUSED[name], std="3.1")


def test_what_was_mended_does_not_move_the_place_of_an_error(device):
    source = (
        "struct S { int a; }; constant S A = {1};\n" + K + "S s = A; half2 h = half2(1) * 0.5f * 2.0f; y[0] = s.a + nope; }"
    )
    with pytest.raises(metal.error) as caught:
        device.kernel(source, std="3.1")
    assert f"program_source:2:{source.splitlines()[1].index('nope') + 1}: error: use of undeclared identifier 'nope'" in str(
        caught.value
    )


def test_buffers_of_template_instances(run):
    """OpenCL wants to know a type whole before a kernel's parameter points to it; a template's instance is not, until used."""
    body = """
    template <typename T> struct Pair { T a, b; };
    using P = Pair<int>;
    kernel void f(device Pair<float> *y [[buffer(0)]], constant P &p [[buffer(1)]], device matrix<half, 2, 3> *m [[buffer(2)]],
                  uint i [[thread_position_in_grid]]) { if (i == 0) { y[1].a = p.b; y[1].b = m[1][1].z; } }
    template <typename T> kernel void g(device Pair<T> *y [[buffer(0)]], device packed_float3 *z [[buffer(1)]], uint i [[thread_position_in_grid]]) {
        if (i == 0) y[0].a = z[1].y;
    }
    template [[host_name("g32")]] kernel void g<float>(device Pair<float> *, device packed_float3 *, uint);
    """
    y, p, m = np.zeros(4, np.float32), np.int32([3, 4]), np.arange(16, dtype=np.float16)
    assert run(body, 1, y, p, m)[0].tolist() == [0, 0, 4, 14]
    assert run(body, 1, y, np.arange(6, dtype=np.float32), name="g32")[0].tolist() == [4, 0, 0, 0]
