"""Matrices of every shape, in every address space, against NumPy. Source: Metal Shading Language Specification 2.3, §2.3, §3.

The entries are small whole numbers, so every product and sum is exact in float and in half: no tolerance is needed.
"""

from __future__ import annotations

import numpy as np
import pytest

import metal
from tests.metal.conftest import HEAD

SHAPES = {"float": [(c, r) for c in (2, 3, 4) for r in (2, 3, 4)], "half": [(2, 3), (3, 3), (4, 2), (4, 4)]}
TYPES = {"float": np.float32, "half": np.float16}


def columns(m: np.ndarray, dtype) -> np.ndarray:
    """A matrix (rows × columns) as Metal lays it out: column after column, three rows in the room of four."""
    rows = m.shape[0]
    out = np.zeros((m.shape[1], 4 if rows == 3 else rows), dtype)
    out[:, :rows] = m.T
    return out


def body(kind: str) -> str:
    """One kernel for each shape: m·v and v·m, then m + n, m − n, −m, m·s, s·m, transpose(m), m·transpose(n), in order."""
    kernels = []
    for c, r in SHAPES[kind]:
        m, t = f"{kind}{c}x{r}", f"{kind}{r}x{c}"
        kernels.append(
            f"""
        kernel void f{c}{r}(device {m} *in [[buffer(0)]], constant {kind}{c} &v [[buffer(1)]], constant {kind}{r} &w [[buffer(2)]],
                      device {kind}{r} *mv [[buffer(3)]], device {kind}{c} *vm [[buffer(4)]], device {m} *same [[buffer(5)]],
                      device {t} *turned [[buffer(6)]], device matrix<{kind}, {r}, {r}> *square [[buffer(7)]],
                      constant {m} &k [[buffer(8)]], uint i [[thread_position_in_grid]]) {{
            threadgroup {m} shared[2];
            if (i != 0) return;
            shared[1] = in[1];
            {m} m = in[0], n = shared[1], sum = m;
            mv[0] = m * v; mv[1] = in[0] * v; mv[2] = k * v; vm[0] = w * m; vm[1] = w * shared[1];
            sum += n; same[0] = m + n; same[1] = m - n; same[2] = -m; same[3] = m * 3; same[4] = {kind}(0.5) * n; same[5] = sum; same[6] = k;
            sum = {m}({", ".join(f"m[{n}]" for n in range(c))}); sum[{c - 1}][{r - 1}] = 77; sum[0] = n[1]; same[7] = sum;
            sum = m; sum -= n; sum *= 2.0f; same[8] = sum;
            same[9] = {m}({", ".join(str(n) for n in range(c * r))}); same[10] = {m}(5);
            turned[0] = transpose(m); square[0] = m * transpose(n); square[1] = matrix<{kind}, {r}, {r}>(2); square[1] *= square[0];
            mv[3] = {kind}{r}(m == n, m != n, m == m{", 0" * (r - 3)}){".xy" if r == 2 else ""};
        }}""".replace(f"{kind}2(m == n, m != n, m == m).xy", f"{kind}2(m == n, m == m)")
        )
    return "".join(kernels)


@pytest.mark.parametrize(("kind", "c", "r"), [(kind, *shape) for kind in SHAPES for shape in SHAPES[kind]])
def test_arithmetic_is_numpys(run, kind, c, r):
    dtype = TYPES[kind]
    rng = np.random.default_rng(c * 10 + r)
    m, n = rng.integers(-6, 7, (2, r, c)).astype(np.float64)
    v, w = rng.integers(-6, 7, c).astype(np.float64), rng.integers(-6, 7, r).astype(np.float64)
    lay = lambda *ms: np.stack([columns(x, dtype) for x in ms])  # noqa: E731
    pad = lambda *vs: np.concatenate([columns(x[:, None], dtype) for x in vs])  # noqa: E731
    filled = m.copy()
    filled[-1, -1], filled[:, 0] = 77, n[:, 1]
    same = [m + n, m - n, -m, m * 3, n * 0.5, m + n, n, filled, (m - n) * 2, np.arange(c * r).reshape(c, r).T, 5 * np.eye(r, c)]
    flags = np.array([0, 1] if r == 2 else [0, 1, 1, 0][:r], np.float64)
    expected = [pad(m @ v, m @ v, n @ v, flags), pad(w @ m, w @ n), lay(*same), lay(m.T), lay(m @ n.T, 2 * m @ n.T)]
    poison = [np.full_like(e, -99) for e in expected]
    got = run(body(kind), 1, lay(m, n), pad(v), pad(w), *poison, lay(n), name=f"f{c}{r}")[3:8]
    for name, g, e in zip(["m·v", "v·m", "same shape", "transposed", "square"], got, expected, strict=True):
        rows = {"m·v": r, "v·m": c, "transposed": c}.get(name, r)
        assert (g[..., :rows] == e[..., :rows]).all(), f"{name}\n{g[..., :rows]}\n{e[..., :rows]}"


@pytest.mark.parametrize("kind", TYPES)
def test_determinants_are_numpys(run, kind):
    """Entries from −3 to 3: a 4 × 4 determinant is at most 1,944 and its partial sums stay under 2,048, exact in half."""
    dtype, rng, sources, inputs, expected = TYPES[kind], np.random.default_rng(5), [], [], []
    for n in (2, 3, 4):
        ms = rng.integers(-3, 4, (16, n, n)).astype(np.float64)
        inputs.append(np.stack([columns(m, dtype) for m in ms]))
        expected.append(np.linalg.det(ms).round())
        sources.append(f"device {kind}{n}x{n} *m{n} [[buffer({n - 1})]]")
    calls = " ".join(f"y[{(n - 2) * 16} + i] = determinant(m{n}[i]);" for n in (2, 3, 4))
    source = f"kernel void f(device float *y [[buffer(0)]], {', '.join(sources)}, uint i [[thread_position_in_grid]]) {{ if (i < 16) {{ {calls} }} }}"
    got = run(source, 16, np.full(48, np.nan, np.float32), *inputs)[0]
    assert got.tolist() == np.concatenate(expected).tolist() and len(set(got)) > 12


CASES = {
    "braces": ("float2x2 m = {{1, 2}, {3, 4}}, n = {float2(1, 2), float2(3, 4)}; y[0] = m[1].x; y[1] = n[1][1]; y[2] = total({{1, 2}, {3, 4}});", [3, 4, 10]),
    "constants": ("y[0] = A[1][0]; y[1] = B[2].y; y[2] = LIST[1][0].z; y[3] = (A * float2(1, 1)).x; y[4] = total(A); y[5] = first(A); y[6] = HELD.m[1][2];",
                  [3, 6, 7, 4, 10, 1, 6]),
    "references to columns": ("device float3x3 &g = *(device float3x3 *)(y + 16); g = float3x3(2); device float3 &c = g[1]; c.x = 9; raise(g); y[0] = g[1].x; y[1] = y[20];",
                              [10, 10]),
    "pointers in thread memory": ("float3x3 m = float3x3(1); thread float3x3 *p = &m; (*p)[2] = float3(4); p->columns[0].y = 8; y[0] = m[2].x; y[1] = m[0][1];", [4, 8]),
    "between float and half": ("half3x3 h = half3x3(float3x3(2)); h[0][1] = 0.5h; float3x3 f = float3x3(h); y[0] = f[0][1]; y[1] = f[2][2];", [0.5, 2]),
    "in templates": ("y[0] = twice(float2x3(1, 2, 3, 4, 5, 6))[1][2]; y[1] = twice(half2x2(3))[0][0];", [12, 6]),
    "declared with parentheses": ("float2x2 m(1, 2, 3, 4), d(7.0f); y[0] = m[1][0]; y[1] = d[1][1]; y[2] = d[1][0];", [3, 7, 0]),
    "from packed columns": ("packed_float3 p = {1, 2, 3}; float3x3 m = float3x3(p, float3(4), p); y[0] = m[2].z; y[1] = (m * p).x; y[2] = m[0].zyx.x;", [3, 12, 3]),
    "chained": ("float2x2 m = float2x2(2); m = m * m * m; y[0] = m[0][0]; y[1] = (float2(1, 2) * m * m).y; y[2] = (m + m)[1][1];", [8, 128, 16]),
}  # fmt: skip
DECLARATIONS = """
constant float2x2 A = {{1, 2}, {3, 4}};
constant float3x2 B = float3x2(1, 2, 3, 4, 5, 6);
constant float2x3 LIST[2] = {{1, 2, 3, 4, 5, 6}, {float3(5, 6, 7), float3(8)}};
struct Held { float2x3 m; float x; };
constant Held HELD = {float2x3(1, 2, 3, 4, 5, 6), 1};
float total(float2x2 m) { return m[0].x + m[0].y + m[1].x + m[1].y; }
float first(constant float2x2 &m) { return m[0][0]; }
void raise(device float3x3 &m) { m[1] += 1; }
template <typename M> M twice(M m) { return m + m; }
"""


def test_written_as_in_metal(run):
    kernels = "".join(f"kernel void f{n}(device float *y [[buffer(0)]], uint i [[thread_position_in_grid]]) {{ if (i == 0) {{ {statements} }} }}\n"
                      for n, (statements, _) in enumerate(CASES.values()))  # fmt: skip
    for n, (name, (_, expected)) in enumerate(CASES.items()):
        got = run(DECLARATIONS + kernels, 1, np.full(32, np.nan, np.float32), name=f"f{n}")[0]
        assert got[: len(expected)].tolist() == expected, name


K = "kernel void f(device float *y [[buffer(0)]]) { "
REFUSED = {
    "too few components": K + "float2x2 m = float2x2(1, 2, 3); y[0] = m[0][0]; }",
    "a vector of the wrong length": K + "float2x3 m(1); float3 v(1); y[0] = (m * v).x; }",
    "a product that does not fit": K + "float2x3 m(1), n(1); y[0] = (m * n)[0][0]; }",
    "a sum of two shapes": K + "float2x3 m(1); float3x2 n(1); y[0] = (m + n)[0][0]; }",
    "a matrix from another shape": K + "float3x3 m(1); float2x2 n = float2x2(m); y[0] = n[0][0]; }",
    "a matrix and a vector added": K + "float2x2 m(1); y[0] = (m + float2(1))[0][0]; }",
    "float and half": K + "float2x2 m(1); half2x2 h(1); y[0] = (m * h)[0][0]; }",
    "a determinant of no square": K + "y[0] = determinant(float2x3(1)); }",
    "a constant written": "constant float2x2 A(1);\n" + K + "A[0][0] = 1; }",
}


@pytest.mark.parametrize("name", REFUSED)
def test_is_refused(device, name):
    with pytest.raises(metal.error, match=r"program_source:\d+:\d+: error: "):
        device.kernel(HEAD + REFUSED[name])
