"""The spec of softmax. Sources: the rules of sampling; Metal Shading Language Specification for the errors allowed."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from conftest import WIDTHS
from metal.tensor import Tensor
from milestones.m3.softmax import Softmax
from reference.compare import assert_close, assert_same
from reference.golden import load
from reference.softmax import softmax
from reference.tolerance import softmax_bound


def run(gpu, x, temperature=1.0):
    y = Softmax(gpu)(gpu.tensor(x), temperature=temperature)
    gpu.sync()
    return y.numpy()


def check(gpu, x, temperature=1.0):
    expected = softmax(torch.from_numpy(x).double(), temperature).numpy()
    assert_close(run(gpu, x, temperature), expected.astype(np.float32), softmax_bound(x, expected, temperature))


def logits_of(seed, rows, n):
    """Logits as models make them: a wide spread, one far outlier a row, equal ones."""
    rng = np.random.default_rng(seed)
    x = (rng.standard_normal((rows, n)) * 4).astype(np.float32)
    x[np.arange(rows), rng.integers(0, n, rows)] += 9
    x[:, n // 2] = x[:, 0]
    return x


def test_rows_worked_by_hand(gpu):
    """exp(0) : exp(ln 3) = 1 : 3. At T = 1/2 the weights are squared; a constant added to a row changes nothing."""
    x = np.float32([[0, math.log(3)], [100, 100 + math.log(3)]])
    assert_close(run(gpu, x), np.float32([[0.25, 0.75], [0.25, 0.75]]), 1e-5)
    assert_close(run(gpu, x, 0.5), np.float32([[0.1, 0.9], [0.1, 0.9]]), 1e-5)


@pytest.mark.parametrize("n", [1, 2, 31, 32, 33, 1023, 1024, 1025, 4999], ids="n{}".format)
@pytest.mark.parametrize("rows", [1, 5], ids="rows{}".format)
def test_equals_the_reference(gpu, rows, n):
    check(gpu, logits_of(n + rows, rows, n))


def test_a_whole_vocabulary(gpu):
    check(gpu, logits_of(1, 2, 49152), 0.7)


def test_equals_the_golden_fixture(gpu):
    golden = load(Path(__file__).parent / "golden", "softmax")
    y = golden["y"].astype(np.float64)
    assert_close(run(gpu, golden["x"]), golden["y"], softmax_bound(golden["x"], y, 1.0) + y * 2.0**-24)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(1, 9),
    n=st.integers(1, 200),
    temperature=st.sampled_from([0.1, 0.7, 1.0, 2.0, 50.0]),
    width=st.sampled_from(WIDTHS),
)
@example(seed=0, rows=9, n=33, temperature=1.0, width=32)
def test_equals_the_reference_for_any_shape_temperature_and_width(gpus, seed, rows, n, temperature, width):
    check(gpus(width), logits_of(seed, rows, n), temperature)


@pytest.mark.parametrize("offset", [-3e38, -1e4, 88.8, 1e4, 3e38], ids="{:g}".format)
def test_large_logits_neither_overflow_nor_vanish(gpus, offset):
    """exp(89) is infinite in float32: without the largest subtracted, a row would be NaN or zeros."""
    x = np.full((1, 100), offset, np.float32)
    assert_close(run(gpus(256), x), np.full((1, 100), 0.01, np.float32), 1e-7)


@pytest.mark.parametrize("temperature", [1e-30, 1e-6], ids="{:g}".format)
def test_a_tiny_temperature_leaves_the_largest_alone(gpus, temperature):
    """(x − max) / T would be infinite, which fast math need not survive. Equal largest ones share."""
    x = np.float32([[3, -20, 2.9, 3, 0]])
    assert_close(run(gpus(32), x, temperature), np.float32([[0.5, 0, 0, 0.5, 0]]), 1e-6)


def test_it_may_work_in_place(gpus):
    gpu, x = gpus(64), logits_of(3, 4, 300)
    held = gpu.tensor(x)
    Softmax(gpu)(held, held)
    expected = softmax(torch.from_numpy(x).double()).numpy()
    gpu.sync()
    assert_close(held.numpy(), expected.astype(np.float32), softmax_bound(x, expected, 1.0))


def test_writes_nothing_past_its_rows(gpus):
    gpu, x = gpus(1024), logits_of(1, 3, 40)
    room = gpu.tensor(np.arange(200, dtype=np.float32))
    Softmax(gpu)(gpu.tensor(x), Tensor(room.buffer, (3, 40), room.dtype))
    gpu.sync()
    assert_same(room.numpy()[120:], np.arange(120, 200, dtype=np.float32), what="what comes after the last row")


@pytest.mark.parametrize(
    ("shape", "dtype", "temperature", "message"),
    [
        ((4,), "float32", 1.0, "two dimensions"),
        ((0, 4), "float32", 1.0, "nothing to normalise"),
        ((2, 4), "float16", 1.0, "x must be float32, got float16"),
        ((2, 4), "float32", 0.0, "temperature must be a finite number from 2⁻¹⁰⁰ on, got 0.0"),
        ((2, 4), "float32", math.inf, "got inf"),
        ((2, 4), "float32", math.nan, "got nan"),
    ],
)
def test_a_misfit_is_named_before_launch(gpus, shape, dtype, temperature, message):
    with pytest.raises(ValueError, match=message):
        Softmax(gpus(256))(gpus(256).empty(shape, dtype), temperature=temperature)
