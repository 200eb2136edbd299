"""The spec of matmul. Source: nn.Linear's documented y = x·Aᵀ; rounding: Higham, Accuracy and Stability, §3.1 and §3.5."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import WIDTHS, examples
from metal.tensor import Tensor
from milestones.m2.matmul import Matmul
from reference.compare import assert_close, assert_same
from reference.diagnosis import watched
from reference.golden import load
from reference.matmul import matmul
from reference.mistakes.matmul import MISTAKES
from reference.tolerance import sum_bound


@watched("matmul")
def run(gpu, x, weight):
    """The product; the memory after it, where an unguarded tail would land, must be as poisoned as before."""
    room = gpu.empty((len(x) + 8, len(weight)))
    y = Matmul(gpu)(gpu.tensor(x), gpu.tensor(weight), Tensor(room.buffer, (len(x), len(weight)), room.dtype))
    gpu.sync()
    assert np.isnan(room.numpy()[len(x) :]).all(), "rows past the last were written"
    return y.numpy()


def expected(x, weight):
    """(k + 1) ε of Σ|x · weight|: each of k products and k additions rounds by at most ε/2, in whatever order they are added;
    one more for storing the result. The measure is the sum of the sizes, since large products may cancel to a small result.

    (Higham, Accuracy and Stability of Numerical Algorithms, §3.1. ε = 2⁻²³ is the spacing of float32 numbers at 1.)
    """
    x64, w64 = torch.from_numpy(x).double(), torch.from_numpy(weight).double()
    magnitude = matmul(x64.abs(), w64.abs()).numpy()
    return matmul(x64, w64).numpy().astype(np.float32), sum_bound("matmul", x.shape[1], magnitude)


def operands(seed, m, n, k, scale=1.0):
    """Operands that bite: normal values of both signs, planted outliers, one subnormal; no two rows alike."""
    rng = np.random.default_rng(seed)
    x, weight = (rng.standard_normal(shape).astype(np.float32) for shape in ((m, k), (n, k)))
    x *= np.float32(scale)
    x.reshape(-1)[:: max(2, x.size // 3)] *= 50
    weight.reshape(-1)[1 :: max(2, weight.size // 3)] *= 20
    if weight.size > 1:
        weight.reshape(-1)[weight.size // 2] = 1e-40
    return x, weight


def test_a_product_worked_by_hand(gpu):
    """Two rows of x, three of the weight: y[0, 0] = 1 · 10 + 2 · 1 = 12. Whole numbers, so equal bit for bit."""
    y = run(gpu, np.float32([[1, 2], [3, 4]]), np.float32([[10, 1], [0, 1], [-1, 0.5]]))
    assert_same(y, np.float32([[12, 2, 0], [34, 4, -1]]))


@pytest.mark.parametrize("k", [67, 1, 31, 32, 33, 64, 257], ids="k{}".format)
@pytest.mark.parametrize(("m", "n"), [(5, 32), (1, 33), (3, 1), (4, 31), (8, 67)], ids=str)
def test_equals_the_reference(gpu, m, n, k):
    """Every combination of whole and broken blocks: rows of x in fours, columns in SIMD-groups, k in lanes."""
    x, weight = operands(m * 1000 + k, m, n, k)
    y, allowed = expected(x, weight)
    assert np.abs(y).max() > 0.01, "the expected output must not be trivial"
    assert_close(run(gpu, x, weight), y, allowed)


@pytest.mark.parametrize(("n", "k"), [(576, 576), (192, 576), (1536, 576), (576, 1536)], ids=str)
@pytest.mark.parametrize("m", [1, 5])
def test_equals_torch_functional_at_the_model_s_sizes(gpus, m, n, k):
    """An oracle nobody here wrote, torch.nn.functional.linear in float32, at every projection of the default model."""
    x, weight = operands(n + k, m, n, k)
    y = torch.nn.functional.linear(torch.from_numpy(x), torch.from_numpy(weight))
    assert_close(run(gpus(1024), x, weight), y, expected(x, weight)[1] * 2)  # both sides round


def test_equals_the_golden_fixture(gpu):
    """torch.nn.functional.linear, made once (golden/manifest.json says with what)."""
    golden = load(Path(__file__).parent / "golden", "matmul")
    allowed = expected(golden["x"], golden["weight"])[1] * 2  # both sides round
    assert_close(run(gpu, golden["x"], golden["weight"]), golden["y"], allowed)


def test_the_reference_in_float32_is_well_inside_the_bound():
    """The bound is no trap: plain float32, which rounds as a careful kernel does, needs at most half of it."""
    x, weight = operands(8, 6, 35, 67)
    y, allowed = expected(x, weight)
    assert_close(matmul(torch.from_numpy(x), torch.from_numpy(weight)), y, allowed / 2)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_known_mistakes_are_well_outside_the_bound(mistake):
    """Nor is it a hole: each known mistake is off by more than eight times what is allowed."""
    x, weight = operands(8, 6, 35, 67)
    y, allowed = expected(x, weight)
    wrong = MISTAKES[mistake](x, weight)
    assert not (np.abs(wrong - y) <= 8 * allowed).all(), f"these inputs do not tell: {mistake}"


@examples(25)
@given(
    seed=st.integers(0, 2**32 - 1),
    m=st.integers(1, 11),
    n=st.integers(1, 80),
    k=st.integers(1, 200),
    scale=st.sampled_from([1e-20, 1.0, 1e20]),
    width=st.sampled_from(WIDTHS),
)
@example(seed=0, m=5, n=33, k=33, scale=1.0, width=32)
def test_equals_the_reference_for_any_shape_scale_and_width(gpus, seed, m, n, k, scale, width):
    """Results as small as 10⁻²⁰ and as large as 10²⁰ must be as exact, relative to their terms, as those near 1."""
    x, weight = operands(seed, m, n, k, scale)
    y, allowed = expected(x, weight)
    assert_close(run(gpus(width), x, weight), y, allowed)


@examples(25)
@given(
    seed=st.integers(0, 2**32 - 1),
    k=st.integers(1, 100),
    a=st.sampled_from([-3.0, 0.5, 7.0]),
    width=st.sampled_from(WIDTHS),
)
@example(seed=1, k=33, a=-3.0, width=64)
def test_is_linear_in_x(gpus, seed, k, a, width):
    """(a·x₁ + x₂)·Wᵀ = a·x₁Wᵀ + x₂Wᵀ. Whole numbers (and halves) this small are exact in float32, so equal bit for bit."""
    rng = np.random.default_rng(seed)
    x1, x2, weight = (rng.integers(-64, 65, shape).astype(np.float32) for shape in ((6, k), (6, k), (37, k)))
    gpu, mixed = gpus(width), np.float32(a) * x1 + x2
    left, right = run(gpu, mixed, weight), np.float32(a) * run(gpu, x1, weight) + run(gpu, x2, weight)
    assert_same(left + np.float32(0), right + np.float32(0))  # + 0 makes −0 plain 0
    whole = (2 * mixed).astype(np.int64) @ weight.astype(np.int64).T
    assert_same(left + np.float32(0), (whole / 2).astype(np.float32) + np.float32(0))


def test_the_identity_gives_x_back_and_a_permutation_reorders_it(gpus):
    """Wrong indexing that random sums could hide: each output must be one element of x, the right one."""
    x, order = operands(5, 7, 45, 45)[0], np.random.default_rng(5).permutation(45)
    assert_same(run(gpus(64), x, np.eye(45, dtype=np.float32)), x)
    assert_same(run(gpus(64), x, np.eye(45, dtype=np.float32)[order]), x[:, order])


def test_a_row_s_result_does_not_depend_on_the_other_rows(gpus):
    """Prefill of many tokens and decode of one must agree bit for bit: row i alone gives what row i in company gives."""
    x, weight = operands(9, 6, 50, 100)
    together = run(gpus(256), x, weight)
    assert_close(together, *expected(x, weight))
    for i in range(6):
        assert_same(run(gpus(256), x[i : i + 1], weight), together[i : i + 1], what=f"row {i} alone")


def test_writes_nothing_past_its_rows(gpu):
    """The last four rows of x are three, the last threadgroup is mostly past the columns: what follows stays as it was."""
    x, weight = operands(3, 3, 40, 50)
    assert_close(run(gpu, x, weight), *expected(x, weight))  # run looks past the rows


@pytest.mark.parametrize(
    ("x", "weight", "out", "message"),
    [
        ((4,), (3, 4), None, r"x must have two dimensions \(m, k\)"),
        ((2, 4), (4,), None, "weight must have two dimensions"),
        ((2, 4), (4, 5), None, "rows of weight have 5 elements, rows of x have 4"),
        ((2, 4), (3, 4), (3, 2), r"out has shape \(3, 2\), the product has \(2, 3\)"),
        ((0, 4), (3, 4), None, "nothing to multiply"),
    ],
)
def test_a_misfit_is_named_before_launch(gpus, x, weight, out, message):
    gpu = gpus(256)
    with pytest.raises(ValueError, match=message):
        Matmul(gpu)(gpu.empty(x), gpu.empty(weight), gpu.empty(out) if out else None)


def test_out_may_not_be_an_input_and_all_must_be_float32(gpus):
    gpu = gpus(256)
    square = gpu.empty((4, 4))
    with pytest.raises(ValueError, match="out must not be x or weight"):
        Matmul(gpu)(square, gpu.empty((4, 4)), square)
    with pytest.raises(ValueError, match="weight must be float32, got float16"):
        Matmul(gpu)(square, gpu.empty((4, 4), np.float16))
