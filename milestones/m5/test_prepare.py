"""The spec of prepare. Source: packed.h, which says where a nibble stands in its word when it is read."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import WIDTHS, examples
from metal.tensor import Tensor
from milestones.m5.prepare import Prepare, Prepared
from reference.compare import assert_close, assert_same
from reference.diagnosis import watched
from reference.mistakes.prepare import MISTAKES, RIGHT
from reference.prepare import prepare
from reference.tolerance import sum_bound


@watched("prepare")
def run(gpu, x, nibbles):
    """The values and the sums; the memory after them must be as poisoned as before."""
    rooms = [gpu.empty((n + 4096,)) for n in (x.size, x.size // 32)]
    out = Prepared(*(Tensor(room.buffer, (n,), room.dtype) for room, n in zip(rooms, (x.size, x.size // 32), strict=True)))
    Prepare(gpu)(gpu.tensor(x), "Q4_1" if nibbles else "Q8_0", out)
    gpu.sync()
    assert all(np.isnan(room.numpy()[tensor.size :]).all() for room, tensor in zip(rooms, out, strict=True)), "past the last"
    return out.x.numpy(), out.sums.numpy()


def expected(x, nibbles):
    """A value times a power of two is exact: bit for bit. A sum of 32 rounds 31 times, by ε/2 of the sizes' sum."""
    y, sums = prepare(torch.from_numpy(x).double(), nibbles)
    allowed = sum_bound("row_sum", 16, np.abs(x.astype(np.float64)).reshape(-1, 32).sum(axis=1))
    return y.numpy().astype(np.float32), sums.numpy().astype(np.float32), allowed


def values(seed, blocks, scale=1.0):
    x = (np.random.default_rng(seed).standard_normal(32 * blocks) * scale).astype(np.float32)
    x[::17] *= 40
    return x


def check(got, x, nibbles):
    y, sums = got
    wanted, exact, allowed = expected(x, nibbles)
    assert_same(y, wanted, what="values")
    assert_close(sums, exact, allowed, what="sums")


@pytest.mark.parametrize("nibbles", [True, False], ids=["nibbles", "bytes"])
def test_a_block_worked_by_hand(gpu, nibbles):
    """1 to 32: their sum is 528. With `nibbles`, value 1 meets nibble 2, so 2 becomes 2/256; value 19 meets the topmost, and 20
    stays. Without, nothing changes."""
    y, sums = run(gpu, np.arange(1, 33, dtype=np.float32), nibbles)
    assert_same(sums, np.float32([528]), what="sums")
    assert_same(
        y[[0, 1, 16, 19]], np.float32([1, 2 / 256, 17 / 16, 20] if nibbles else [1, 2, 17, 20]), what="y at 0, 1, 16, 19"
    )


@examples(20)
@given(
    seed=st.integers(0, 2**32 - 1),
    blocks=st.integers(1, 70),
    nibbles=st.booleans(),
    scale=st.sampled_from([1e-20, 1.0, 1e20]),
    width=st.sampled_from(WIDTHS),
)
@example(seed=0, blocks=33, nibbles=True, scale=1.0, width=1024)
def test_equals_the_reference(gpus, seed, blocks, nibbles, scale, width):
    """Any number of blocks, values of any size: the last threadgroup has SIMD-groups that must do nothing."""
    x = values(seed, blocks, scale)
    check(run(gpus(width), x, nibbles), x, nibbles)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_known_mistakes_show_on_these_inputs(mistake):
    """What a spec's inputs cannot tell apart, it cannot refuse."""
    found = []
    for nibbles in (False, True):
        for of in (RIGHT, MISTAKES[mistake]):
            y, sums = of(values(1, 3), nibbles)
            try:
                check((y.astype(np.float32), sums.astype(np.float32)), values(1, 3), nibbles)
            except AssertionError:
                found.append(of)
    assert found and RIGHT not in found


@pytest.mark.parametrize(
    ("x", "message"), [((2, 32), "x must have one dimension"), ((33,), "33 values, which are not whole blocks of 32")]
)
def test_a_misfit_is_named_before_launch(gpus, x, message):
    gpu = gpus(256)
    with pytest.raises(ValueError, match=message):
        Prepare(gpu)(gpu.empty(x), "Q4_1")
