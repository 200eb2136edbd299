"""The spec of gate_up_swiglu. Source: the composition of m2's norm, product and SwiGLU; rounding: Higham, §3.1."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import WIDTHS, examples
from milestones.m5.repack import Repack, packed_size
from milestones.m6.gate_up_swiglu import GateUpSwiglu
from reference.diagnosis import watched
from reference.mistakes.gate_up_swiglu import MISTAKES, RIGHT
from reference.swiglu import swiglu
from reference.tolerance import EXTRA, TINY
from tests.packed import EPS, KINDS, assert_left, left, normed, weight, with_room

EPSILON = 1e-5


@watched("gate_up_swiglu")
def run(gpu, x, gate, up, kind, shape, nibbles):
    """What is left, without the squares, which nobody needs; the memory after it must be as poisoned as before."""
    ffn = shape[0]
    out, check = with_room(gpu, (ffn + ffn // 16,))
    both = gpu.empty((2 * packed_size(kind, shape),), np.uint32)
    packed = [Repack(gpu)(gpu.tensor(raw), kind, shape, both, first=i, step=2) for i, raw in enumerate((gate, up))]
    GateUpSwiglu(gpu)(gpu.tensor(x), *packed, out, eps=EPSILON, nibbles=int(nibbles))
    gpu.sync()
    check()
    return out.numpy()[: ffn + ffn // 32]


def expected(x, gate, up, kind, shape, nibbles):
    """silu changes by at most 1.1 times what its argument changes by: 1.1 · gate's error · |up| + |silu| · up's, and SwiGLU's
    own roundings (reference/tolerance.py)."""
    (g, off_g), (u, off_u) = (normed(x, raw, kind, shape, EPSILON) for raw in (gate, up))
    value = swiglu(torch.from_numpy(g), torch.from_numpy(u)).numpy()
    silu = np.abs(swiglu(torch.from_numpy(g), torch.ones(len(g), dtype=torch.float64)).numpy())
    error = (
        1.1 * off_g * (np.abs(u) + off_u)
        + silu * off_u
        + (EXTRA["swiglu"] + 2.5 * np.abs(g).clip(max=88)) * EPS * np.abs(value)
    )
    return value, error + TINY


def test_a_hidden_value_worked_by_hand(gpu):
    """x of ones, gate and up of ones: both products are 32, and silu(32) is 32 as near as float32 can say: 1,024."""
    ones = np.array(([0x00, 0x3C] + [1] * 32) * 32, np.uint8)
    y = run(gpu, np.float32([1] * 32 + [32, 32]), ones, ones, "Q8_0", (32, 32), False)
    assert np.allclose(y, [1024] * 32 + [32768], rtol=1e-4)


def check(got, *case):
    """What is left, but for the squares."""
    value, error = expected(*case)
    assert_left(got, value, error, np.ones(len(value)), case[5], squares=False)


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
@example(seed=0, kind="Q8_0", tiles=2, blocks=2, nibbles=True, width=1024)
@example(seed=1, kind="Q8_0", tiles=33, blocks=1, nibbles=True, width=64)  # more tiles than a tile has rows
@example(seed=2, kind="Q8_0", tiles=1, blocks=33, nibbles=False, width=64)  # more blocks than a block has values
def test_equals_the_composition_of_norm_products_and_swiglu(gpus, seed, kind, tiles, blocks, nibbles, width):
    """Gate and up are different weights: whoever takes one for the other, or one tile for the next, is found out."""
    ffn, k = 32 * tiles, 32 * blocks
    case = (left(seed, k, kind), weight(seed, kind, ffn, k), weight(seed + 1, kind, ffn, k), kind, (ffn, k), nibbles)
    check(run(gpus(width), *case), *case)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_known_mistakes_show_on_these_inputs(mistake):
    """What a spec's inputs cannot tell apart, it cannot refuse."""
    case = (left(1, 64, "Q4_1"), weight(1, "Q4_1", 32, 64), weight(2, "Q4_1", 32, 64), "Q4_1", (32, 64), True)
    check(RIGHT(*case), *case)
    with pytest.raises(AssertionError, match="differ"):
        check(MISTAKES[mistake](*case), *case)


def test_a_misfit_is_named_before_launch(gpus):
    gpu = gpus(256)
    gate, up = (Repack(gpu)(gpu.tensor(np.zeros(32 * 20, np.uint8)), "Q4_1", (32, 32)) for _ in range(2))
    with pytest.raises(ValueError, match="the tiles of gate and up must take turns in one tensor"):
        GateUpSwiglu(gpu)(gpu.empty((34,)), gate, up, gpu.empty((34,)), eps=EPSILON, nibbles=0)
