"""The spec of softmax. Sources: the rules of sampling; Metal Shading Language Specification for the errors allowed."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import WIDTHS, examples
from metal.tensor import Tensor
from milestones.m3.softmax import Softmax
from reference.compare import assert_close, assert_same
from reference.diagnosis import watched
from reference.golden import load
from reference.mistakes.softmax import MISTAKES
from reference.softmax import softmax
from reference.tolerance import softmax_bound


@watched("softmax")
def run(gpu, x, temperature=1.0):
    y = Softmax(gpu)(gpu.tensor(x), temperature=temperature)
    gpu.sync()
    return y.numpy()


def expected(x, temperature=1.0):
    """A weight's error grows with how far its logit lies below the largest: z = (x − max) / T rounds three times, and what z is
    off by, exp turns into a part of the weight, (3.5 |z| + 3) ε with exp's own error. The sum of n weights adds its additions,
    n / 32 + 10, and the division 3 more.

    ε = 2⁻²³ is the spacing of float32 numbers at 1. The whole derivation stands at softmax_bound in reference/tolerance.py.
    """
    y = softmax(torch.from_numpy(x).double(), temperature).numpy()
    return y.astype(np.float32), softmax_bound(x, y, temperature)


def check(gpu, x, temperature=1.0):
    assert_close(run(gpu, x, temperature), *expected(x, temperature))


def logits_of(seed, rows, n):
    """Logits as models make them: a wide spread, one far outlier a row, equal ones."""
    rng = np.random.default_rng(seed)
    x = (rng.standard_normal((rows, n)) * 4).astype(np.float32)
    x[np.arange(rows), rng.integers(0, n, rows)] += 9
    x[:, n // 2] = x[:, 0]
    return x


def biting():
    """An ordinary row; rows far above and far below 0; one whose largest comes late and one that begins far below its largest.

    1,100 columns: every SIMD-group of every width has some, and none of the same number as all others.
    """
    x = logits_of(17, 5, 1100)
    x[1] += 1000
    x[2] -= 1000
    x[3, 700] = 200
    x[4, 0] = -300
    return x


def test_rows_worked_by_hand(gpu):
    """exp(0) : exp(ln 3) = 1 : 3. At T = 1/2 the weights are squared; a constant added to a row changes nothing."""
    x = np.float32([[0, math.log(3)], [100, 100 + math.log(3)]])
    assert_close(run(gpu, x), np.float32([[0.25, 0.75], [0.25, 0.75]]), 1e-5)
    assert_close(run(gpu, x, 0.5), np.float32([[0.1, 0.9], [0.1, 0.9]]), 1e-5)


@pytest.mark.parametrize("n", [1, 2, 31, 32, 33, 1023, 1024, 1025, 4999], ids="n{}".format)
@pytest.mark.parametrize("rows", [1, 5], ids="rows{}".format)
def test_equals_the_reference(gpu, rows, n):
    """Fewer columns than threads, as many, one more, and a prime that is several rounds; one row and five."""
    check(gpu, logits_of(n + rows, rows, n))


def test_rows_that_tell_mistakes_apart(gpu):
    """Rows far above and below 0, one whose largest logit comes late, one that begins with its smallest; T = 0.7."""
    check(gpu, biting(), 0.7)


def test_the_reference_in_float32_is_well_inside_the_bound():
    """The bound is no trap: plain float32, which rounds as a careful kernel does, needs at most half of it."""
    x, (y, allowed) = biting(), expected(biting(), 0.7)
    weights = np.exp((x - x.max(axis=1, keepdims=True)) * np.float32(1 / 0.7))
    assert_close(weights / weights.sum(axis=1, keepdims=True), y, allowed / 2)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_known_mistakes_are_well_outside_the_bound(mistake):
    """Nor is it a hole: each known mistake is off by more than eight times what is allowed."""
    y, allowed = expected(biting(), 0.7)
    wrong = MISTAKES[mistake](biting(), 0.7)
    assert not (np.abs(wrong - y) <= 8 * allowed).all(), f"these inputs do not tell: {mistake}"


def test_a_whole_vocabulary(gpu):
    """As long a row as the default model's, twice."""
    check(gpu, logits_of(1, 2, 49152), 0.7)


def test_equals_the_golden_fixture(gpu):
    golden = load(Path(__file__).parent / "golden", "softmax")
    assert_close(run(gpu, golden["x"]), golden["y"], expected(golden["x"])[1])


@examples(25)
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(1, 9),
    n=st.integers(1, 200),
    temperature=st.sampled_from([0.1, 0.7, 1.0, 2.0, 50.0]),
    width=st.sampled_from(WIDTHS),
)
@example(seed=0, rows=9, n=33, temperature=1.0, width=32)
def test_equals_the_reference_for_any_shape_temperature_and_width(gpus, seed, rows, n, temperature, width):
    """More rows than threadgroups or fewer, n of any remainder, sharp and flat."""
    check(gpus(width), logits_of(seed, rows, n), temperature)


@examples(20)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(2, 200),
    constant=st.integers(-(2**16), 2**16),
    temperature=st.sampled_from([0.5, 1.0, 3.0]),
    width=st.sampled_from(WIDTHS),
)
@example(seed=0, n=33, constant=1000, temperature=1.0, width=64)
def test_a_constant_added_to_all_logits_changes_nothing(gpus, seed, n, constant, temperature, width):
    """e^(x + c) = e^c · e^x, and e^c cancels. The logits here are whole 64ths, so x + c is exact: equal to the bit."""
    x = np.round(logits_of(seed, 2, n) * 64) / np.float32(64)
    y = run(gpus(width), x, temperature)
    assert_close(y, *expected(x, temperature))
    assert_same(run(gpus(width), x + np.float32(constant), temperature), y)


@examples(20)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(2, 200),
    cool=st.sampled_from([0.01, 0.3, 0.9]),
    factor=st.sampled_from([1.1, 2.0, 50.0]),
    width=st.sampled_from(WIDTHS),
)
@example(seed=0, n=33, cool=0.9, factor=2.0, width=64)
def test_a_higher_temperature_flattens(gpus, seed, n, cool, factor, width):
    """The likeliest token becomes less likely, the least likely likelier, and the entropy rises; the sum stays 1. (Or nothing
    changes, where T is so small that the likeliest has everything.)"""
    x = logits_of(seed, 1, n)
    sharp, flat = (run(gpus(width), x, t)[0].astype(np.float64) for t in (cool, cool * factor))
    for p in (sharp, flat):
        assert abs(p.sum() - 1) < 1e-4, "the probabilities must sum to 1"
    assert sharp.max() >= flat.max() - 1e-5 and sharp.min() <= flat.min() + 1e-9, "a higher temperature sharpens"
    entropies = [-(p[p > 0] * np.log(p[p > 0])).sum() for p in (sharp, flat)]
    assert entropies[0] <= entropies[1] + 1e-4, "a higher temperature makes the choice more certain"


@pytest.mark.parametrize("offset", [-3e38, -1e4, 88.8, 1e4, 3e38], ids="{:g}".format)
def test_large_logits_neither_overflow_nor_vanish(gpus, offset):
    """exp(89) is infinite in float32: without the largest subtracted, a row would be NaN or zeros. Row 0 is an ordinary one."""
    x = np.float32([[0] * 50 + [math.log(3)] * 50, [offset] * 100])
    y = np.float32([[1 / 200] * 50 + [3 / 200] * 50, [1 / 100] * 100])
    assert_close(run(gpus(256), x), y, 1e-7)


@pytest.mark.parametrize("place", [0, 31, 32, 63, 64, 255, 256, 1023, 1024, 1099], ids="column{}".format)
def test_the_largest_is_found_wherever_it_stands(gpus, place):
    """One logit far above all others: whichever thread, lane or SIMD-group meets it, all must subtract it."""
    x = np.full((2, 1100), -200, np.float32)
    x[1, place] = 200
    y = np.full((2, 1100), 1 / 1100, np.float32)
    y[1] = np.arange(1100) == place
    for width in (32, 64, 1024):
        assert_close(run(gpus(width), x), y, 1e-7)


@pytest.mark.parametrize("temperature", [1e-30, 1e-6], ids="{:g}".format)
def test_a_tiny_temperature_leaves_the_largest_alone(gpus, temperature):
    """(x − max) / T would be infinite, which fast math need not survive. Equal largest ones share."""
    x = np.float32([[3, -20, 2.9, 3, 0]])
    assert_close(run(gpus(32), x, temperature), np.float32([[0.5, 0, 0, 0.5, 0]]), 1e-6)


def test_it_may_work_in_place(gpus):
    """All of a row is read for its sum before any of it is written."""
    gpu, x = gpus(64), logits_of(3, 4, 300)
    held = gpu.tensor(x)
    Softmax(gpu)(held, held)
    gpu.sync()
    assert_close(held.numpy(), *expected(x))


def test_writes_nothing_past_its_rows(gpus):
    """Threadgroups without a row, and threads without a column, must not write."""
    gpu, x = gpus(1024), logits_of(1, 3, 40)
    room = gpu.tensor(np.arange(200, dtype=np.float32))
    Softmax(gpu)(gpu.tensor(x), Tensor(room.buffer, (3, 40), room.dtype))
    gpu.sync()
    assert_close(room.numpy()[:120].reshape(3, 40), *expected(x))
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
