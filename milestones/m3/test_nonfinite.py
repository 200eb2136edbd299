"""The spec of nonfinite. Source: fast math is always on, so NaN and infinities are found on their bits (IEEE 754, §3.4)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import WIDTHS, examples
from metal.tensor import Tensor
from milestones.m3.nonfinite import Nonfinite
from reference.compare import assert_same
from reference.diagnosis import watched
from reference.mistakes.nonfinite import MISTAKES
from reference.nonfinite import nonfinite


@watched("nonfinite")
def run(gpu, x):
    out = Nonfinite(gpu)(gpu.tensor(x))
    gpu.sync()
    return out.numpy()


def expected(x):
    return nonfinite(torch.from_numpy(x)).numpy().astype(np.uint32)


def planted(seed, rows, n):
    """Any bits at all: about one float in 128 is NaN or infinite, and one in 256 is finite and above 2¹²⁷; more are planted."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 2**32, (rows, n), np.uint32).view(np.float32)
    x[rng.random((rows, n)) < 0.1] = np.nan
    x[:, n - 1] = -np.inf
    return x


def test_rows_worked_by_hand(gpu):
    """Two of three, none of three (3.4e38 is large, not infinite), three of three."""
    x = np.float32([[1, np.nan, -np.inf], [0, -0.0, 3.4e38], [np.inf, np.nan, np.nan]])
    assert_same(run(gpu, x), np.uint32([2, 0, 3]))


@pytest.mark.parametrize("n", [1, 31, 32, 33, 1009, 49152], ids="n{}".format)
@pytest.mark.parametrize("rows", [1, 33], ids="rows{}".format)
def test_equals_the_reference(gpu, rows, n):
    """One column, a SIMD-group's 32, one more or less, a prime and a whole vocabulary; one row, and one more than 32."""
    x = planted(n + rows, rows, n)
    assert_same(run(gpu, x), expected(x))


@pytest.mark.parametrize("mistake", MISTAKES)
def test_known_mistakes_show_on_these_inputs(mistake):
    """What a spec's inputs cannot tell apart, it cannot refuse: each known mistake gives another count here."""
    x = planted(3, 4, 1009)
    assert (MISTAKES[mistake](x) != expected(x)).any(), f"these inputs do not tell: {mistake}"


@pytest.mark.parametrize("place", [0, 31, 32, 63, 64, 69], ids="column{}".format)
@pytest.mark.parametrize(
    "bits", [0x7F800000, 0xFF800000, 0x7FC00000, 0xFFC00000, 0x7F800001, 0xFFBFFFFF, 0x7FFFFFFF], ids="{:08X}".format
)
def test_one_of_any_kind_is_found_wherever_it_stands(gpus, bits, place):
    """Quiet and signalling NaNs and infinities, of both signs, in whole strides and in the tail."""
    x = np.zeros((1, 70), np.uint32)
    x[0, place] = bits
    assert_same(run(gpus(64), x.view(np.float32)), np.uint32([1]))


@examples(25)
@given(
    row=st.lists(st.floats(width=32, allow_nan=True, allow_infinity=True, allow_subnormal=True), min_size=1, max_size=70),
    width=st.sampled_from(WIDTHS),
)
@example(row=[3.4028234663852886e38, 1e-45, -0.0], width=32)
def test_any_floats_are_counted(gpus, row, width):
    """The largest finite float, subnormals and signed zeros are numbers like others."""
    x = np.float32([row, row[::-1]])
    assert_same(run(gpus(width), x), expected(x))


def test_writes_nothing_past_its_rows(gpus):
    """The tail of the rounded-up dispatch is whole SIMD-groups without a row: they must not write."""
    gpu, x = gpus(1024), planted(1, 3, 40)
    room = gpu.empty((64,), np.uint32)
    before = room.numpy().copy()
    Nonfinite(gpu)(gpu.tensor(x), Tensor(room.buffer, (3,), room.dtype))
    gpu.sync()
    assert_same(room.numpy()[:3], expected(x))
    assert_same(room.numpy()[3:], before[3:], what="the rows after the last")


def test_a_misfit_is_named_before_launch(gpus):
    gpu = gpus(256)
    with pytest.raises(ValueError, match="two dimensions"):
        Nonfinite(gpu)(gpu.empty((4,)))
    with pytest.raises(ValueError, match="nothing to count"):
        Nonfinite(gpu)(gpu.empty((0, 4)))
    with pytest.raises(ValueError, match="x must be float32, got float16"):
        Nonfinite(gpu)(gpu.empty((2, 4), "float16"))
