"""The spec of repeat_penalty. Source: Keskar et al., CTRL (2019), §4.1, with the sign rule of `transformers`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from conftest import WIDTHS
from metal.tensor import Tensor
from milestones.m3.repeat_penalty import RepeatPenalty
from reference.compare import assert_close, assert_same
from reference.golden import load
from reference.repeat_penalty import repeat_penalty
from reference.tolerance import sum_bound


def run(gpu, x, seen, penalty):
    y = RepeatPenalty(gpu)(gpu.tensor(x), gpu.tensor(seen, np.uint8), penalty=penalty)
    gpu.sync()
    return y.numpy()


def check(gpu, x, seen, penalty):
    expected = repeat_penalty(torch.from_numpy(x).double(), torch.from_numpy(seen), float(np.float32(penalty))).numpy()
    got = run(gpu, x, seen, penalty)
    assert_close(got, expected.astype(np.float32), sum_bound("repeat_penalty", 0, expected))
    assert_same(got[~seen], x[~seen], what="logits of unseen tokens")


def case(seed, n):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(n) * 6).astype(np.float32), rng.random(n) < 0.4


def test_logits_worked_by_hand(gpu):
    x, seen = np.float32([4, -4, 4, 0]), np.array([True, True, False, True])
    assert_same(run(gpu, x, seen, 2.0), np.float32([2, -8, 4, 0]))


@pytest.mark.parametrize("n", [1, 31, 32, 33, 1024, 1025, 49152], ids="n{}".format)
def test_equals_the_reference(gpu, n):
    check(gpu, *case(n, n), 1.3)


def test_equals_transformers(gpus):
    """The processor nobody here wrote, given ids with repetitions: a token seen twice pays once."""
    golden = load(Path(__file__).parent / "golden", "repeat_penalty")
    seen = np.zeros(golden["x"].size, bool)
    seen[golden["ids"]] = True
    assert len(set(golden["ids"].tolist())) < len(golden["ids"]), "the fixture should repeat an id"
    got = run(gpus(448), golden["x"], seen, float(golden["penalty"]))
    assert_close(got, golden["y"], sum_bound("repeat_penalty", 1, golden["y"]))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 200),
    penalty=st.floats(0.0078125, 100, width=32),
    width=st.sampled_from(WIDTHS),
)
@example(seed=0, n=33, penalty=1.0, width=32)
def test_equals_the_reference_for_any_size_and_penalty(gpus, seed, n, penalty, width):
    check(gpus(width), *case(seed, n), penalty)


def test_any_mark_but_zero_means_seen(gpus):
    gpu = gpus(32)
    y = RepeatPenalty(gpu)(gpu.tensor(np.float32([2, 2, 2])), gpu.tensor(np.uint8([0, 2, 255])), penalty=2.0)
    gpu.sync()
    assert_same(y.numpy(), np.float32([2, 1, 1]))


def test_it_may_work_in_place_and_writes_nothing_past_its_end(gpus):
    gpu, (x, seen) = gpus(1024), case(3, 40)
    room = gpu.tensor(np.concatenate([x, np.float32([7] * 9)]))
    part = Tensor(room.buffer, (40,), room.dtype)
    RepeatPenalty(gpu)(part, gpu.tensor(seen, np.uint8), part, penalty=1.5)
    gpu.sync()
    expected = repeat_penalty(torch.from_numpy(x).double(), torch.from_numpy(seen), 1.5).numpy()
    assert_close(room.numpy()[:40], expected.astype(np.float32), sum_bound("repeat_penalty", 0, expected))
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
