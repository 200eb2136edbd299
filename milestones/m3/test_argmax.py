"""The spec of argmax. Source: the rules of sampling: T = 0 is argmax, ties go to the lower id, NaN is found on the bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import WIDTHS, examples
from metal.tensor import Tensor
from milestones.m3.argmax import NOTHING, Argmax
from reference.argmax import argmax
from reference.compare import assert_same
from reference.diagnosis import watched
from reference.golden import load
from reference.mistakes.argmax import MISTAKES


@watched("argmax")
def run(gpu, logits):
    ids = Argmax(gpu)(gpu.tensor(logits))
    gpu.sync()
    return ids.numpy()


def expected(logits):
    return argmax(torch.from_numpy(logits)).numpy().astype(np.uint32)


def logits_of(seed, rows, n):
    """Normal logits of both signs, rounded so that ties are common, with the largest value planted twice in each row.

    Column 0 never wins in row 0: a kernel that writes zeros must not pass.
    """
    rng = np.random.default_rng(seed)
    logits = (rng.standard_normal((rows, n)) * 3).round(1).astype(np.float32)
    for row in logits:
        row[rng.integers(0, n, 2)] = row.max()
    if n > 1:
        logits[0, n // 2] = max(logits[0].max(), np.float32(0.5))
        logits[0, 0] = -20
    return logits


def biting():
    """Rows that tell: ties over lanes and strides, all negative, NaN and ∞ in front, both zeros, subnormals, no number."""
    logits = logits_of(12, 10, 77)
    logits[1] = -np.abs(logits[1]) - 1
    logits[2, 3], logits[2, 40] = np.nan, np.inf
    logits[3], logits[3, 5], logits[3, 9] = -0.0, 0.0, -0.0
    logits[4], logits[4, 20], logits[4, 21] = -1, 1e-45, 1e-44
    logits[5] = np.nan
    logits[6, 33] = logits[6, 65] = logits[6, 66] = 50  # lane 1 twice, lane 2 once
    logits[9, 34] = logits[9, 65] = 70  # the lower column is in the higher lane
    logits[7, 76] = 60
    logits[8, 2], logits[8, 70] = 90, -100
    return logits


def test_rows_worked_by_hand(gpu):
    """The tie of row 0 goes to column 1; row 1's largest is its only positive; row 2 is all negative."""
    logits = np.float32([[1, 3, 3, 2], [-1, -2, 0.5, 0], [-4, -9, -3, -3]])
    assert_same(run(gpu, logits), np.uint32([1, 2, 2]))


def test_the_last_bit_decides(gpu):
    """Neighbouring floats are no tie: the larger comes second here, above 0 and below it."""
    one, more = np.float32(1), np.nextafter(np.float32(1), np.float32(2))
    assert_same(run(gpu, np.float32([[one, more], [-more, -one]])), np.uint32([1, 1]))


def test_one_column_wins_if_it_is_a_number(gpu):
    """A row of one column leaves no choice, but for NaN."""
    assert_same(run(gpu, np.float32([[5], [np.nan], [-5]])), np.uint32([0, NOTHING, 0]))


@pytest.mark.parametrize("mistake", MISTAKES)
def test_known_mistakes_show_on_these_inputs(mistake):
    """What a spec's inputs cannot tell apart, it cannot refuse: each known mistake gives another column here."""
    assert (MISTAKES[mistake](biting()) != expected(biting())).any(), f"these inputs do not tell: {mistake}"


def test_rows_that_tell_mistakes_apart(gpu):
    """Ties across lanes and strides, all negative, NaN and ∞ in front, zeros of both signs, subnormals, no number at all."""
    assert_same(run(gpu, biting()), expected(biting()))


@pytest.mark.parametrize("n", [2, 31, 32, 33, 1009, 49152], ids="n{}".format)
@pytest.mark.parametrize("rows", [1, 33], ids="rows{}".format)
def test_equals_the_reference(gpu, rows, n):
    """Two columns, a SIMD-group's 32, one more or less, a prime and a whole vocabulary; one row, and one more than 32."""
    logits = logits_of(n + rows, rows, n)
    assert_same(run(gpu, logits), expected(logits))


def test_equals_numpy(gpus):
    """An oracle nobody here wrote: numpy.argmax, which documents that the first of equals wins."""
    logits = logits_of(5, 40, 700)
    assert_same(run(gpus(256), logits), np.argmax(logits, axis=1).astype(np.uint32))


def test_equals_the_golden_fixture(gpu):
    golden = load(Path(__file__).parent / "golden", "argmax")
    assert_same(run(gpu, golden["logits"]), golden["ids"])


@examples(25)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 40), n=st.integers(1, 150), width=st.sampled_from(WIDTHS))
@example(seed=0, rows=33, n=33, width=32)
def test_equals_the_reference_for_any_shape_and_width(gpus, seed, rows, n, width):
    logits = logits_of(seed, rows, n)
    assert_same(run(gpus(width), logits), expected(logits))


@examples(40)
@given(
    row=st.lists(st.floats(width=32, allow_nan=True, allow_infinity=True, allow_subnormal=True), min_size=1, max_size=70),
    width=st.sampled_from(WIDTHS),
)
@example(row=[float("nan"), 1.0], width=32)
@example(row=[float("inf"), -1.0, float("-inf")], width=32)
@example(row=[-0.0, 0.0], width=32)
@example(row=[0.0, -0.0], width=32)
@example(row=[1e-45, 0.0, -1e-45], width=32)
@example(row=[-3.4028234663852886e38], width=32)
@example(row=[float("nan")] * 40, width=64)
def test_any_bits_at_all_give_the_first_of_the_largest_finite_values(gpus, row, width):
    """Fast math may assume there is no NaN: so it is found on the bits, and never wins. Subnormals count."""
    logits = np.float32([row])
    assert_same(run(gpus(width), logits), expected(logits))


def test_every_kind_of_nan_is_skipped(gpus):
    """Quiet and signalling, of both signs, with every payload bit somewhere."""
    bits = np.uint32([0x7FC00000, 0xFFC00000, 0x7F800001, 0xFF800001, 0x7FFFFFFF, 0xFFFFFFFF, 0x7F800000, 0xFF800000])
    logits = np.concatenate([bits, np.float32([-5.0]).view(np.uint32), bits]).view(np.float32)[None]
    assert_same(run(gpus(32), logits), np.uint32([8]))


def test_a_row_without_a_finite_value_gives_nothing(gpus):
    """0xFFFFFFFF is no token: whoever feeds it back is told at once."""
    logits = np.full((3, 50), np.nan, np.float32)
    logits[1] = np.inf
    logits[2, 7] = 0
    assert_same(run(gpus(64), logits), np.uint32([NOTHING, NOTHING, 7]))


def test_writes_nothing_past_its_rows(gpus):
    """The tail of the rounded-up dispatch is whole SIMD-groups without a row: they must not write."""
    gpu, logits = gpus(1024), logits_of(1, 3, 40)
    room = gpu.empty((64,), np.uint32)
    before = room.numpy().copy()
    Argmax(gpu)(gpu.tensor(logits), Tensor(room.buffer, (3,), room.dtype))
    gpu.sync()
    assert_same(room.numpy()[:3], expected(logits))
    assert_same(room.numpy()[3:], before[3:], what="the rows after the last")


@pytest.mark.parametrize(
    ("shape", "dtype", "out", "message"),
    [
        ((4,), "float32", None, "two dimensions"),
        ((0, 4), "float32", None, "nothing to choose from"),
        ((2, 4), "float16", None, "must be float32, got float16"),
        ((2, 4), "float32", (3,), r"out has shape \(3,\), logits have 2 rows"),
    ],
)
def test_a_misfit_is_named_before_launch(gpus, shape, dtype, out, message):
    gpu = gpus(256)
    with pytest.raises(ValueError, match=message):
        Argmax(gpu)(gpu.empty(shape, dtype), gpu.empty(out, "uint32") if out else None)
