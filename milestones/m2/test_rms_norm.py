"""The spec of rms_norm. Source: Zhang & Sennrich, Root Mean Square Layer Normalization (2019), eq. 4."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import WIDTHS, examples
from milestones.m2.rms_norm import RmsNorm
from reference.compare import assert_close
from reference.diagnosis import watched
from reference.golden import load
from reference.mistakes.rms_norm import MISTAKES
from reference.rms_norm import rms_norm
from reference.tolerance import EPSILON, EXTRA, TINY


@watched("rms_norm")
def run(gpu, x, weight, eps=1e-5):
    y = RmsNorm(gpu)(gpu.tensor(x), gpu.tensor(weight), eps=eps)
    gpu.sync()
    return y.numpy()


@watched("rms_norm")
def run_in_place(gpu, x, weight, eps=1e-5):
    """The same with x as the output."""
    tensor = gpu.tensor(x)
    assert RmsNorm(gpu)(tensor, gpu.tensor(weight), tensor, eps=eps) is tensor
    gpu.sync()
    return tensor.numpy()


def expected(x, weight, eps=1e-5):
    """(n/2 + 8) ε of the result: a sum of n squares, in whatever order, is off by at most n ε of itself (n products and n sums,
    ε/2 each). The root halves that. The other 8 are the mean, + ε, the root and the two products.

    ε = 2⁻²³ here is the spacing of float32 numbers at 1, not the op's own eps.
    """
    y = rms_norm(torch.from_numpy(x).double(), torch.from_numpy(weight).double(), eps).numpy()
    relative = (x.shape[1] / 2 + EXTRA["rms_norm"]) * EPSILON[np.dtype(np.float32)]
    return y.astype(np.float32), relative * np.abs(y) + TINY


def rows(seed, shape, scale=1.0):
    """Rows that bite: normal values with planted outliers and a weight that is neither 1 nor of one sign."""
    rng = np.random.default_rng(seed)
    x = (rng.standard_normal(shape) * scale).astype(np.float32)
    x.reshape(-1)[:: max(1, x.size // 3)] *= 50
    return x, rng.normal(1, 0.5, shape[1]).astype(np.float32)


def biting_rows():
    """Rows of different sizes, one so small that ε rules it, one far from 0 on average; 67 columns: two pieces and a bit."""
    x, weight = rows(11, (5, 67))
    x[1] *= np.float32(1e-3)
    x[2] += 3
    x[3, 64:] *= 20
    return x, weight


def test_a_row_worked_by_hand(gpu):
    """3 and 4: the mean of their squares is 12.5, so 3 / √12.5 · 1 and 4 / √12.5 · 2."""
    y = run(gpu, np.float32([[3, 4]]), np.float32([1, 2]), eps=0.0)
    assert_close(y, np.float32([[3 / 12.5**0.5, 8 / 12.5**0.5]]), 1e-6)


@pytest.mark.parametrize("n", [33, 1, 31, 32, 576, 1009], ids="n{}".format)
@pytest.mark.parametrize("count", [33, 1], ids="rows{}".format)
def test_equals_the_reference(gpu, count, n):
    """One column, a SIMD-group's 32, one more or less, the model's width and a prime; one row, and one more than 32."""
    x, weight = rows(n, (count, n))
    y, allowed = expected(x, weight)
    assert np.abs(y).max() > 0.1, "the expected output must not be trivial"
    assert_close(run(gpu, x, weight), y, allowed)


def test_equals_torch_functional(gpu):
    """An oracle nobody here wrote: torch.nn.functional.rms_norm."""
    x, weight = rows(7, (5, 576))
    y = torch.nn.functional.rms_norm(torch.from_numpy(x), (576,), torch.from_numpy(weight), eps=1e-5)
    assert_close(run(gpu, x, weight), y, expected(x, weight)[1] * 2)  # both sides round


def test_equals_the_golden_fixture(gpu):
    """torch.nn.functional.rms_norm, made once (golden/manifest.json says with what)."""
    golden = load(Path(__file__).parent / "golden", "rms_norm")
    assert_close(run(gpu, golden["x"], golden["weight"]), golden["y"], expected(golden["x"], golden["weight"])[1] * 2)


def test_the_reference_in_float32_is_well_inside_the_bound():
    """The bound is no trap: plain float32, which rounds as a careful kernel does, needs at most half of it."""
    x, weight = biting_rows()
    y, allowed = expected(x, weight)
    assert_close(rms_norm(torch.from_numpy(x), torch.from_numpy(weight), 1e-5), y, allowed / 2)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_known_mistakes_are_well_outside_the_bound(mistake):
    """Nor is it a hole: each known mistake is off by more than eight times what is allowed."""
    x, weight = biting_rows()
    y, allowed = expected(x, weight)
    wrong = MISTAKES[mistake](x, weight)
    assert not (np.abs(wrong - y) <= 8 * allowed).all(), f"these inputs do not tell: {mistake}"


def test_out_may_be_x(gpu):
    """A SIMD-group reads all of its row before it writes any of it."""
    x, weight = rows(4, (5, 576))
    assert_close(run_in_place(gpu, x, weight), *expected(x, weight))


@examples(25)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 70),
    n=st.integers(1, 200),
    scale=st.sampled_from([1e-3, 1.0, 1e4]),
    width=st.sampled_from(WIDTHS),
)
@example(seed=0, count=33, n=33, scale=1.0, width=32)
def test_equals_the_reference_for_any_shape_scale_and_width(gpus, seed, count, n, scale, width):
    x, weight = rows(seed, (count, n), scale)
    y, allowed = expected(x, weight)
    assert_close(run(gpus(width), x, weight), y, allowed)


@examples(15)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 100),
    factor=st.sampled_from([-1.0, 2.0**-12, -(2.0**5), 2.0**20]),
    width=st.sampled_from(WIDTHS),
)
@example(seed=0, n=33, factor=-(2.0**5), width=64)
def test_a_row_s_scale_does_not_matter_but_its_sign_does(gpus, seed, n, factor, width):
    """What RMSNorm is for (section 3 of the paper): c · x gives what x gives, with c's sign, if ε grows by c² too.

    c is a power of two, so that c · x is exact.
    """
    x, weight = rows(seed, (3, n))
    y, allowed = expected(x, weight)
    scaled = run(gpus(width), x * np.float32(factor), weight, eps=1e-5 * factor**2)
    assert_close(scaled, y * np.float32(np.sign(factor)), allowed)


def test_eps_is_inside_the_root(gpus):
    """A row of small numbers, where ε rules: with it outside the root the result would be 3 times larger."""
    x, weight = np.full((1, 64), 1e-3, np.float32), np.ones(64, np.float32)
    y, allowed = expected(x, weight, eps=1e-5)
    assert_close(run(gpus(256), x, weight, eps=1e-5), y, allowed)
    assert abs(y[0, 0] - 1e-3 / (1e-3 + 1e-5)) > 0.5, "this input must tell the two apart"


def test_writes_nothing_past_its_rows(gpus):
    """The tail of the rounded-up dispatch must not write: the rows after the last stay as they were."""
    gpu, (x, weight) = gpus(1024), rows(3, (3, 40))
    y = gpu.empty((64, 40))
    RmsNorm(gpu)(gpu.tensor(x), gpu.tensor(weight), type(y)(y.buffer, (3, 40), y.dtype), eps=1e-5)
    gpu.sync()
    assert_close(y.numpy()[:3], *expected(x, weight))
    assert np.isnan(y.numpy()[3:]).all(), "rows past the last were written"


@pytest.mark.parametrize(
    ("x", "weight", "message"),
    [((4,), (4,), "two dimensions"), ((2, 4), (5,), "weight has shape"), ((2, 4), (4, 1), "weight has shape")],
)
def test_a_misfit_is_named_before_launch(gpus, x, weight, message):
    gpu = gpus(256)
    with pytest.raises(ValueError, match=message):
        RmsNorm(gpu)(gpu.empty(x), gpu.empty(weight), eps=1e-5)
