"""The spec of the sampler: the settings in their order, seeds, refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest

from milestones.errors import UserError
from milestones.m3.sampler import Sampler, Settings

LOGITS = np.float32([[2.0, 4.0, -1.0, 4.0, 3.9, 0.5]])


def choose(gpu, logits=LOGITS, ids=(), step=0, **settings):
    return Sampler(gpu, logits.shape[1], Settings(**settings)).choose(gpu.tensor(logits), list(ids), step)


def test_temperature_zero_is_argmax_with_ties_to_the_lower_id(gpu):
    choice = choose(gpu)
    assert choice.id == 1
    p = np.exp(LOGITS[0].astype(np.float64))
    assert choice.logprob == pytest.approx(math.log(p[1] / p.sum()), abs=1e-5)


def test_the_penalty_comes_before_the_choice_and_covers_all_given_ids(gpu):
    """With ids 1 and 3 seen, their 4.0 becomes 2.0 and id 4 wins; a seen negative logit falls."""
    assert choose(gpu, ids=[1, 3, 3], repeat_penalty=2.0).id == 4
    assert choose(gpu, np.float32([[-1.0, -1.5]]), ids=[0], repeat_penalty=2.0).id == 1
    assert choose(gpu, ids=[1, 3], repeat_penalty=1.0).id == 1


def test_the_logprob_is_the_models_own_whatever_the_settings(gpus):
    plain = choose(gpus(64), ids=[1], temperature=1.0, seed=3)
    other = choose(gpus(64), ids=[1], temperature=1e-3, top_k=1, repeat_penalty=1.5)
    p = np.exp(LOGITS[0].astype(np.float64))
    for choice in (plain, other):
        assert choice.logprob == pytest.approx(math.log(p[choice.id] / p.sum()), abs=1e-5)


def test_the_same_seed_and_step_choose_the_same_at_every_width(gpu, gpus):
    rng = np.random.default_rng(0)
    logits = (rng.standard_normal((1, 3000)) * 2).astype(np.float32)
    settings = {"temperature": 0.9, "top_k": 200, "top_p": 0.95, "min_p": 0.001, "seed": 42}
    here = [choose(gpu, logits, step=step, **settings).id for step in range(12)]
    assert here == [choose(gpus(256), logits, step=step, **settings).id for step in range(12)]
    assert len(set(here)) > 3, "one token again and again proves little"
    assert here != [choose(gpu, logits, step=step, **(settings | {"seed": 43})).id for step in range(12)]


def test_one_sampler_serves_many_steps(gpus):
    """Its tensors are used again: nothing of an earlier row or of earlier ids may remain."""
    gpu, rng = gpus(448), np.random.default_rng(1)
    rows = [(rng.standard_normal((1, 700)) * 3).astype(np.float32) for _ in range(6)]
    seen = [list(rng.integers(0, 700, 40)) for _ in rows]
    settings = Settings(temperature=0.8, top_p=0.9, repeat_penalty=1.4, seed=5)
    sampler = Sampler(gpu, 700, settings)
    again = [sampler.choose(gpu.tensor(row), ids, i) for i, (row, ids) in enumerate(zip(rows, seen, strict=True))]
    assert again == [
        Sampler(gpu, 700, settings).choose(gpu.tensor(row), ids, i) for i, (row, ids) in enumerate(zip(rows, seen, strict=True))
    ]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf], ids=str)
@pytest.mark.parametrize("temperature", [0.0, 1.0], ids="T{}".format)
def test_a_logit_that_is_no_number_is_refused_never_sampled(gpus, bad, temperature):
    """One among many is enough; fast math is on, so it is found on the bits."""
    logits = LOGITS.copy()
    logits[0, 2] = bad
    with pytest.raises(UserError, match="1 logits of 6 that are NaN or infinite"):
        choose(gpus(32), logits, temperature=temperature, top_p=0.9)


@pytest.mark.parametrize("temperature", [0.0, 1.0], ids="T{}".format)
def test_a_logit_that_the_penalty_makes_infinite_is_refused(gpus, temperature):
    """It would win by far, and draws from NaN would be id 0."""
    logits = LOGITS.copy()
    logits[0, 2] = 3e38
    with pytest.raises(UserError, match="1 logits of 6 that are NaN or infinite with the penalty"):
        choose(gpus(32), logits, [2], temperature=temperature, repeat_penalty=0.5)


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("temperature", -0.1, "temperature must be 0"),
        ("temperature", math.nan, "temperature must be 0"),
        ("temperature", math.inf, "temperature must be 0"),
        ("temperature", 1e-40, "temperature must be 0"),
        ("top_k", -1, "top-k must be 0"),
        ("top_p", 0.0, "top-p must be above 0"),
        ("top_p", 1.01, "top-p must be above 0 and at most 1"),
        ("top_p", math.nan, "top-p must be above 0"),
        ("min_p", 2.0, "min-p must be from 0"),
        ("repeat_penalty", 0.0, "penalty must be from"),
        ("repeat_penalty", math.nan, "penalty must be from"),
        ("seed", -1, "seed must be from 0"),
        ("seed", 2**64, "seed must be from 0"),
    ],
)
def test_a_setting_out_of_range_is_named(setting, value, message):
    with pytest.raises(UserError, match=message):
        Settings(**{setting: value})


def test_the_stages_show_what_each_setting_does(gpus):
    """Probabilities before and after, worked by hand: weights 1 : 2 : 4 : 4 at T = 1, k = 3, p = 0.7."""
    gpu, logits = gpus(64), np.log(np.float32([[1, 2, 4, 4]]))
    settings = Settings(temperature=1.0, top_k=3, top_p=0.7, min_p=0.0)
    stages = Sampler(gpu, 4, settings).stages(gpu.tensor(logits), [])
    assert stages.order.tolist() == [2, 3, 1, 0]
    close = {"own": [1 / 11, 2 / 11, 4 / 11, 4 / 11], "tempered": [1 / 11, 2 / 11, 4 / 11, 4 / 11]}
    close |= {"top_k": [0, 0.2, 0.4, 0.4], "top_p": [0, 0, 0.5, 0.5], "min_p": [0, 0, 0.5, 0.5]}
    for name, expected in close.items():
        assert getattr(stages, name) == pytest.approx(expected, abs=1e-6), name
    squared = Sampler(gpu, 4, Settings(temperature=0.5, min_p=0.2, repeat_penalty=2.0)).stages(gpu.tensor(logits), [3])
    assert squared.own == pytest.approx([1 / 11, 2 / 11, 4 / 11, 4 / 11], abs=1e-6)
    assert squared.tempered == pytest.approx([1 / 25, 4 / 25, 16 / 25, 4 / 25], abs=1e-6)
    assert squared.min_p == pytest.approx([0, 1 / 6, 4 / 6, 1 / 6], abs=1e-6)
