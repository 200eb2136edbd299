"""The spec of norm_half. Sources: rms_norm's; IEEE 754 binary16: 11 significant bits, 65504 the largest number."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import WIDTHS, examples
from metal.tensor import Tensor
from milestones.m2 import test_rms_norm
from milestones.m2.test_rms_norm import biting_rows, rows
from milestones.m6.norm_half import NormHalf
from reference.compare import assert_close, assert_same
from reference.diagnosis import watched
from reference.mistakes.norm_half import MISTAKES
from reference.norm_half import norm_half
from tests.packed import with_room


@watched("norm_half")
def run(gpu, x, weight, eps=1e-5):
    """The halves. Memory after them must stay poisoned."""
    y, check = with_room(gpu, x.shape, np.float16)
    NormHalf(gpu)(gpu.tensor(x), gpu.tensor(weight), y, eps=eps)
    gpu.sync()
    check()
    return y.numpy()


def expected(x, weight, eps=1e-5):
    """rms_norm's bound, and the store: the nearest half is off by at most 2⁻¹¹ of the number, or by 2⁻²⁵ where it is tiny."""
    y, allowed = test_rms_norm.expected(x, weight, eps)
    return y, allowed + 2.0**-11 * (np.abs(y) + allowed) + 2.0**-25


def check(gpu, x, weight, eps=1e-5):
    assert_close(run(gpu, x, weight, eps), *expected(x, weight, eps))


def test_a_row_worked_by_hand(gpu):
    """3 and 4: the mean of their squares is 12.5, so 3 / √12.5 = 0.84853 and 8 / √12.5 = 2.26274. The halves beside the first
    lie 2⁻¹¹ apart and 0.84863 (869 · 2⁻¹⁰) is nearest; beside the second 2⁻⁹ apart, 2.26367 (1159 · 2⁻⁹)."""
    assert_same(run(gpu, np.float32([[3, 4]]), np.float32([1, 2]), eps=0.0), np.float16([[869 / 1024, 1159 / 512]]))


def test_the_nearest_half_is_stored(gpus):
    """Between 1 and 1 + 2⁻¹⁰, the next half, by a quarter of the way more or less than the middle; the same below 0."""
    near = np.float32([1 + 2**-11 + 2**-12, 1 + 2**-11 - 2**-12])
    row = np.float32([[3, 3, -3, -3]])  # of which the norm makes 1 and −1
    stored = run(gpus(64), row, np.concatenate([near, near]), eps=0.0)
    assert_same(stored, np.float16([[1 + 2**-10, 1, -1 - 2**-10, -1]]))


def test_what_is_too_large_for_a_half_is_no_number(gpus):
    """A norm's weight of a million: infinity, as IEEE has it, and not a number that looks sound; a NaN of the row spoils all of
    it, one of the weight its column. So the logits are no numbers either, and the sampler says so."""
    row = np.float32([[1, -1, 1, 1], [1, np.nan, 1, 1]])
    stored = run(gpus(64), row, np.float32([1e6, 1e6, np.nan, 1]), eps=0.0)
    assert stored[0, :2].tolist() == [np.inf, -np.inf] and stored[0, 3] == 1, f"got {stored}"
    assert np.isnan(stored).tolist() == [[False, False, True, False], [True] * 4], f"got {stored}"


@pytest.mark.parametrize(("count", "n"), [(33, 576), (1, 31), (5, 1009)], ids=str)
def test_equals_torch_functional(gpus, count, n):
    """An oracle nobody here wrote: torch.nn.functional.rms_norm, at the default model's width and beside a SIMD-group's."""
    x, weight = rows(n, (count, n))
    y = torch.nn.functional.rms_norm(torch.from_numpy(x), (n,), torch.from_numpy(weight), eps=1e-5).numpy()
    bound = expected(x, weight)[1] + test_rms_norm.expected(x, weight)[1]  # both sides round
    assert_close(run(gpus(256), x, weight), y, bound)


@examples(20)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 70),
    n=st.integers(1, 200),
    scale=st.sampled_from([1e-6, 1e-3, 1.0, 1e4]),
    width=st.sampled_from(WIDTHS),
)
@example(seed=0, count=33, n=33, scale=1.0, width=32)
@example(seed=0, count=3, n=40, scale=1.0, width=1024)
def test_equals_the_reference_for_any_shape_scale_and_width(gpus, seed, count, n, scale, width):
    """Rows and columns around a SIMD-group's 32; rows so small that ε rules them and halves are subnormal."""
    check(gpus(width), *rows(seed, (count, n), scale))


def test_eps_is_inside_the_root(gpus):
    """A row of small numbers, where ε rules: with it outside the root the result would be 3 times larger."""
    check(gpus(256), np.full((1, 64), 1e-3, np.float32), np.ones(64, np.float32))


def test_the_reference_is_within_the_bound_and_uses_it():
    """The store's share of the bound is the nearest half's own, no more: the reference needs more than half of it somewhere."""
    x, weight = biting_rows()
    y, allowed = expected(x, weight)
    plain = norm_half(torch.from_numpy(x), torch.from_numpy(weight), 1e-5).float().numpy()
    assert_close(plain, y, allowed)
    assert (np.abs(plain - y) > allowed / 2).any()


@pytest.mark.parametrize("mistake", MISTAKES)
def test_known_mistakes_are_well_outside_the_bound(mistake):
    """A bound that lets a usual mistake pass would prove nothing: each is more than 8 times too far off, somewhere."""
    x, weight = biting_rows()
    y, allowed = expected(x, weight)
    wrong = MISTAKES[mistake](x, weight).astype(np.float64)
    with np.errstate(invalid="ignore"):  # a mistake may give NaN
        assert not (np.abs(wrong - y) <= 8 * allowed).all(), f"these inputs do not tell: {mistake}"


@pytest.mark.parametrize(
    ("x", "weight", "out", "message"),
    [
        ((4,), (4,), (4,), "x must have two dimensions"),
        ((2, 4), (5,), (2, 4), "weight has shape"),
        ((2, 4), (4,), (2, 5), "out has shape"),
        ((0, 4), (4,), (0, 4), "there is nothing in x"),
    ],
)
def test_a_misfit_is_named_before_launch(gpus, x, weight, out, message):
    gpu = gpus(256)
    with pytest.raises(ValueError, match=message):
        NormHalf(gpu)(gpu.empty(x), gpu.empty(weight), gpu.empty(out, np.float16), eps=1e-5)


def test_floats_are_no_place_for_halves(gpus):
    """A float32 out would get two halves in each float; x's own memory would be written while it is read."""
    gpu = gpus(256)
    x = gpu.empty((2, 4))
    with pytest.raises(ValueError, match="norm_half: out must not be x or weight"):
        NormHalf(gpu)(x, gpu.empty((4,)), Tensor(x.buffer, (2, 4), np.float16), eps=1e-5)
    with pytest.raises(ValueError, match="norm_half: eps must be a number from 0 on, got nan"):
        NormHalf(gpu)(x, gpu.empty((4,)), gpu.empty((2, 4), np.float16), eps=float("nan"))
    with pytest.raises(ValueError, match="norm_half: out must be float16, got float32"):
        NormHalf(gpu)(gpu.empty((2, 4)), gpu.empty((4,)), gpu.empty((2, 4)), eps=1e-5)
