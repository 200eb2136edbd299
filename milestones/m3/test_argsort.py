"""The spec of argsort. Source: the rules of sampling: ties go to the lower id; NaN and infinities are found on the bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from conftest import WIDTHS
from metal.tensor import Tensor
from milestones.m3.argsort import Argsort
from reference.argsort import argsort
from reference.compare import assert_same
from reference.golden import load


def run(gpu, logits):
    order = Argsort(gpu)(gpu.tensor(logits))
    gpu.sync()
    return order.numpy()


def expected(logits):
    return argsort(torch.from_numpy(logits)).numpy().astype(np.uint32)


def logits_of(seed, rows, n, digits=1):
    """Normal logits of both signs, rounded so that ties are everywhere."""
    return (np.random.default_rng(seed).standard_normal((rows, n)) * 3).round(digits).astype(np.float32)


def test_rows_worked_by_hand(gpu):
    logits = np.float32([[1, 3, 3, 2], [-1, -2, 0.5, 0], [-4, -9, -3, -3]])
    assert_same(run(gpu, logits), np.uint32([[1, 2, 3, 0], [2, 3, 0, 1], [2, 3, 0, 1]]))


@pytest.mark.parametrize("n", [1, 2, 31, 32, 33, 1023, 1024, 1025, 5003], ids="n{}".format)
@pytest.mark.parametrize("rows", [1, 3], ids="rows{}".format)
@pytest.mark.parametrize("digits", [1, 8], ids=["ties", "distinct"])
def test_equals_the_reference(gpu, rows, n, digits):
    logits = logits_of(n + rows, rows, n, digits)
    assert_same(run(gpu, logits), expected(logits))


def test_a_whole_vocabulary_equals_numpy(gpu):
    """An oracle nobody here wrote: NumPy's stable sort of the negated row."""
    logits = logits_of(7, 1, 49152, 2)
    assert_same(run(gpu, logits)[0], np.argsort(-logits[0], kind="stable").astype(np.uint32))


def test_equals_the_golden_fixture(gpu):
    golden = load(Path(__file__).parent / "golden", "argsort")
    assert_same(run(gpu, golden["logits"]), golden["order"])


@settings(max_examples=60, deadline=None)
@given(
    row=st.lists(st.floats(width=32, allow_nan=True, allow_infinity=True, allow_subnormal=True), min_size=1, max_size=90),
    width=st.sampled_from(WIDTHS),
)
@example(row=[float("nan"), 1.0, float("inf"), float("-inf"), 2.0], width=32)
@example(row=[-0.0, 0.0, -0.0, 1e-45, -1e-45], width=32)
@example(row=[3.4028234663852886e38, -3.4028234663852886e38, 0.0], width=64)
@example(row=[1.0] * 70, width=32)
def test_any_bits_at_all_are_sorted(gpus, row, width):
    logits = np.float32([row])
    assert_same(run(gpus(width), logits), expected(logits))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 6), n=st.integers(1, 3000), width=st.sampled_from(WIDTHS))
@example(seed=0, rows=6, n=33, width=32)
def test_every_row_is_a_permutation_in_falling_order(gpus, seed, rows, n, width):
    logits = logits_of(seed, rows, n)
    order = run(gpus(width), logits).astype(np.int64)
    assert (np.sort(order, axis=1) == np.arange(n)).all(), "a row is no permutation"
    falling = np.take_along_axis(logits, order, axis=1)
    assert (np.diff(falling, axis=1) <= 0).all()
    assert (np.diff(order, axis=1)[np.diff(falling, axis=1) == 0] > 0).all(), "a tie went to the higher column"


def test_writes_nothing_past_its_rows(gpus):
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
