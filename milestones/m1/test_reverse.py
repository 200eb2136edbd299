"""The spec of reverse, the fourth lesson: what a barrier orders. Source: the Metal Shading Language Specification,
threadgroup_barrier: it orders what a threadgroup's threads wrote before it and read after it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import WIDTHS, examples
from metal.tensor import POISON_BYTE, Tensor
from milestones.m1.reverse import LONGEST_ROW, Reverse
from reference.compare import assert_same
from reference.diagnosis import watched
from reference.mistakes.reverse import MISTAKES
from reference.reverse import reverse

UNWRITTEN = int.from_bytes([POISON_BYTE] * 4)


@watched("reverse")
def run(gpu, x, in_place=False):
    """The rows reversed; the memory after them must be as poisoned as before."""
    room = gpu.empty((x.size + 2048,), np.uint32)
    y = Tensor(room.buffer, x.shape, room.dtype)
    if in_place:
        y.numpy()[:] = x
    Reverse(gpu)(y if in_place else gpu.tensor(x), y)
    gpu.sync()
    assert (room.numpy()[x.size :] == UNWRITTEN).all(), "elements past the last row were written: does the loop over rows end?"
    return y.numpy()


def expected(x):
    """Equal bit for bit: whole numbers change places, so there is nothing to round."""
    return reverse(torch.from_numpy(x.view(np.int32))).numpy().view(np.uint32)


def rows(seed, shape):
    """Numbers of 32 bits, none of them what fills an unwritten output; no row reads the same backwards."""
    x = np.random.default_rng(seed).integers(0, 1 << 32, shape).astype(np.uint32)
    x[x == UNWRITTEN] = 1
    return x


def test_rows_worked_by_hand(gpu):
    """1 2 3 becomes 3 2 1; the next row stays where it is."""
    assert_same(run(gpu, np.uint32([[1, 2, 3], [4, 5, 6]])), np.uint32([[3, 2, 1], [6, 5, 4]]))


@pytest.mark.parametrize("n", [1, 31, 32, 33, 577, 1023, LONGEST_ROW], ids="n{}".format)
@pytest.mark.parametrize("count", [1, 35], ids="rows{}".format)
def test_equals_the_reference(gpu, count, n):
    """Fewer columns than threads, as many, more, the longest row; one row, and so many that a threadgroup takes several."""
    x = rows(n, (count, n))
    assert_same(run(gpu, x), expected(x))


@pytest.mark.parametrize("n", [2, 33, 65, 1009], ids="n{}".format)
def test_y_may_be_x(gpu, n):
    """In place, what one thread writes is what another one has still to read: all must have read before any writes."""
    x = rows(n, (35, n))
    assert_same(run(gpu, x, in_place=True), expected(x))


@pytest.mark.parametrize("mistake", MISTAKES)
def test_known_mistakes_are_seen_with_these_inputs(mistake):
    """Rows of equal numbers, or one row alone, would let some of these pass."""
    x = rows(8, (5, 67))
    assert (MISTAKES[mistake](x) != expected(x)).any(), f"these inputs do not tell: {mistake}"


@examples(20)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 70),
    n=st.integers(1, 200),
    in_place=st.booleans(),
    width=st.sampled_from(WIDTHS),
)
@example(seed=0, count=35, n=65, in_place=True, width=1024)
@example(seed=0, count=33, n=33, in_place=True, width=32)
def test_reversed_twice_is_the_row_itself(gpus, seed, count, n, in_place, width):
    """And once is what the reference says, in place or not: a kernel that copies would do for the first alone."""
    x = rows(seed, (count, n))
    once = run(gpus(width), x, in_place=in_place)
    assert_same(once, expected(x))
    assert_same(run(gpus(width), once, in_place=in_place), x)


def test_writes_nothing_past_its_rows(gpus):
    """Three rows at a width of 64: two threadgroups, of which the second has one row only."""
    x = rows(3, (3, 40))
    assert_same(run(gpus(64), x), expected(x))


@pytest.mark.parametrize(
    ("x", "out", "message"),
    [
        (((4,), "u4"), None, "x must have two dimensions"),
        (((4, 0), "u4"), None, "has no elements"),
        (((2, 1025), "u4"), None, "at most 1024 values"),
        (((4, 2), "f4"), None, "x must be uint32, got float32"),
        (((4, 2), "u4"), ((2, 4), "u4"), r"out has shape \(2, 4\), x has \(4, 2\)"),
        (((4, 2), "u4"), ((4, 2), "f4"), "out must be uint32, got float32"),
    ],
)
def test_a_misfit_is_named_before_launch(gpus, x, out, message):
    gpu = gpus(256)
    with pytest.raises(ValueError, match=message):
        Reverse(gpu)(gpu.empty(*x), gpu.empty(*out) if out else None)
