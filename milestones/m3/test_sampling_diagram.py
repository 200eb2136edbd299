"""The sampler's diagram: probabilities, cuts and draws are the sampler's own, on the fixtures of its spec."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from milestones.m3.diagram import sampling as diagram
from milestones.m3.golden.make import FILTERS
from milestones.m3.sampler import Sampler, Settings
from reference.golden import load
from reference.sample import keep

GOLDEN = load(Path(__file__).parent / "golden", "sample")
ROW = 2  # of the golden logits


@pytest.fixture(scope="module")
def device(whole_gpu):
    """A Device whose model gives the golden logits, whatever it is told."""
    kept: dict = {}
    n = GOLDEN["logits"].shape[1]
    return SimpleNamespace(
        gpu=whole_gpu,
        engine=SimpleNamespace(model=SimpleNamespace(config=SimpleNamespace(vocabulary=n))),
        tokenizer=SimpleNamespace(token_bytes=lambda token: b"%d" % token, decode=lambda ids: b"", ends=frozenset({3})),
        encode=lambda text: [0, 1],
        logits=lambda prompt, appended: whole_gpu.tensor(GOLDEN["logits"][ROW : ROW + 1]),
        kept=lambda name, make: kept[name] if name in kept else kept.setdefault(name, make()),
    )


def asked(**changed):
    return {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "seed": 0} | changed


@pytest.mark.parametrize("number", range(len(FILTERS)))
def test_what_is_shown_is_the_golden_distribution(device, number):
    """transformers made these numbers: the page's bars are held to the same as the sampler's spec."""
    temperature, top_k, top_p, min_p = FILTERS[number]
    told = diagram.look(device, "x", [], 300, **asked(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p))
    final = np.zeros(300)
    for row in told["rows"]:
        final[row["id"]] = row["final"]
    golden = GOLDEN[f"case{number}"][ROW]
    assert np.array_equal(final > 0, golden > 0)
    np.testing.assert_allclose(final, golden, rtol=1e-4, atol=1e-7)
    assert told["left"]["min_p"] == np.count_nonzero(golden)
    assert all((row["cut"] is None) == (golden[row["id"]] > 0) for row in told["rows"])


def test_each_cut_token_names_the_first_setting_that_cuts_it(device):
    """By the reference: with top-k alone, then top-p too, then min-p too."""
    settings = {"top_k": 20, "top_p": 0.8, "min_p": 0.2}
    told = diagram.look(device, "x", [], 300, **asked(temperature=1.5, **settings))
    z = GOLDEN["logits"][ROW].astype(np.float64) / 1.5
    p = np.float32(np.exp(z - z.max()) / np.exp(z - z.max()).sum())
    order = np.argsort(-GOLDEN["logits"][ROW], kind="stable").tolist()
    expected = {}
    for upto in (1, 2, 3):
        name = list(settings)[upto - 1]
        held = keep(p, order, **dict(list(settings.items())[:upto]))
        expected |= {token: name for token in np.flatnonzero(held == 0).tolist() if token not in expected}
    assert {row["id"]: row["cut"] for row in told["rows"] if row["cut"]} == expected
    assert len(set(expected.values())) == 3, "each setting must have something to cut"


def test_at_temperature_zero_the_largest_logit_is_all_that_is_left(device):
    told = diagram.look(device, "x", [], 300, **asked(temperature=0.0, top_k=5))
    assert told["chosen"] == {"id": int(np.argmax(GOLDEN["logits"][ROW])), "text": told["chosen"]["text"], "p": 1.0}
    assert [row["final"] for row in told["rows"]] == [1.0] + [0.0] * 299
    assert {row["cut"] for row in told["rows"][1:]} == {"temperature"}


@pytest.mark.parametrize("seed", [0, 7, 10**9])
def test_the_token_taken_is_the_samplers_choice_for_that_seed_and_step(device, whole_gpu, seed):
    settings = asked(temperature=1.2, top_k=40, seed=seed)
    logits = whole_gpu.tensor(GOLDEN["logits"][ROW : ROW + 1])
    for appended in ([], [5], [5, 6, 7]):
        chosen = Sampler(whole_gpu, 300, Settings(**settings)).choose(logits, [0, 1, *appended], len(appended)).id
        assert diagram.look(device, "x", appended, 10, **settings)["chosen"]["id"] == chosen


def test_a_thousand_draws_are_counted_and_scatter_about_what_is_expected(device):
    told = diagram.draws(device, "x", [], 300, **asked(top_k=30, seed=3))
    drawn, expected = (np.array([one[key] for one in told["counts"]]) for key in ("drawn", "expected"))
    assert drawn.sum() + told["others"]["drawn"] == 1000
    assert expected.sum() + told["others"]["expected"] == pytest.approx(1000, abs=0.01)
    assert not drawn[expected == 0].any()
    likely = expected >= 5
    chi = ((drawn - expected)[likely] ** 2 / expected[likely]).sum()
    assert 0 < chi < 3 * likely.sum() + 10
    assert diagram.draws(device, "x", [], 300, **asked(temperature=0.0))["counts"][0]["drawn"] == 1000
