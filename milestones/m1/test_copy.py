"""The spec of copy, the first lesson: one thread an element, and a tail. Source: the Metal Shading Language Specification,
thread_position_in_grid; a dispatch that is rounded up to whole threadgroups runs threads that have no element."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import WIDTHS, examples
from metal.tensor import POISON_BYTE, Tensor
from milestones.m1.copy import Copy
from reference.compare import assert_same
from reference.copy import copy
from reference.diagnosis import watched
from reference.mistakes.copy import MISTAKES

UNWRITTEN = int.from_bytes([POISON_BYTE] * 4)


@watched("copy")
def run(gpu, x):
    """The copy; the memory after it, where an unguarded tail would land, must be as poisoned as before."""
    room = gpu.empty((x.size + 1024,), np.uint32)
    y = Copy(gpu)(gpu.tensor(x), Tensor(room.buffer, x.shape, room.dtype))
    gpu.sync()
    assert (room.numpy()[x.size :] == UNWRITTEN).all(), "elements past the last were written: is the tail sent home?"
    return y.numpy()


def expected(x):
    """Equal bit for bit: whole numbers are copied, so there is nothing to round."""
    return copy(torch.from_numpy(x.view(np.int32))).numpy().view(np.uint32)


def numbers(seed, n):
    """Numbers of 32 bits, all different from their neighbours and from what fills an unwritten output."""
    x = np.random.default_rng(seed).integers(1 << 31, 1 << 32, n).astype(np.uint32)
    x[::7] ^= np.uint32(1 << 31)
    x[x == UNWRITTEN] = 1
    return x


def test_four_numbers_worked_by_hand(gpu):
    """Four of at least 32 threads have an element; the others must do nothing."""
    assert_same(run(gpu, np.uint32([7, 0, 4294967295, 2])), np.uint32([7, 0, 4294967295, 2]))


@pytest.mark.parametrize("n", [1, 31, 32, 33, 255, 257, 1023, 1024, 1025, 2111], ids="n{}".format)
def test_equals_the_reference(gpu, n):
    """One element, a SIMD-group's 32 and one more or less, a threadgroup's, several threadgroups'."""
    x = numbers(n, n)
    assert_same(run(gpu, x), expected(x))


@pytest.mark.parametrize("mistake", MISTAKES)
def test_known_mistakes_are_seen_with_these_inputs(mistake):
    """A spec with inputs such as 0, 1, 2, … would let some of these pass."""
    x = numbers(67, 67)
    assert (MISTAKES[mistake](x) != expected(x)).any(), f"these inputs do not tell: {mistake}"


@examples(25)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 3000), width=st.sampled_from(WIDTHS))
@example(seed=0, n=1025, width=1024)
@example(seed=0, n=33, width=32)
def test_equals_the_reference_at_any_size_and_width(gpus, seed, n, width):
    """However many threadgroups there are, and however full the last one is."""
    x = numbers(seed, n)
    assert_same(run(gpus(width), x), expected(x))


def test_writes_nothing_past_its_elements(gpus):
    """1000 elements at a width of 1024: the last 24 threads run too, past the end of both buffers."""
    x = numbers(3, 1000)
    assert_same(run(gpus(1024), x), expected(x))


@pytest.mark.parametrize(
    ("x", "out", "message"),
    [
        (((2, 4), "u4"), None, "x must have one dimension"),
        (((0,), "u4"), None, "must have from 1"),
        (((4,), "f4"), None, "x must be uint32, got float32"),
        (((4,), "u4"), ((5,), "u4"), r"out has shape \(5,\), x has \(4,\)"),
        (((4,), "u4"), ((4,), "f4"), "out must be uint32, got float32"),
    ],
)
def test_a_misfit_is_named_before_launch(gpus, x, out, message):
    gpu = gpus(256)
    with pytest.raises(ValueError, match=message):
        Copy(gpu)(gpu.empty(*x), gpu.empty(*out) if out else None)
