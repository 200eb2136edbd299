"""SIMD-group matrices. Source: Metal Shading Language Specification 2.3, "SIMD-group matrix data types" and "… functions"."""

from __future__ import annotations

import numpy as np
import pytest

import metal
from metal.portable.frontend import check
from metal.portable.translate import lower
from metal.source import WIDTHS
from tests.metal.conftest import HEAD

TYPES = {"float": np.float32, "half": np.float16}
GROUPS = 60  # SIMD-groups that each take a matrix of their own
PARAMETERS = "uint i [[thread_position_in_grid]], uint lane [[thread_index_in_simdgroup]]"


def matrices(dtype, seed):
    """Random; with outliers that cancel; very small; permutations; one number a matrix."""
    rng = np.random.default_rng(seed)
    m = rng.standard_normal((GROUPS, 8, 8))
    m[10:20, :, ::2] *= 20
    m[10:20, :, 1::2] = -m[10:20, :, ::2]
    m[20:30] *= 2.0**-9
    m[30:38] = np.eye(8)[[rng.permutation(8) for _ in range(8)]]
    m[38:46] = 0
    m[np.arange(38, 46), np.arange(8), rng.integers(0, 8, 8)] = 7
    return m.astype(dtype)


def bound(a, b, c, into):
    """8 products and 9 terms added in float in any order: at most 9·2⁻²⁴ of the absolute values' sum; then one rounding where
    the result is half, to half's smallest step at best. The specification gives no bound: this is that of what
    metal_simdgroup_matrix.h says it does."""
    a, b, c = (x.astype(float) for x in (a, b, c))
    error = 9 * 2.0**-24 * (np.abs(a) @ np.abs(b) + np.abs(c)) * (1 + 2.0**-20)
    return error if into == "float" else error + 2.0**-11 * (np.abs(a @ b + c) + error) + 2.0**-25


def near(got, a, b, c, into):
    exact, allowed = a.astype(float) @ b.astype(float) + c.astype(float), bound(a, b, c, into)
    error = np.abs(got.astype(float) - exact)
    worst = np.unravel_index(np.argmax(error - allowed), error.shape)
    assert got.shape == exact.shape and np.isfinite(got).all() and np.abs(exact).max() > 1
    assert (error <= allowed).all(), f"{worst}: {got[worst]}, not {exact[worst]}, allowed {allowed[worst]}"


PRODUCTS = [("float", "float", "float"), ("half", "half", "half"), ("float", "half", "half"), ("float", "half", "float"),
            ("float", "float", "half"), ("half", "float", "half")]  # fmt: skip
PRODUCT = """
[[max_total_threads_per_threadgroup(WIDTH)]]
kernel void NAME(device const A *a [[buffer(0)]], device const B *b [[buffer(1)]], device D *c [[buffer(2)]],
                 device D *y [[buffer(3)]], uint i [[thread_position_in_grid]]) {
    const uint g = i / 32;
    if (g >= GROUPS) return;
    simdgroup_matrix<A, 8, 8> ma;
    simdgroup_matrix<B, 8, 8> mb;
    simdgroup_D8x8 mc, md, me;
    simdgroup_load(ma, a + g * 64);
    simdgroup_load(mb, b + g * 64, 8);
    simdgroup_load(mc, c + g * 64, 8, 0);
    simdgroup_multiply_accumulate(md, ma, mb, mc);
    simdgroup_store(md, y + g * 64);
    simdgroup_multiply(me, ma, mb);
    simdgroup_store(me, y + (GROUPS + g) * 64, 8);
    simdgroup_multiply_accumulate(mc, ma, mb, mc);
    simdgroup_store(mc, y + (2 * GROUPS + g) * 64, 8, 0, false);
}
"""


@pytest.mark.parametrize(("into", "left", "right"), PRODUCTS)
def test_products_against_numpy(run, into, left, right):
    """multiply_accumulate, multiply, and accumulating in place; the operands' types mixed as Apple's compiler takes them."""
    a, b, c = matrices(TYPES[left], 1), matrices(TYPES[right], 2), matrices(TYPES[into], 3)
    kernel = PRODUCT.replace("simdgroup_D8x8", f"simdgroup_{into}8x8")
    body = f"typedef {left} A; typedef {right} B; typedef {into} D;\nconstant uint GROUPS = {GROUPS};\n" + "".join(
        kernel.replace("WIDTH", str(width)).replace("NAME", f"f{width}")
        for width in (WIDTHS if into == left == right == "float" else [256])
    )
    for width in WIDTHS if into == left == right == "float" else [256]:
        y = run(body, GROUPS * 32, a, b, c, np.full((3, GROUPS, 8, 8), np.nan, TYPES[into]), name=f"f{width}")[3]
        near(y[0], a, b, c, into)
        near(y[1], a, b, c * 0, into)
        assert (y[2] == y[0]).all()


# elements_per_row, origin (column, row), transposed
PLACES = [(8, (0, 0), True), (24, (8, 16), False), (24, (8, 16), True), (13, (3, 5), True), (13, (5, 2), False)]


@pytest.mark.parametrize("kind", TYPES)
def test_loads_and_stores_find_their_place(run, kind):
    """Any row length and origin, which count in memory, transposed or not; from and to device and threadgroup memory. What is
    around the matrix stays as it was."""
    size = 1024
    blocks = ""
    for k, (row, (x, y), transposed) in enumerate(PLACES):
        where = f"{row}, ulong2({x}, {y}), {str(transposed).lower()}"
        blocks += f"""
        simdgroup_load(m, from, {where}); simdgroup_store(m, to + {(4 * k + 0) * size});
        simdgroup_load(m, tile, {where}); simdgroup_store(m, to + {(4 * k + 1) * size});
        simdgroup_load(m, from);          simdgroup_store(m, to + {(4 * k + 2) * size}, {where});
        simdgroup_store(m, out, {where});
        simdgroup_barrier(mem_flags::mem_threadgroup);
        for (uint n = lane; n < {size}; n += 32) {{ to[{(4 * k + 3) * size} + n] = out[n]; out[n] = -1; }}
        simdgroup_barrier(mem_flags::mem_threadgroup);
        """
    body = f"""
    [[max_total_threads_per_threadgroup(32)]]
    kernel void f(device const {kind} *from [[buffer(0)]], device {kind} *to [[buffer(1)]], {PARAMETERS}) {{
        threadgroup {kind} tile[{size}], out[{size}];
        for (uint n = lane; n < {size}; n += 32) {{ tile[n] = from[n]; out[n] = -1; }}
        simdgroup_barrier(mem_flags::mem_threadgroup);
        simdgroup_matrix<{kind}, 8, 8> m;
        {blocks}
    }}
    """
    source = np.random.default_rng(1).permutation(size).astype(TYPES[kind])
    got = run(body, 32, source, np.full((len(PLACES), 4, size), -1, TYPES[kind]))[1]
    for k, (row, (x, y), transposed) in enumerate(PLACES):
        at = (y + np.arange(8)[:, None]) * row + x + np.arange(8)
        at = at.T if transposed else at
        stored = np.full(size, -1, TYPES[kind])
        stored[at] = source[:64].reshape(8, 8)
        assert (got[k, 0, :64] == source[at].reshape(-1)).all() and (got[k, 1, :64] == source[at].reshape(-1)).all(), PLACES[k]
        assert (got[k, :2, 64:] == -1).all() and (got[k, 2] == stored).all() and (got[k, 3] == stored).all(), PLACES[k]


@pytest.mark.parametrize("kind", TYPES)
def test_matrices_are_made_from_numbers_and_reached_into(run, kind):
    """A diagonal, a filled one, and each lane's two elements: neighbours in a row, where Apple's GPUs have them."""
    body = f"""
    template <typename T> void twice(thread simdgroup_matrix<T, 8, 8> &m) {{ m.thread_elements() *= 2; }}
    kernel void f(device {kind} *y [[buffer(0)]], device {kind} *row [[buffer(1)]], device {kind} *pairs [[buffer(2)]],
                  {PARAMETERS}) {{
        if (i >= 32) return;
        simdgroup_store(simdgroup_{kind}8x8(3), y);
        simdgroup_store(make_filled_simdgroup_matrix<{kind}, 8, 8>(5), y + 64);
        simdgroup_matrix<{kind}, 8, 8> m = make_filled_simdgroup_matrix<{kind}, 8>(0);
        simdgroup_store(simdgroup_{kind}8x8(0), y + 128);
        m.thread_elements()[0] = lane;
        m.thread_elements()[1] = lane + 0.5f;
        twice(m);
        simdgroup_store(m, y + 192);
        simdgroup_{kind}8x8 many[3];
        for (int k = 0; k < 3; k++) many[k] = simdgroup_{kind}8x8(k + 1);
        simdgroup_store(many[1] * m * many[2], y + 256);
        simdgroup_load(m, row);
        const {kind}2 two = m.thread_elements();
        pairs[2 * lane] = two.x;
        pairs[2 * lane + 1] = reinterpret_cast<thread {kind}2 &>(m.thread_elements()).y;
    }}
    """
    numbers = np.arange(64).astype(TYPES[kind])
    y, _, pairs = run(body, 32, np.full((5, 8, 8), np.nan, TYPES[kind]), numbers, np.full((32, 2), np.nan, TYPES[kind]))
    lane = np.arange(32)
    row, column = (lane >> 4 & 1) * 4 + (lane >> 1 & 3), (lane >> 3 & 1) * 4 + (lane & 1) * 2
    elements = np.empty((8, 8))
    elements[row, column], elements[row, column + 1] = 2 * lane, 2 * lane + 1
    assert (y[0] == 3 * np.eye(8)).all() and (y[1] == 5).all() and (y[2] == 0).all()
    assert (y[3] == elements).all() and (y[4] == 6 * elements).all()
    assert (pairs == np.stack([row * 8 + column, row * 8 + column + 1], 1)).all()


def test_matrices_may_be_members_of_a_class(run):
    """As tiled kernels hold their accumulators; their own functions do not say in which address space the object is."""
    body = f"""
    struct Tile {{
        simdgroup_float8x8 sum[2], a;
        Tile() {{ for (int k = 0; k < 2; k++) sum[k].thread_elements() = 0.5f; }}
        void add(device const float *x) {{
            simdgroup_load(a, x);
            for (int k = 0; k < 2; k++) simdgroup_multiply_accumulate(sum[k], a, a, sum[k]);
            simdgroup_multiply(sum[1], sum[1], a);
        }}
        float first() const {{ return sum[0].thread_elements()[0]; }}
    }};
    kernel void f(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], device float *first [[buffer(2)]], {PARAMETERS}) {{
        if (i >= 32) return;
        Tile tile;
        tile.add(x);
        simdgroup_store(tile.sum[1], y);
        first[lane] = tile.first();
    }}
    """
    a = np.random.default_rng(6).integers(-4, 5, (8, 8)).astype(np.float32)
    _, y, first = run(body, 32, a, np.full((8, 8), np.nan, np.float32), np.full(32, np.nan, np.float32))
    lane = np.arange(32)
    row, column = (lane >> 4 & 1) * 4 + (lane >> 1 & 3), (lane >> 3 & 1) * 4 + (lane & 1) * 2
    assert (y == (a @ a + 0.5) @ a).all() and (first == (a @ a + 0.5)[row, column]).all()


@pytest.mark.parametrize("kind", TYPES)
def test_a_tiled_matrix_product(run, kind):
    """As kernels use it: 4 SIMD-groups to a threadgroup, tiles in threadgroup memory, 2 by 2 accumulators in float, sizes that
    are no multiple of the tile. n terms added in float in any order: n·2⁻²⁴ of the sum of the absolute values at most."""
    m, n, k = 45, 77, 50
    body = f"""
    constant uint M = {m}, N = {n}, K = {k}, ACROSS = ({n} + 31) / 32;
    [[max_total_threads_per_threadgroup(128)]]
    kernel void f(device const {kind} *a [[buffer(0)]], device const {kind} *b [[buffer(1)]], device float *y [[buffer(2)]],
                  uint g [[threadgroup_position_in_grid]], uint t [[thread_position_in_threadgroup]],
                  uint s [[simdgroup_index_in_threadgroup]]) {{
        threadgroup {kind} left[32 * 16], right[16 * 32];
        threadgroup float result[32 * 32];
        const uint top = g / ACROSS * 32, first = g % ACROSS * 32, down = s / 2 * 16, across = s % 2 * 16;
        simdgroup_float8x8 sum[4];
        for (uint q = 0; q < 4; q++) sum[q] = make_filled_simdgroup_matrix<float, 8>(0.f);
        for (uint at = 0; at < K; at += 16) {{
            for (uint e = t; e < 512; e += 128) {{
                const uint r = top + e / 16, c = at + e % 16, r2 = at + e / 32, c2 = first + e % 32;
                left[e] = r < M && c < K ? a[r * K + c] : {kind}(0);
                right[e] = r2 < K && c2 < N ? b[c2 * K + r2] : {kind}(0);
            }}
            threadgroup_barrier(mem_flags::mem_threadgroup);
            for (uint p = 0; p < 16; p += 8) {{
                simdgroup_matrix<{kind}, 8, 8> x[2], w[2];
                for (uint q = 0; q < 2; q++) simdgroup_load(x[q], left + (down + 8 * q) * 16 + p, 16);
                for (uint q = 0; q < 2; q++) simdgroup_load(w[q], right, 32, ulong2(across + 8 * q, p));
                for (uint q = 0; q < 4; q++) simdgroup_multiply_accumulate(sum[q], x[q / 2], w[q % 2], sum[q]);
            }}
            threadgroup_barrier(mem_flags::mem_threadgroup);
        }}
        for (uint q = 0; q < 4; q++) simdgroup_store(sum[q], result + (down + q / 2 * 8) * 32 + across + q % 2 * 8, 32);
        threadgroup_barrier(mem_flags::mem_threadgroup);
        for (uint e = t; e < 1024; e += 128) {{
            const uint r = top + e / 32, c = first + e % 32;
            if (r < M && c < N) y[r * N + c] = result[e];
        }}
    }}
    """
    rng = np.random.default_rng(7)
    a, b = rng.standard_normal((m, k)), rng.standard_normal((n, k))
    a[:, 3] *= 100
    a, b = a.astype(TYPES[kind]), b.astype(TYPES[kind])
    groups = -(-m // 32) * -(-n // 32)
    y = run(body, groups * 128, a, b, np.full((m, n), np.nan, np.float32))[2]
    exact, size = a.astype(float) @ b.astype(float).T, np.abs(a.astype(float)) @ np.abs(b.astype(float)).T
    assert (np.abs(y - exact) <= (k + 1) * 2.0**-24 * (1 + 2.0**-18) * size).all()


REFUSED = {
    "simdgroup_matrix<int, 8, 8> x;": "simdgroup_matrix is 8 by 8, of float or half",
    "simdgroup_matrix<float, 4, 4> x;": "simdgroup_matrix is 8 by 8, of float or half",
    "simdgroup_load(m, table);": "no matching function for call to 'simdgroup_load'",
    "simdgroup_load(m, (device half *)y);": "no matching function for call to 'simdgroup_load'",
    "simdgroup_multiply(m, m, y);": "no matching function for call to 'simdgroup_multiply'",
    "m + m;": "invalid operands",
}


@pytest.mark.parametrize("statement", REFUSED)
def test_what_metal_lacks_is_refused_at_its_place(statement):
    """Other sizes and types, constant memory, another type in memory than in the matrix, sums."""
    head = "constant float table[64] = {1};\nvoid f(device float *y, thread simdgroup_float8x8 &m) {\n"
    with pytest.raises(metal.error) as caught:
        check(lower(f"{HEAD}{head}    {statement}\n}}\n"))
    assert REFUSED[statement] in str(caught.value) and ":5:" in str(caught.value)
