"""The spec of rms_norm. Source: Zhang & Sennrich, Root Mean Square Layer Normalization (2019), eq. 4."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import WIDTHS
from milestones.m2.rms_norm import RmsNorm
from reference.compare import assert_close
from reference.golden import load
from reference.rms_norm import rms_norm
from reference.tolerance import EPSILON, EXTRA, TINY


def run(gpu, x, weight, eps=1e-5):
    y = RmsNorm(gpu)(gpu.tensor(x), gpu.tensor(weight), eps=eps)
    gpu.sync()
    return y.numpy()


def expected(x, weight, eps=1e-5):
    """In float64, and the error float32 may make: half the relative error of the mean of squares, and the roundings."""
    y = rms_norm(torch.from_numpy(x).double(), torch.from_numpy(weight).double(), eps).numpy()
    relative = (x.shape[1] / 2 + EXTRA["rms_norm"]) * EPSILON[np.dtype(np.float32)]
    return y.astype(np.float32), relative * np.abs(y) + TINY


def rows(seed, shape, scale=1.0):
    """Rows that bite: normal values with planted outliers and a weight that is neither 1 nor of one sign."""
    rng = np.random.default_rng(seed)
    x = (rng.standard_normal(shape) * scale).astype(np.float32)
    x.reshape(-1)[:: max(1, x.size // 3)] *= 50
    return x, rng.normal(1, 0.5, shape[1]).astype(np.float32)


def test_a_row_worked_by_hand(gpu):
    y = run(gpu, np.float32([[3, 4]]), np.float32([1, 2]), eps=0.0)
    assert_close(y, np.float32([[3 / 12.5**0.5, 8 / 12.5**0.5]]), 1e-6)


@pytest.mark.parametrize("n", [1, 31, 32, 33, 576, 1009], ids="n{}".format)
@pytest.mark.parametrize("count", [1, 33], ids="rows{}".format)
def test_equals_the_reference(gpu, count, n):
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


def test_out_may_be_x(gpu):
    """A SIMD-group reads all of its row before it writes any of it."""
    x, weight = rows(4, (5, 576))
    tensor = gpu.tensor(x)
    y = RmsNorm(gpu)(tensor, gpu.tensor(weight), tensor, eps=1e-5)
    gpu.sync()
    assert y is tensor
    assert_close(y.numpy(), *expected(x, weight))


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


def test_eps_is_inside_the_root(gpus):
    """A row of small numbers, where ε rules: outside the root the result would be 3 times larger."""
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
    assert np.isnan(y.numpy()[3:]).all(), "rows past the last were written"


@pytest.mark.parametrize(
    ("x", "weight", "message"),
    [((4,), (4,), "two dimensions"), ((2, 4), (5,), "weight has shape"), ((2, 4), (4, 1), "weight has shape")],
)
def test_a_misfit_is_named_before_launch(gpus, x, weight, message):
    gpu = gpus(256)
    with pytest.raises(ValueError, match=message):
        RmsNorm(gpu)(gpu.empty(x), gpu.empty(weight), eps=1e-5)
