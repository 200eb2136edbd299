"""The spec of argsort. Source: the rules of sampling: ties go to the lower id; NaN and infinities are found on the bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import WIDTHS, examples
from metal.tensor import Tensor
from milestones.m3.argsort import Argsort
from reference.argsort import argsort
from reference.compare import assert_same
from reference.diagnosis import watched
from reference.golden import load
from reference.mistakes.argsort import MISTAKES


@watched("argsort")
def run(gpu, logits):
    order = Argsort(gpu)(gpu.tensor(logits))
    gpu.sync()
    return order.numpy()


def expected(logits):
    return argsort(torch.from_numpy(logits)).numpy().astype(np.uint32)


def logits_of(seed, rows, n, digits=1):
    """Normal logits of both signs, rounded so that ties are everywhere."""
    return (np.random.default_rng(seed).standard_normal((rows, n)) * 3).round(digits).astype(np.float32)


def biting():
    """Rows that tell: ties everywhere, NaN and ∞ of both signs, zeros of both signs and subnormals, logits that differ in their
    last bits or in their first ones alone."""
    logits = logits_of(12, 5, 77)
    logits[1, [3, 40, 41, 50]] = [np.nan, np.inf, -np.inf, -np.nan]
    logits[2] = np.tile(np.float32([-0.0, 0.0, 1e-45, -1e-45, -0.0, 3e38, -3e38]), 11)
    logits[3] = (np.float32(-1).view(np.uint32) + np.random.default_rng(1).integers(0, 40, 77, np.uint32)).view(np.float32)
    logits[4] = np.float32(2) ** (np.arange(77) % 20 * 12 - 110) * np.where(np.arange(77) % 3, 1, -1)
    return logits


def test_rows_worked_by_hand(gpu):
    """Ties go to the lower column; row 1 mixes signs; row 2 is all negative."""
    logits = np.float32([[1, 3, 3, 2], [-1, -2, 0.5, 0], [-4, -9, -3, -3]])
    assert_same(run(gpu, logits), np.uint32([[1, 2, 3, 0], [2, 3, 0, 1], [2, 3, 0, 1]]))


def test_the_last_bit_decides(gpu):
    """Neighbouring floats are no tie: the larger comes second here, above 0 and below it."""
    one, more = np.float32(1), np.nextafter(np.float32(1), np.float32(2))
    assert_same(run(gpu, np.float32([[one, more], [-more, -one]])), np.uint32([[1, 0], [1, 0]]))


def test_one_and_two_columns(gpu):
    """The smallest sorts there are: most threads have nothing to do, and must still come to every barrier."""
    assert_same(run(gpu, np.float32([[5]])), np.uint32([[0]]))
    assert_same(run(gpu, np.float32([[1, 2], [2, 1], [1, 1]])), np.uint32([[1, 0], [0, 1], [0, 1]]))


def test_rows_that_tell_mistakes_apart(gpu):
    """Ties, NaN and ∞ of both signs, zeros of both signs, subnormals, logits that differ in their last or first bits alone."""
    assert_same(run(gpu, biting()), expected(biting()))


@pytest.mark.parametrize("mistake", MISTAKES)
def test_known_mistakes_show_on_these_inputs(mistake):
    """What a spec's inputs cannot tell apart, it cannot refuse: each known mistake gives another order here."""
    assert (MISTAKES[mistake](biting()) != expected(biting())).any(), f"these inputs do not tell: {mistake}"


@pytest.mark.parametrize("n", [2, 31, 32, 33, 1023, 1024, 1025, 5003], ids="n{}".format)
@pytest.mark.parametrize("rows", [1, 3], ids="rows{}".format)
@pytest.mark.parametrize("digits", [1, 8], ids=["ties", "distinct"])
def test_equals_the_reference(gpu, rows, n, digits):
    """Fewer columns than threads, as many, one more, and several a thread; with ties and without."""
    logits = logits_of(n + rows, rows, n, digits)
    assert_same(run(gpu, logits), expected(logits))


def test_a_whole_vocabulary_equals_numpy(gpu):
    """An oracle nobody here wrote: NumPy's stable sort of the negated row."""
    logits = logits_of(7, 1, 49152, 2)
    assert_same(run(gpu, logits)[0], np.argsort(-logits[0], kind="stable").astype(np.uint32))


def test_equals_the_golden_fixture(gpu):
    golden = load(Path(__file__).parent / "golden", "argsort")
    assert_same(run(gpu, golden["logits"]), golden["order"])


def test_every_nan_comes_last_whatever_its_bits(gpus):
    """A NaN is all exponent bits and any other: the lowest bit alone, the highest alone, all of them, of both signs."""
    bits = np.uint32([0x7F800001, 0x3F800000, 0xFF800001, 0x7FC00000, 0xC0000000, 0x7FFFFFFF, 0xFFFFFFFF, 0x7F800000])
    assert_same(run(gpus(32), bits.view(np.float32)[None]), np.uint32([[1, 4, 0, 2, 3, 5, 6, 7]]))


@examples(40)
@given(
    row=st.lists(st.floats(width=32, allow_nan=True, allow_infinity=True, allow_subnormal=True), min_size=1, max_size=90),
    width=st.sampled_from(WIDTHS),
)
@example(row=[float("nan"), 1.0, float("inf"), float("-inf"), 2.0], width=32)
@example(row=[-0.0, 0.0, -0.0, 1e-45, -1e-45], width=32)
@example(row=[3.4028234663852886e38, -3.4028234663852886e38, 0.0], width=64)
@example(row=[1.0] * 70, width=32)
def test_any_bits_at_all_are_sorted(gpus, row, width):
    """Fast math may assume there is no NaN: so it is found on the bits, and comes last, as ∞ does. Subnormals count."""
    logits = np.float32([row])
    assert_same(run(gpus(width), logits), expected(logits))


@examples(25)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 6), n=st.integers(1, 3000), width=st.sampled_from(WIDTHS))
@example(seed=0, rows=6, n=33, width=32)
def test_every_row_is_a_permutation_in_falling_order(gpus, seed, rows, n, width):
    """What sorting means, without a reference: every column once, none above the one before it, equal ones in their order."""
    logits = logits_of(seed, rows, n)
    order = run(gpus(width), logits).astype(np.int64)
    assert (np.sort(order, axis=1) == np.arange(n)).all(), "a row is no permutation"
    falling = np.take_along_axis(logits, order, axis=1)
    assert (np.diff(falling, axis=1) <= 0).all()
    assert (np.diff(order, axis=1)[np.diff(falling, axis=1) == 0] > 0).all(), "a tie went to the higher column"


def test_writes_nothing_past_its_rows(gpus):
    """Neither into order nor into scratch: what lies behind them in memory is somebody else's."""
    gpu, logits = gpus(1024), logits_of(1, 3, 40)
    room, scratch = gpu.empty((200,), np.uint32), gpu.empty((200,), np.uint32)
    before = room.numpy().copy()
    Argsort(gpu)(gpu.tensor(logits), *(Tensor(t.buffer, (3, 40), t.dtype) for t in (room, scratch)))
    gpu.sync()
    assert_same(room.numpy()[:120].reshape(3, 40), expected(logits))
    assert_same(room.numpy()[120:], before[120:], what="what comes after the last row")
    assert_same(scratch.numpy()[120:], before[120:], what="the scratch after the last row")


def test_a_misfit_is_named_before_launch(gpus):
    gpu = gpus(256)
    op, fine = Argsort(gpu), gpu.empty((2, 4), "uint32")
    with pytest.raises(ValueError, match="two dimensions"):
        op(gpu.empty((4,)))
    with pytest.raises(ValueError, match="nothing to sort"):
        op(gpu.empty((2, 0)))
    with pytest.raises(ValueError, match="logits must be float32, got float16"):
        op(gpu.empty((2, 4), "float16"))
    with pytest.raises(ValueError, match=r"scratch has shape \(4, 2\), logits have \(2, 4\)"):
        op(gpu.empty((2, 4)), fine, gpu.empty((4, 2), "uint32"))
    with pytest.raises(ValueError, match="scratch must not be out"):
        op(gpu.empty((2, 4)), fine, fine)
