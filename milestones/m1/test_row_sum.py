"""The spec of row_sum, the second lesson: one SIMD-group a row. Source: the Metal Shading Language Specification, simd_sum."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import WIDTHS, examples
from metal.tensor import Tensor
from milestones.m1.row_sum import RowSum
from reference.compare import assert_close, assert_same
from reference.diagnosis import watched
from reference.mistakes.row_sum import MISTAKES
from reference.row_sum import row_sum
from reference.tolerance import sum_bound


@watched("row_sum")
def run(gpu, x):
    """The sums; the memory after them, where an unguarded tail would land, must be as poisoned as before."""
    room = gpu.empty((len(x) + 1024,))
    y = RowSum(gpu)(gpu.tensor(x), Tensor(room.buffer, (len(x),), room.dtype))
    gpu.sync()
    assert np.isnan(room.numpy()[len(x) :]).all(), "sums past the last row's were written: is the tail sent home?"
    return y.numpy()


def expected(x):
    """n/2 · ε of the row's magnitudes added up: n − 1 additions, in whatever order, each round by half an ε of a partial sum,
    and no partial sum is larger than Σ|x|. The expected value was rounded once itself: half an ε more.

    ε = 2⁻²³ is the spacing of float32 numbers at 1 (Higham, Accuracy and Stability of Numerical Algorithms, section 4.2).
    """
    wide = torch.from_numpy(x).double()
    y, magnitude = row_sum(wide).numpy(), row_sum(wide.abs()).numpy()
    return y.astype(np.float32), sum_bound("row_sum", (x.shape[1] - 1) / 2, magnitude)


def rows(seed, shape):
    """Rows that bite: both signs, a few large numbers, no row like another."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0.5, 1, shape).astype(np.float32)
    x.reshape(-1)[:: max(1, x.size // 3)] *= 20
    return x


def test_rows_worked_by_hand(gpu):
    """1 + 2 + 3 and 0.5 − 0.5 + 4: nothing rounds, so equal bit for bit."""
    assert_same(run(gpu, np.float32([[1, 2, 3], [0.5, -0.5, 4]])), np.float32([6, 4]))


def test_every_column_counts_once(gpu):
    """Column i holds 2 to the power of i: the sum's bits tell which columns were added, and whether one was added twice."""
    assert_same(run(gpu, np.float32([[2.0**i for i in range(24)]])), np.float32([2**24 - 1]))


@pytest.mark.parametrize("n", [1, 31, 32, 33, 576, 1009], ids="n{}".format)
@pytest.mark.parametrize("count", [1, 33], ids="rows{}".format)
def test_equals_the_reference(gpu, count, n):
    """One column, a SIMD-group's 32, one more or less, the model's width and a prime; one row, and one more than 32."""
    x = rows(n, (count, n))
    y, allowed = expected(x)
    assert (np.abs(y) > 100 * allowed).any(), "the expected output must not be trivial"
    assert_close(run(gpu, x), y, allowed)


def test_the_reference_in_float32_is_well_inside_the_bound():
    """The bound is no trap: plain float32, which rounds as a careful kernel does, needs at most half of it."""
    x = rows(8, (5, 67))
    y, allowed = expected(x)
    assert_close(row_sum(torch.from_numpy(x)), y, allowed / 2)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_known_mistakes_are_well_outside_the_bound(mistake):
    """Nor is it a hole: each known mistake is off by more than eight times what is allowed."""
    x = rows(8, (5, 67))
    y, allowed = expected(x)
    assert not (np.abs(MISTAKES[mistake](x) - y) <= 8 * allowed).all(), f"these inputs do not tell: {mistake}"


@examples(25)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 70), n=st.integers(1, 200), width=st.sampled_from(WIDTHS))
@example(seed=0, count=33, n=33, width=32)
@example(seed=0, count=33, n=33, width=1024)
def test_a_row_s_sum_depends_on_that_row_alone(gpus, seed, count, n, width):
    """Rows in another order give the same sums in that order, bit for bit: each row is added up in one way only."""
    x = rows(seed, (count, n))
    order = np.random.default_rng(seed).permutation(count)
    got = run(gpus(width), x)
    assert_close(got, *expected(x))
    assert_same(run(gpus(width), x[order]), got[order])


def test_writes_nothing_past_its_rows(gpus):
    """Three rows at a width of 1024: 29 of the 32 SIMD-groups have no row, and must neither read nor write."""
    x = rows(3, (3, 40))
    assert_close(run(gpus(1024), x), *expected(x))


@pytest.mark.parametrize(
    ("x", "out", "message"),
    [
        (((4,), "f4"), None, "x must have two dimensions"),
        (((4, 0), "f4"), None, "nothing to add"),
        (((4, 2), "u4"), None, "x must be float32, got uint32"),
        (((4, 2), "f4"), ((2,), "f4"), r"out has shape \(2,\), x has 4 rows"),
        (((4, 2), "f4"), ((4,), "u4"), "out must be float32, got uint32"),
    ],
)
def test_a_misfit_is_named_before_launch(gpus, x, out, message):
    gpu = gpus(256)
    with pytest.raises(ValueError, match=message):
        RowSum(gpu)(gpu.empty(*x), gpu.empty(*out) if out else None)
