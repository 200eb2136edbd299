"""Address spaces that Metal fills in: values bound to `thread const T &`, members of a `this` that is the thread's.

Source: Metal Shading Language Specification 2.3, §4 (address spaces) and C++14's rules for references to const. Each group is one
program; every expression in it has a value worked out by hand.
"""

from __future__ import annotations

import numpy as np
import pytest

import metal
from tests.metal.conftest import HEAD

# group → (declarations, statements before, {expression: value})
GROUPS = {
    "values go to thread const references": (
        "struct S { float a; S(const thread float &x) thread : a(x) {} S(const device float &x) thread : a(x * 100) {} S(const thread S &) thread = default;\n"
        "  thread S &operator=(const thread S &) thread = default; float get() const thread { return a; } };\n"
        "struct P { float a, b; P(thread const float2 &v, float w) : a(v.x), b(w) {} float with(thread const float &o) const { return a + o; } };\n"
        "float first(const thread float4 &v) { return v.x; } float same(thread const float &v) { return v; } float of(const thread S &s) { return s.a; }\n"
        "float sum(float w, thread const float &v, thread const int2 &u) { return w + v + u.y; } template <typename T> T echo(thread const T &a) { return a; }\n"
        "template <typename T> T both(T a) { return echo(a * 2) + echo(echo(a + 1)); } float operator%(thread const P &p, thread const P &q) { return p.a * 10 + q.b; }\n"
        "S make() { return S(2.0f); } P pair() { return P(float2(1, 2), 3); }",
        "float2 v(5, 6); S s = S(1.0f); s = make(); y[100] = 7; S far(y[100]); P p(v * 2, 4); thread const S &r = s; int n = 3; uint u = 2;"
        "device float4 *g = (device float4 *)(y + 104); g[0] = float4(1, 2, 3, 4);",
        {"first(float4(1))": 1, "first(2)": 2, "same(3.0f)": 3, "same(n)": 3, "same(u + 1)": 3, "same(-n)": -3, "same(true)": 1, "same(max(n, 4))": 4, "same(v.y)": 6,
         "same(v.x + v.y)": 11, "same(g[0].y)": 2, "same(g->z)": 3, "of(S(3.0f))": 3, "of(make())": 2, "of(r)": 2, "make().get()": 2, "s.a": 2, "far.a": 700, "p.a + p.b": 14,
         "p.with(2)": 12, "p.with(v.x)": 15, "echo(2.0f)": 2, "echo(v.yx).x": 6, "echo(s).a": 2, "both(float2(1)).x": 4, "both(3)": 10, "sum(1, 2.5f, int2(n, 9) + 1)": 13.5,
         "pair() % p": 14, "P(v, 2) % P(v + 1, 7)": 57}),
    "members go where the thread's are wanted": (
        "void add(thread float &x) { x += 1; } template <typename T> void twice(thread T &x) { x *= 2; } void ten(thread float *x) { *x += 10; }\n"
        "float peek(thread const float &x) { return x; }\n"
        "template <typename T> struct M { T z; int e; T a[3]; simdgroup_matrix<T, 8, 8> acc[2]; M(T v) : z(v) { add(z); add(a[0] = 2); }\n"
        "  void go() { add(z); twice(z); ten(&z); z += peek(z); thread T &r = z; r += 1; thread T *p = &z; *p *= 2; ten(p); p = a; *p = 5; }\n"
        "  void matrices(simdgroup_matrix<half, 8, 8> b) { acc[0].thread_elements() = T(3); acc[1] = acc[0]; simdgroup_multiply_accumulate(acc[0], acc[1], b, acc[0]); }\n"
        "  void split() { z = frexp(z, e); } thread T &get() { return z; } thread T *where() { return &z; } T next() { return then(1); } T then(T x) thread { return z + x; } };\n"
        "struct Random { uint s; uint next() { return step(s); } static uint step(thread uint &s) { s = s * 3 + 1; return s; } };",
        "M<float> m(1); Random r{1}; simdgroup_matrix<half, 8, 8> unit(1);",
        {"m.z": 2, "m.a[0]": 3, "(m.go(), m.z)": 76, "m.a[0] + 0": 5, "(m.split(), m.e)": 7, "m.get() * 128": 76, "(m.get() = 3)": 3, "m.next()": 4, "*m.where()": 3,
         "(m.matrices(unit), m.acc[0].thread_elements().x)": 6, "r.next()": 4, "r.next() + r.s": 26}),
}  # fmt: skip


@pytest.mark.parametrize("group", GROUPS)
def test_values(run, group):
    declarations, before, cases = GROUPS[group]
    stores = "\n".join(f"y[{n}] = float({expression});" for n, expression in enumerate(cases))
    kernel = f"kernel void f(device float *y [[buffer(0)]]) {{ {before} {stores} }}"
    got = run(f"{declarations}\n{kernel}", 1, np.full(128, np.nan, np.float32))[0]
    wrong = {e: (float(g), v) for g, (e, v) in zip(got, cases.items(), strict=False) if g != np.float32(v)}
    assert not wrong, f"expression: (got, expected) {wrong}"


K = "float same(thread const float &v) { return v; } void add(thread float &v) { v += 1; }\nkernel void f(device float *y [[buffer(0)]]) { "
REFUSED = {
    "a device variable to a thread const reference": (K + "y[0] = same(y[1]); }", "no matching function for call to 'same'"),
    "a value to a reference that is not const": (K + "add(y[0] + 1); }", "no matching function for call to 'add'"),
    "a device variable to a thread reference": (K + "add(y[0]); }", "no matching function for call to 'add'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_is_refused(device, name):
    source, words = REFUSED[name]
    with pytest.raises(metal.error, match=r"program_source:4:\d+: error: ") as caught:
        device.kernel(HEAD + source)
    assert words in str(caught.value)
