"""The spec of norm_head. Source: the composition of m2's and m5's references; rounding: Higham, §3.1."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import WIDTHS, examples
from milestones.m5.repack import Repack
from milestones.m6.norm_head import NormHead
from reference.compare import assert_close
from reference.diagnosis import watched
from reference.mistakes.norm_head import MISTAKES
from tests.packed import KINDS, left, normed, weight, with_room

EPSILON = 1e-5


@watched("norm_head")
def run(gpu, x, raw, kind, shape):
    """The logits; the memory after them must be as poisoned as before."""
    logits, check = with_room(gpu, (1, shape[0]))
    NormHead(gpu)(gpu.tensor(x), Repack(gpu)(gpu.tensor(raw), kind, shape), logits, eps=EPSILON)
    gpu.sync()
    check()
    return logits.numpy()[0]


def expected(x, raw, kind, shape):
    """The product's bound, (k + 4) ε of Σ|x|(|d q| + |m|), times the norm's factor; (k / 64 + 8) ε of the result for that."""
    y, allowed = normed(x, raw, kind, shape, EPSILON)
    return y.astype(np.float32), allowed


def test_a_product_worked_by_hand(gpu):
    """x is 1 everywhere but for norm's weights of 3, mean square 4, one row of ones: 32 · 3 / √4 = 48."""
    x = np.float32([3.0] * 32 + [96.0] + [128.0])
    raw = np.array([0x00, 0x3C] + [1] * 32, np.uint8)
    assert_close(run(gpu, x, raw, "Q8_0", (1, 32)), np.float32([48]), 1e-4)


@examples(12)
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(KINDS),
    n=st.integers(1, 100),
    blocks=st.integers(1, 40),
    spread=st.sampled_from([1e-3, 1.0, 1e6]),
    width=st.sampled_from(WIDTHS),
)
@example(seed=0, kind="Q8_0", n=65, blocks=33, spread=1.0, width=64)
@example(seed=1, kind="Q4_1", n=33, blocks=2, spread=1.0, width=1024)
@example(seed=2, kind="Q8_0", n=32, blocks=2, spread=1.0, width=64)  # a SIMD-group behind the last tile, which is full
def test_equals_the_composition_of_norm_and_product(gpus, seed, kind, n, blocks, spread, width):
    """More blocks than lanes, so that the squares take more than one round; rows around a tile's 32."""
    x, raw = left(seed, 32 * blocks, kind, spread), weight(seed, kind, n, 32 * blocks)
    y, allowed = expected(x, raw, kind, (n, 32 * blocks))
    assert np.abs(y).max() > 0, "the expected output must not be trivial"
    assert_close(run(gpus(width), x, raw, kind, (n, 32 * blocks)), y, allowed)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_known_mistakes_are_well_outside_the_bound(mistake):
    """A bound that lets a usual mistake pass would prove nothing: each is more than 8 times too far off, somewhere."""
    case = (left(1, 96, "Q4_1"), weight(1, "Q4_1", 33, 96), "Q4_1", (33, 96))
    y, allowed = expected(*case)
    assert (np.abs(MISTAKES[mistake](*case) - y) > 8 * allowed).any()


def test_a_misfit_is_named_before_launch(gpus):
    gpu = gpus(256)
    packed = Repack(gpu)(gpu.tensor(np.zeros(40, np.uint8)), "Q4_1", (2, 32))
    with pytest.raises(ValueError, match="x must be a prepared vector of 32 values"):
        NormHead(gpu)(gpu.empty((32,)), packed, gpu.empty((1, 2)), eps=EPSILON)
    with pytest.raises(ValueError, match=r"logits have shape \(1, 3\), the weight has 2 rows"):
        NormHead(gpu)(gpu.empty((34,)), packed, gpu.empty((1, 3)), eps=EPSILON)
