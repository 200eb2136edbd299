"""The spec of row_max, the third lesson: threadgroups and barriers. Source: the Metal Shading Language Specification,
threadgroup_barrier and the threadgroup address space."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import WIDTHS, examples
from metal.tensor import Tensor
from milestones.m1.row_max import RowMax
from reference.compare import assert_close, assert_same
from reference.diagnosis import watched
from reference.mistakes.row_max import MISTAKES
from reference.row_max import row_max
from reference.tolerance import sum_bound


@watched("row_max")
def run(gpu, x):
    """The maxima; the memory after them, where a wrong row number would land, must be as poisoned as before."""
    room = gpu.empty((len(x) + 1024,))
    y = RowMax(gpu)(gpu.tensor(x), Tensor(room.buffer, (len(x),), room.dtype))
    gpu.sync()
    assert np.isnan(room.numpy()[len(x) :]).all(), "maxima past the last row's were written: does the loop over rows end?"
    return y.numpy()


def expected(x):
    """Nothing but 2⁻¹²⁶, below which fast math may flush to zero: the largest element is one of the row's: nothing rounds.

    Numbers that are equal but for the sign of a zero count as the same.
    """
    y = row_max(torch.from_numpy(x)).numpy()
    return y, sum_bound("row_max", 0, y)


def rows(seed, shape):
    """Every third row is all negative, every third far below zero; the largest elements lie in all sorts of columns."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape).astype(np.float32)
    x[1::3] = -np.abs(x[1::3]) - 4
    x[2::3] -= np.float32(3e37)
    x[2::3] *= 1 + np.abs(rng.standard_normal(x[2::3].shape)).astype(np.float32)
    x[np.arange(shape[0]), rng.integers(0, shape[1], shape[0])] += 2
    return x


def test_rows_worked_by_hand(gpu):
    """3, and −4: an all-negative row has a largest element too."""
    assert_same(run(gpu, np.float32([[1, 3, 2], [-5, -4, -6]])), np.float32([3, -4]))


@pytest.mark.parametrize("n", [1, 31, 32, 33, 1009, 1025], ids="n{}".format)
@pytest.mark.parametrize("count", [1, 35], ids="rows{}".format)
def test_equals_the_reference(gpu, count, n):
    """Fewer columns than threads, as many, more; one row, and so many that a wide threadgroup takes several in turn."""
    x = rows(n, (count, n))
    y, allowed = expected(x)
    assert (y != 0).all() and len(np.unique(y)) == count, "the expected output must not be trivial"
    assert_close(run(gpu, x), y, allowed)


def test_the_largest_may_stand_in_any_column(gpu):
    """Row r has its largest element in column r: every lane of every SIMD-group must be heard."""
    x = np.full((70, 70), -2, np.float32) - np.eye(70, dtype=np.float32) * np.linspace(1, -1, 70, dtype=np.float32)
    x -= np.linspace(0, 1, 70, dtype=np.float32)[:, None]
    x[np.arange(70), np.arange(70)] += 3
    assert_close(run(gpu, x), *expected(x))


def test_the_reference_in_float32_is_well_inside_the_bound():
    """It is exact in any precision that holds its inputs."""
    x = rows(8, (7, 67))
    y, allowed = expected(x)
    assert_close(row_max(torch.from_numpy(x).double()).float(), y, allowed / 2)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_known_mistakes_are_well_outside_the_bound(mistake):
    """Each known mistake is off by more than eight times what is allowed, in one of these rows at least."""
    x = rows(8, (7, 67))
    x[0, -1], x[3, 0], x[6, 40] = 50, 9, 9  # the last column, the first one, one beyond the first 32
    y, allowed = expected(x)
    assert not (np.abs(MISTAKES[mistake](x) - y) <= 8 * allowed).all(), f"these inputs do not tell: {mistake}"


@examples(20)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 70), n=st.integers(1, 200), width=st.sampled_from(WIDTHS))
@example(seed=0, count=33, n=33, width=32)
@example(seed=0, count=40, n=65, width=1024)
def test_the_order_of_a_row_s_columns_does_not_matter(gpus, seed, count, n, width):
    """The largest element is the same wherever it stands: whichever thread reads it must be heard."""
    x = rows(seed, (count, n))
    y, allowed = expected(x)
    assert_close(run(gpus(width), x), y, allowed)
    assert_close(run(gpus(width), np.random.default_rng(seed).permuted(x, axis=1)), y, allowed)


def test_writes_nothing_past_its_rows(gpus):
    """Three rows at a width of 64: two threadgroups, of which the second has one row only."""
    x = rows(3, (3, 40))
    assert_close(run(gpus(64), x), *expected(x))


@pytest.mark.parametrize(
    ("x", "out", "message"),
    [
        (((4,), "f4"), None, "x must have two dimensions"),
        (((4, 0), "f4"), None, "no largest element"),
        (((4, 2), "u4"), None, "x must be float32, got uint32"),
        (((4, 2), "f4"), ((2,), "f4"), r"out has shape \(2,\), x has 4 rows"),
        (((4, 2), "f4"), ((4,), "u4"), "out must be float32, got uint32"),
    ],
)
def test_a_misfit_is_named_before_launch(gpus, x, out, message):
    gpu = gpus(256)
    with pytest.raises(ValueError, match=message):
        RowMax(gpu)(gpu.empty(*x), gpu.empty(*out) if out else None)
