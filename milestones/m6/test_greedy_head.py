"""The spec of greedy_head: m3's argmax of norm_head's logits to the bit, and the winner's probability."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import WIDTHS, examples
from milestones.m5.repack import Repack
from milestones.m6.greedy_head import GreedyHead
from milestones.m6.norm_head import NormHead
from milestones.m6.sampling import Chosen
from reference.compare import assert_close, assert_same
from reference.diagnosis import watched
from reference.mistakes.greedy_head import MISTAKES, RIGHT
from reference.softmax import softmax
from reference.tolerance import softmax_bound
from tests.packed import KINDS, left, normed, weight, with_room

EPSILON = 1e-5


def chosen(gpu, x, raw, kind, shape, span=1):
    """The choice; the memory behind what one kernel leaves for the other must be as poisoned as before."""
    head, packed, made = GreedyHead(gpu, span), Repack(gpu)(gpu.tensor(raw), kind, shape), Chosen(gpu, 0)
    parts, check = with_room(gpu, head.room(packed).shape, np.uint32)
    head(gpu.tensor(x), packed, parts, made, eps=EPSILON)
    gpu.sync()
    check()
    return made


@watched("greedy_head")
def run(gpu, x, raw, kind, shape, span=1):
    """The id, uint32 (1)."""
    return chosen(gpu, x, raw, kind, shape, span).numpy()[:1].copy()


def logits_of(gpu, x, raw, kind, shape):
    """norm_head's, float32 (n)."""
    logits = gpu.empty((1, shape[0]))
    NormHead(gpu)(gpu.tensor(x), Repack(gpu)(gpu.tensor(raw), kind, shape), logits, eps=EPSILON)
    gpu.sync()
    return logits.numpy()[0]


def counted(made):
    """How many logits were no numbers, uint32 (1): to compare, so that a kernel that writes nothing is told so."""
    return made.numpy()[2:3]


def case_of(seed, kind, n, blocks, spread=1.0, twice=False):
    """x, a weight of n rows, its kind and shape. `twice`: the rows stand there again, so
    that every logit has an equal one."""
    rows = weight(seed, kind, n, 32 * blocks).reshape(n, -1)
    rows = np.concatenate([rows, rows]) if twice else rows
    return left(seed, 32 * blocks, kind, spread), rows.reshape(-1), kind, (len(rows), 32 * blocks)


def test_a_choice_worked_by_hand(gpu):
    """x is 2 everywhere, mean square 4; norm's weights of 1/2: rows of 1, 2 and 2 in the first half give 8, 16 and 16."""
    x = np.float32([1.0] * 32 + [32.0] + [128.0])
    raw = np.array([[0x00, 0x3C, *[q] * 16, *[0] * 16] for q in (1, 2, 2)], np.uint8).reshape(-1)
    assert_same(run(gpu, x, raw, "Q8_0", (3, 32)), np.uint32([1]))
    assert chosen(gpu, x, raw, "Q8_0", (3, 32)).own == pytest.approx(1 / (2 + np.exp(-8)), abs=1e-6)


@examples(12)
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(KINDS),
    n=st.sampled_from([1, 31, 32, 33, 100, 700]),
    twice=st.booleans(),
    blocks=st.integers(1, 20),
    spread=st.sampled_from([1e-3, 1.0]),
    span=st.sampled_from([1, 2, 7, 16]),
    width=st.sampled_from(WIDTHS),
)
@example(seed=0, kind="Q8_0", n=1024, twice=True, blocks=2, spread=1.0, span=1, width=64)  # a lane has two equal parts
@example(seed=1, kind="Q8_0", n=32, twice=True, blocks=2, spread=1.0, span=2, width=64)  # a lane has two equal rows of a part
@example(seed=2, kind="Q8_0", n=2200, twice=False, blocks=2, spread=1.0, span=1, width=256)
@example(seed=3, kind="Q4_1", n=33, twice=True, blocks=18, spread=1.0, span=2, width=1024)
@example(seed=4, kind="Q8_0", n=512, twice=False, blocks=1, spread=1.0, span=16, width=64)  # a part of as many as there may be
@example(seed=5, kind="Q4_1", n=100, twice=False, blocks=33, spread=1.0, span=1, width=64)  # more than 32 blocks
def test_equals_argmax_of_norm_heads_logits_to_the_bit(gpus, seed, kind, n, twice, blocks, spread, span, width):
    """Where every logit has an equal one further on, the lower id counts, across lanes, tiles, parts and rounds of parts."""
    gpu, case = gpus(width), case_of(seed, kind, n, blocks, spread, twice)
    logits = logits_of(gpu, *case)
    y, allowed = normed(*case, EPSILON)
    assert_close(logits, y.astype(np.float32), allowed)
    assert_same(run(gpu, *case, span), np.uint32([logits.argmax()]))
    whole = softmax_of(logits)
    made = chosen(gpu, *case, span)
    assert_close(np.float32([made.own]), *(a[made.id : made.id + 1] for a in whole))
    assert made.told and not made.nonfinite


def softmax_of(logits):
    """Probabilities float32 (n), and softmax's bound. Here each sum has one factor more, exp of a part's distance from the
    largest, which rounds as another exp and product do: half as much again, and 4 ε."""
    p = softmax(torch.from_numpy(logits.astype(np.float64)[None])).numpy()
    return p[0].astype(np.float32), 1.5 * softmax_bound(logits[None], p, 1.0)[0] + 4 * 2.0**-23


@pytest.mark.parametrize("place", [0, 40])
def test_logits_that_are_no_numbers_are_counted(gpus, place):
    """A scale of NaN in one row: one logit is NaN, and the choice says so."""
    raw = weight(1, "Q8_0", 70, 32).reshape(70, 34).copy()
    raw[place, :2] = 0x00, 0x7E
    made = chosen(gpus(64), left(1, 32, "Q8_0"), raw.reshape(-1), "Q8_0", (70, 32))
    assert_same(counted(made), np.uint32([1]))


def test_logits_that_are_no_numbers_are_all_counted(gpus):
    """All of them are NaN, in 35 parts or in one and a half: each is counted once, whatever tile, lane or part it is in."""
    raw = np.tile(np.uint8([0x00, 0x7E] + [1] * 32), 1100)
    for span in (1, 16):
        assert_same(counted(chosen(gpus(64), left(1, 32, "Q8_0"), raw, "Q8_0", (1100, 32), span)), np.uint32([1100]))


def test_every_part_has_its_share_of_the_sum(gpus):
    """1,100 equal rows, in 35 parts, five or three: the first is chosen, at one in 1,100."""
    x, raw = np.float32([1.0] * 32 + [32.0] + [32.0]), np.tile(np.uint8([0x00, 0x3C] + [1] * 32), 1100)
    for span in (1, 7, 16):
        made = chosen(gpus(64), x, raw, "Q8_0", (1100, 32), span)
        assert_same(made.numpy()[:1], np.uint32([0]))
        assert made.own == pytest.approx(1 / 1100, rel=1e-5)


def test_the_last_part_may_have_the_largest(gpus):
    """The last of 1,100 rows is the largest: its part is the third lane's second one."""
    x, raw = np.float32([1.0] * 32 + [32.0] + [32.0]), np.tile(np.uint8([0x00, 0x3C] + [1] * 32), (1100, 1))
    raw[-1, 2:] = 2
    assert_same(run(gpus(64), x, raw.reshape(-1), "Q8_0", (1100, 32)), np.uint32([1099]))


def test_of_logits_below_zero_the_least_negative_counts(gpus):
    """x of ones, rows of d = −1/4 and q from 36 down to 2: logits of −288 up to −16. Rows past n are no logits of 0."""
    rows = [[0x00, 0xB4, *[q] * 32] for q in range(36, 1, -1)]
    x, raw = np.float32([1.0] * 32 + [32.0] + [32.0]), np.array(rows, np.uint8).reshape(-1)
    for span in (1, 2):
        made = chosen(gpus(64), x, raw, "Q8_0", (35, 32), span)
        assert_same(made.numpy()[:1], np.uint32([34]))
        assert not made.nonfinite
        assert made.own == pytest.approx(1 / sum(np.exp(-8.0 * j) for j in range(35)), abs=1e-6)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_known_mistakes_show_on_these_inputs(mistake):
    """What a spec's inputs cannot tell apart, it cannot refuse."""
    cases = [case_of(seed, "Q8_0", n, 2, twice=twice) for seed in range(3) for n, twice in ((40, True), (2200, False))]
    assert any((MISTAKES[mistake](*case) != RIGHT(*case)).any() for case in cases)


def test_a_misfit_is_named_before_launch(gpus):
    gpu = gpus(256)
    with pytest.raises(ValueError, match="greedy_head: span must be from 1 to 16, got 17"):
        GreedyHead(gpu, 17)
    head, packed = GreedyHead(gpu, 1), Repack(gpu)(gpu.tensor(np.zeros(40, np.uint8)), "Q4_1", (2, 32))
    with pytest.raises(ValueError, match="greedy_head: x must be a prepared vector of 32 values"):
        head(gpu.empty((32,)), packed, head.room(packed), Chosen(gpu, 0), eps=EPSILON)
    with pytest.raises(ValueError, match=r"greedy_head: parts must have shape \(4, 1\), not \(4, 2\)"):
        head(gpu.empty((34,)), packed, gpu.empty((4, 2), np.uint32), Chosen(gpu, 0), eps=EPSILON)
