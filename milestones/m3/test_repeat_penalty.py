"""The spec of repeat_penalty. Source: Keskar et al., CTRL (2019), §4.1, with the sign rule of `transformers`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import WIDTHS, examples
from metal.tensor import Tensor
from milestones.m3.repeat_penalty import RepeatPenalty
from reference.compare import assert_close, assert_same
from reference.diagnosis import watched
from reference.golden import load
from reference.mistakes.repeat_penalty import MISTAKES
from reference.repeat_penalty import repeat_penalty
from reference.tolerance import sum_bound


@watched("repeat_penalty")
def run(gpu, x, seen, penalty):
    y = RepeatPenalty(gpu)(gpu.tensor(x), gpu.tensor(seen, np.uint8), penalty=penalty)
    gpu.sync()
    return y.numpy()


def expected(x, seen, penalty):
    """3 ε of the result: one division, which Metal allows to be off by 2.5 units in the last place, and the rounding of the
    expected value itself to float32, half a unit. A product would be off by half a unit only.

    ε = 2⁻²³ is the spacing of float32 numbers at 1.
    """
    y = repeat_penalty(torch.from_numpy(x).double(), torch.from_numpy(seen != 0), float(np.float32(penalty))).numpy()
    return y.astype(np.float32), sum_bound("repeat_penalty", 0, y)


def check(gpu, x, seen, penalty):
    got = run(gpu, x, seen, penalty)
    assert_close(got, *expected(x, seen, penalty))
    assert_same(got[seen == 0], x[seen == 0], what="logits of unseen tokens")


def case(seed, n):
    """Logits of both signs, the first a seen one; marks of 0 and others: they say whether, never how often."""
    rng = np.random.default_rng(seed)
    x, seen = (rng.standard_normal(n) * 6).astype(np.float32), rng.choice(np.uint8([0, 0, 0, 1, 2, 255]), n)
    x[0], seen[0] = 3.7, 1
    return x, seen


def test_logits_worked_by_hand(gpu):
    x, seen = np.float32([4, -4, 4, 0]), np.uint8([1, 1, 0, 1])
    assert_same(run(gpu, x, seen, 2.0), np.float32([2, -8, 4, 0]))


@pytest.mark.parametrize("n", [1, 31, 32, 33, 1024, 1025, 49152], ids="n{}".format)
def test_equals_the_reference(gpu, n):
    """One element, a SIMD-group's 32 and one more or less, a threadgroup and one more, and a whole vocabulary."""
    check(gpu, *case(n, n), 1.3)


def test_equals_transformers(gpus):
    """The processor nobody here wrote, given ids with repetitions: a token seen twice pays once."""
    golden = load(Path(__file__).parent / "golden", "repeat_penalty")
    seen = np.zeros(golden["x"].size, np.uint8)
    seen[golden["ids"]] = 1
    assert len(set(golden["ids"].tolist())) < len(golden["ids"]), "the fixture should repeat an id"
    got = run(gpus(448), golden["x"], seen, float(golden["penalty"]))
    assert_close(got, golden["y"], sum_bound("repeat_penalty", 1, golden["y"]))


def test_the_reference_in_float32_is_well_inside_the_bound():
    """The bound is no trap: plain float32, which rounds as a careful kernel does, needs at most half of it."""
    x, seen = case(5, 300)
    y, allowed = expected(x, seen, 1.3)
    assert_close(repeat_penalty(torch.from_numpy(x), torch.from_numpy(seen != 0), float(np.float32(1.3))), y, allowed / 2)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_known_mistakes_are_well_outside_the_bound(mistake):
    """Nor is it a hole: each known mistake is off by more than eight times what is allowed."""
    x, seen = case(5, 300)
    y, allowed = expected(x, seen, 1.3)
    wrong = MISTAKES[mistake](x, seen, 1.3)
    assert not (np.abs(wrong - y) <= 8 * allowed).all(), f"these inputs do not tell: {mistake}"


@examples(25)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 200),
    penalty=st.floats(0.0078125, 100, width=32),
    width=st.sampled_from(WIDTHS),
)
@example(seed=0, n=33, penalty=1.0, width=32)
def test_equals_the_reference_for_any_size_and_penalty(gpus, seed, n, penalty, width):
    check(gpus(width), *case(seed, n), penalty)


def test_a_penalty_above_one_never_makes_a_seen_token_likelier(gpus):
    """The rule of two signs is there for this alone: divided by 2, −4 would become −2, and the token likelier than before."""
    x, seen = case(8, 200)
    y = run(gpus(64), x, seen, 2.0)
    assert (y[seen != 0] < x[seen != 0]).all() and (run(gpus(64), x, seen, 0.5)[seen != 0] > x[seen != 0]).all()
    assert_same(y[seen == 0], x[seen == 0], what="logits of unseen tokens")


def test_any_mark_but_zero_means_seen(gpus):
    """However often a token has been seen, it pays once."""
    assert_same(run(gpus(32), np.float32([2, 2, 2, -2]), np.uint8([0, 2, 255, 3]), 2.0), np.float32([2, 1, 1, -4]))


def test_it_may_work_in_place_and_writes_nothing_past_its_end(gpus):
    """The sampler keeps one row and changes it; what lies behind it in memory is somebody else's."""
    gpu, (x, seen) = gpus(1024), case(3, 40)
    room = gpu.tensor(np.concatenate([x, np.float32([7] * 9)]))
    part = Tensor(room.buffer, (40,), room.dtype)
    RepeatPenalty(gpu)(part, gpu.tensor(seen, np.uint8), part, penalty=1.5)
    gpu.sync()
    assert_close(room.numpy()[:40], *expected(x, seen, 1.5))
    assert_same(room.numpy()[40:], np.float32([7] * 9), what="what comes after the end")


def test_a_misfit_is_named_before_launch(gpus):
    gpu = gpus(256)
    op, x = RepeatPenalty(gpu), gpu.empty((4,))
    with pytest.raises(ValueError, match=r"seen has shape \(3,\), x has \(4,\)"):
        op(x, gpu.empty((3,), "uint8"), penalty=2.0)
    with pytest.raises(ValueError, match="seen must be uint8, got uint32"):
        op(x, gpu.empty((4,), "uint32"), penalty=2.0)
    for penalty in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="penalty must be a finite number above 0"):
            op(x, gpu.empty((4,), "uint8"), penalty=penalty)
