"""What kernel libraries are written with: functor templates, values without a name, deduction from vectors, names of Apple's own.

MSL 3.1, as they are compiled. Every kernel of the program below runs once; a case is what it writes.
"""

from __future__ import annotations

import numpy as np
import pytest

import metal
from metal.portable.frontend import check
from metal.portable.translate import lower
from tests.metal.conftest import HEAD

# name → (statements that write y[0 … n), expected)
CASES = {
    "a functor made and called at once": ("y[0] = Twice()(3.0f); y[1] = apply<Twice>(5.0f);", [6, 10]),
    "a method and a conversion of a value without a name": (
        "y[0] = Box(2).get(); y[1] = Box(3); y[2] = static_cast<float>(Box(4)); y[3] = (float)Box(5);",
        [2, 3, 4, 5],
    ),
    "operators of values without a name": ("y[0] = Box(2) + Box(3); Box b = Box(1) + Box(2); y[1] = b;", [5, 3]),
    "a value without a name as thread const &": ("int n = 3; y[0] = read(Box(7)); y[1] = whole(n + 1); y[2] = same(n * 2);", [7, 4, 6]),
    "an int as thread const short &": ("int n = 70000; y[0] = narrow(n);", [4464]),
    "a constructor for each address space": ("threadgroup Box *t = shared; *t = Box(9); y[0] = t->x; y[1] = LAID.x;", [9, 8]),
    "braces as a vector argument": ("uint n = 2; y[0] = product({n, n + 1, 4u});", [24]),
    "a text as constant char *": ("LOG.write(\"a text\", 3); y[0] = first(\"b\");", [98]),
    "T and N from vec<T, N>": ("y[0] = last(half3(1, 2, 3)); y[1] = last(int2(4, 5)); y[2] = sizeof(Scalar<half2>::type);", [3, 5, 2]),
    "T from a name for vec<T, 2>": ("float2 p = float2(3, 4); y[0] = Pairs::sum(p);", [7]),
    "members of decltype(x)": ("Twice t; y[0] = decltype(t)::factor;", [2]),
    "a literal in a template is a float": ("y[0] = halved(1.0f); y[1] = sizeof(Sized<float>::half_of(1.0f));", [0.5, 4]),
    "uniform": ("const uniform<int> n = make_uniform(3); uniform<int> m = n + 1; y[0] = m;", [4]),
    "remove_addrspace": ("remove_addrspace_t<device float> z = 5; y[0] = z;", [5]),
    "a reference to a pointer": ("device float *p = y; forward(p); *p = 6;", [0, 0, 6]),
    "bfloat constants": ("y[0] = -BIG; y[1] = (bfloat(2) * bfloat(3) == SIX);", [-256, 1]),
    "a bfloat or a float is a float": (
        "bfloat b = bfloat(256); float f = 0.1f; y[0] = i ? b : 0.1f; y[1] = i ? f : BIG; y[2] = Chosen<bfloat, float>()(b, 0.1f, i);"
        "y[3] = Chosen<long, long>()(7, (1l << 40) + 1, i) == (1l << 40) + 1;",
        [np.float32(0.1), 256, np.float32(0.1), 1],
    ),
    "names that begin with :: behind a keyword": ("y[0] = outer::five().n + outer::metal::sum(outer::four);", [9]),
    "apple's mathematics": (
        "y[0] = __metal_fma(2.0f, 3.0f, 4.0f); y[1] = __metal_rsqrt(4.0f, __METAL_FAST_MATH__);"
        "y[2] = __metal_fract(-0.25f, __METAL_PRECISE_MATH__); y[3] = __metal_fmedian3(3.0f, 1.0f, 2.0f, __METAL_MAYBE_FAST_MATH__);",
        [10, 0.5, 0.75, 2],
    ),
    "apple's traits and lanes": (
        "y[0] = _disjunction<false_type, true_type>::value; y[1] = _conjunction<false_type, true_type>::value;"
        "y[2] = __metal_get_simdgroup_size(ushort()); y[3] = __metal_get_thread_index_in_simdgroup(ushort());",
        [1, 0, 32, 0],
    ),
}  # fmt: skip
DECLARATIONS = """
struct Twice { static constexpr constant int factor = 2; template <typename T> T operator()(T x) thread { return factor * x; } };
template <typename Op> float apply(float x) { return Op()(x); }
struct Box {
    float x;
    constexpr Box(float x) thread : x(x) {}
    constexpr Box(float x) threadgroup : x(x) {}
    constexpr Box(float x) constant : x(x) {}
    Box() threadgroup = default;
    float get() const thread { return x; }
    operator float() const thread { return x; }
};
Box operator+(thread const Box &a, thread const Box &b) { return Box(a.x + b.x); }
constant Box LAID(8);
float read(thread const Box &b) { return b.x; }
int whole(const thread int &n) { return n; }
int narrow(const thread short &n) { return n; }
template <typename T> T same(const thread T &x) { return x; }
uint product(uint3 v) { return v.x * v.y * v.z; }
struct Log { constexpr Log(constant char *) constant {} template <typename... A> void write(constant char *, A...) const constant {} };
constant Log LOG("the log");
int first(constant char *text) { return text[0]; }
template <typename T, int N> METAL_FUNC T last(vec<T, N> v) { return v[N - 1]; }
template <typename T> struct Scalar { typedef T type; };
template <typename T> struct Scalar<vec<T, 2>> { typedef T type; };
struct Pairs {
    template <typename U> using pair = typename metal::vec<U, 2>;
    template <typename U> static U sum(thread pair<U> &v) { return v.x + v.y; }
};
template <typename T> T halved(T x) { return 0.5 * x; }
template <typename T> struct Sized { static auto half_of(T x) { return 0.5 * x; } };
void forward(device float *&p) { p += 2; }
template <typename T, typename U> struct Chosen { U operator()(T x, U y, uint i) { U u; u = i ? x : y; return u; } };
namespace outer {
namespace metal {
struct Five { int n; };
inline ::outer::metal::Five five() { return {5}; }
inline int sum(constant ::outer::metal::Five &x) { return x.n; }
}
inline ::outer::metal::Five five() { return metal::five(); }
constant ::outer::metal::Five four = {4};
}
constexpr constant bfloat BIG = bfloat(256);
constexpr constant bfloat SIX = bfloat(2) * bfloat(3);
static_assert(-BIG < SIX);
"""
PROGRAM = DECLARATIONS + "".join(
    f"kernel void f{n}(device float *y [[buffer(0)]], uint i [[thread_position_in_grid]]) {{\n"
    f"threadgroup Box shared[1];\nif (i == 0) {{ {statements} }} }}\n"
    for n, (statements, _) in enumerate(CASES.values())
)  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_library_finds_what_it_is_written_with(run, name):
    y = run(PROGRAM, 1, np.zeros(8, np.float32), name=f"f{list(CASES).index(name)}", std="3.1")[0]
    assert y[: len(CASES[name][1])].tolist() == CASES[name][1]


REFUSED = {
    "device int *p = (device int *)y; whole(*p);": "no matching function for call to 'whole'",
    "device int *p = (device int *)y; same(*p);": "no matching function",
    "bfloat b = 0.5f;": "cannot initialize a variable of type 'bfloat' with a value of type 'float': write bfloat(…)",
    "bfloat b = bfloat(y[0]); b = y[1] * b;": "cannot assign to 'bfloat' a value of type 'float'",
    "} bfloat half_of(float x) { return x / 2;": "cannot return from a function that gives 'bfloat' a value of type 'float'",
    "is_empty<int> x;": "no template named 'is_empty'",
    "thread_scope s;": "'thread_scope' came with Metal 3.2",
    "atomic_thread_fence(mem_flags::mem_device);": "'atomic_thread_fence' came with Metal 3.2",
}


@pytest.mark.parametrize("statements", REFUSED)
def test_what_only_looks_like_a_value_without_a_name_is_refused(statements):
    """What lies in device memory is in no thread's; and what MLX defines in namespace metal itself is none of Apple's names."""
    with pytest.raises(metal.error) as caught:
        check(lower(f"{HEAD}{DECLARATIONS}kernel void f(device float *y [[buffer(0)]]) {{ {statements} }}", version=301))
    assert REFUSED[statements] in str(caught.value)


def test_in_a_kernel_template_names_mean_what_they_mean_where_it_stands(run):
    """An instantiation elsewhere copies it (PyTorch: c10::metal has an array of its own beside metal's)."""
    body = """
    namespace lib {
    namespace metal {
    template <typename T, int N> struct array { T all[N]; T last() { return all[N - 1]; } };
    template <typename T, int N> kernel void fill(device T *y [[buffer(0)]], uint i [[thread_position_in_grid]]) {
        array<T, N> a;
        for (int n = 0; n < N; n++) a.all[n] = (n + 1) * i;
        y[i] = a.last();
    }
    template [[host_name("inside")]] kernel void fill<float, 2>(device float *, uint);
    }
    }
    using namespace lib::metal;
    template [[host_name("outside")]] kernel void fill<float, 3>(device float *, uint);
    """
    for name, n in [("outside", 3), ("inside", 2)]:
        y = run(body, 3, np.zeros(1024, np.float32), name=name)[0]
        assert y[:3].tolist() == [0, n, 2 * n]


def test_threadgroup_variables_of_inner_blocks_may_share_a_name_and_use_types_of_the_kernel(run):
    """Each has memory of its own, so the branches may be taken by different SIMD-groups at once."""
    body = """
    kernel void f(device float *y [[buffer(0)]], uint i [[thread_position_in_threadgroup]], uint s [[simdgroup_index_in_threadgroup]]) {
        using V = float2;
        constexpr int n = 32;
        if (s == 0) {
            threadgroup V a[n * 1];
            a[i] = V(i, 0);
            simdgroup_barrier(mem_flags::mem_threadgroup);
            y[i] = a[31 - i].x;
        } else if (s == 1) {
            threadgroup float a[n], b;
            { threadgroup float a; a = 7; b = a; }
            a[i - 32] = i;
            simdgroup_barrier(mem_flags::mem_threadgroup);
            y[i] = a[63 - i] + b;
        }
    }
    """
    lane = np.arange(32)
    y = run(body, 1, np.zeros(1024, np.float32))[0]
    assert y[:64].tolist() == [*(31 - lane), *(63 - lane + 7)]


@pytest.mark.parametrize(("family", "most"), [("simd", 32), ("quad", 4)])
def test_filling_shuffles_take_what_moves_in_from_the_other_end_of_the_filling(run, family, most):
    """MSL 2.4, "SIMD-group functions": the lanes fall into vectors of `modulo` lanes each."""
    shifts = [(n, modulo) for modulo in (2, 4, 8, 32) if modulo <= most for n in {1, modulo // 2, modulo - 1}]
    calls = [f"{family}_shuffle_and_fill_{way}(a, b, {n}, {m})" for way in ("up", "down") for n, m in shifts]
    calls += [f"{family}_shuffle_and_fill_up(half2(a, b), half2(b, a), 1).y"]
    writes = "".join(f"y[{64 * k} + i] = {call};\n" for k, call in enumerate(calls))
    body = f"""
    kernel void f(device float *y [[buffer(0)]], uint i [[thread_position_in_grid]]) {{
        if (i >= 64) return;
        float a = i, b = 100 + i;
        {writes}}}
    """
    y = run(body, 64, np.zeros(64 * len(calls), np.float32), std="3.1")[0].reshape(-1, 64)
    i, expected = np.arange(64), []
    for n, m in shifts:
        expected.append(np.where(i % m >= n, i - n, 100 + i + m - n))
    for n, m in shifts:
        expected.append(np.where(i % m + n < m, i + n, 100 + i + n - m))
    expected.append(np.where(i % most >= 1, 100 + i - 1, i + most - 1))
    assert (y == np.array(expected)).all()
