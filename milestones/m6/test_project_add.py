"""The spec of project_add. Source: the composition of m5's product and m2's add; rounding: Higham, §3.1."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import WIDTHS, examples
from milestones.m5.repack import Repack
from milestones.m6.project_add import ProjectAdd
from reference.compare import assert_close
from reference.diagnosis import watched
from reference.mistakes.project_add import MISTAKES, RIGHT
from reference.prepare import take
from reference.project_add import project_add
from reference.tolerance import packed_bound
from tests.packed import EPS, KINDS, assert_left, left, vector, weight, with_room


@watched("project_add")
def run(gpu, y, raw, kind, shape, x, norm, nibbles):
    """The new x and what is left; the memory after them must be as poisoned as before."""
    n = shape[0]
    (stream, check_x), (out, check) = with_room(gpu, (n,)), with_room(gpu, (n + n // 16,))
    stream.numpy()[:] = x
    packed = Repack(gpu)(gpu.tensor(raw), kind, shape)
    ProjectAdd(gpu)(gpu.tensor(y), packed, gpu.tensor(norm), stream, out, nibbles=int(nibbles))
    gpu.sync()
    check_x()
    check()
    return stream.numpy(), out.numpy()


def expected(y, raw, kind, shape, x, norm, nibbles):
    """The product's bound, (k + 4) ε of Σ|y|(|d q| + |m|), and one rounding of the sum with x."""
    arrays = [torch.from_numpy(a) for a in (y, raw, x, norm)]
    value = project_add(arrays[0], arrays[1], kind, shape, arrays[2], arrays[3], nibbles)[0].numpy()
    return value, packed_bound(take(arrays[0], kind != "Q8_0")[0].numpy(), raw, kind, shape) + EPS * np.abs(value)


def test_a_projection_worked_by_hand(gpu):
    """32 rows of ones times 32 ones, onto −30: 2. Times norm's ½: 1, whose sum is 32, the squares' 32 · 2²."""
    raw, y = np.array(([0x00, 0x3C] + [1] * 32) * 32, np.uint8), np.float32([1] * 32 + [32, 32])
    x, out = run(gpu, y, raw, "Q8_0", (32, 32), np.full(32, -30, np.float32), np.full(32, 0.5, np.float32), False)
    assert x.tolist() == [2] * 32 and out.tolist() == [1] * 32 + [32, 128]


def check(got, *case):
    """x within the product's bound, and what is left within that of its own roundings more."""
    value, error = expected(*case)
    assert_left(got[1], value, error, case[5].astype(np.float64), case[6])
    assert_close(got[0], value.astype(np.float32), error)


@examples(12)
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(KINDS),
    tiles=st.integers(1, 5),
    blocks=st.integers(1, 8),
    nibbles=st.booleans(),
    width=st.sampled_from(WIDTHS),
)
@example(seed=0, kind="Q4_1", tiles=3, blocks=2, nibbles=True, width=64)
@example(seed=0, kind="Q4_0", tiles=3, blocks=2, nibbles=False, width=1024)
@example(seed=1, kind="Q8_0", tiles=33, blocks=1, nibbles=True, width=64)  # more tiles than a tile has rows
def test_equals_the_composition_of_product_and_sum(gpus, seed, kind, tiles, blocks, nibbles, width):
    """The stream and what is left, for each kind, for nibbles and for bytes."""
    n, k = 32 * tiles, 32 * blocks
    case = (left(seed, k, kind), weight(seed, kind, n, k), kind, (n, k), vector(seed + 3, n), vector(seed + 4, n), nibbles)
    check(run(gpus(width), *case), *case)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_known_mistakes_show_on_these_inputs(mistake):
    """What a spec's inputs cannot tell apart, it cannot refuse."""
    case = (left(1, 64, "Q4_1"), weight(1, "Q4_1", 32, 64), "Q4_1", (32, 64), vector(4, 32), vector(5, 32), True)
    check(RIGHT(*case), *case)
    with pytest.raises(AssertionError, match="differ"):
        check(MISTAKES[mistake](*case), *case)


def test_a_misfit_is_named_before_launch(gpus):
    gpu = gpus(256)
    packed = Repack(gpu)(gpu.tensor(np.zeros(32 * 20, np.uint8)), "Q4_1", (32, 32))
    y, out, n = gpu.empty((34,)), gpu.empty((34,)), gpu.empty((32,))
    with pytest.raises(ValueError, match=r"weight has 32 rows, x has shape \(31,\)"):
        ProjectAdd(gpu)(y, packed, n, gpu.empty((31,)), out, nibbles=0)
    with pytest.raises(ValueError, match="out must not be y"):
        ProjectAdd(gpu)(y, packed, n, n, y, nibbles=0)
