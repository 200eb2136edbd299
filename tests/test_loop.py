"""The loop on real models: cached equals uncached, the counters that show why a cache is kept. Its own spec: m7's test_loop."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from metal.health import spec_gpu
from milestones.errors import UserError
from milestones.m1.gguf_model import GgufModel
from milestones.m1.weights import Weights
from milestones.m2.model import Model
from milestones.m7.loop import Loop
from tests.tiny import random_model, write_gguf

PROMPT, NEW = [5, 17, 99, 3, 3, 42, 8], 12


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Model:
    gpu = spec_gpu(checks="off")  # each kernel is checked in its own spec
    return Model(gpu, Weights(gpu, GgufModel(write_gguf(random_model(11), tmp_path_factory.mktemp("m") / "tiny.gguf"))))


def ids_and_rows(model: Model, cached: bool, new: int = NEW) -> tuple[list[int], int]:
    before = model.kv_rows
    ids = [choice.id for choice in Loop(model._gpu, model, cached=cached).generate(PROMPT, new)]
    return ids, model.kv_rows - before


def test_cached_equals_uncached(tiny):
    cached, _ = ids_and_rows(tiny, True)
    uncached, _ = ids_and_rows(tiny, False)
    assert cached == uncached
    assert len(set(cached)) > 3, "a run that repeats one token proves little"


def test_rows_computed_are_linear_with_the_cache_and_quadratic_without(tiny):
    """n new tokens after p: p + n − 1 rows a layer with the cache; without, p + (p+1) + … + (p+n−1)."""
    blocks, p = tiny.config.blocks, len(PROMPT)
    for new in (1, 2, 12, 24):
        assert ids_and_rows(tiny, True, new)[1] == blocks * (p + new - 1)
        assert ids_and_rows(tiny, False, new)[1] == blocks * sum(p + i for i in range(new))


def test_chunked_prefill_equals_prefill_at_once(tiny, monkeypatch):
    whole, _ = ids_and_rows(tiny, True)
    for chunk in (1, 2, 3, 5):
        monkeypatch.setattr("milestones.m7.loop.PREFILL_CHUNK", chunk)
        assert ids_and_rows(tiny, True)[0] == whole


def test_logits_without_a_finite_value_are_reported_not_sampled(tiny):
    """Fast math is on: NaN is found on the bits, and named."""
    weight = tiny.norm.numpy()
    before = weight.copy()
    try:
        weight[:] = float("nan")
        with pytest.raises(UserError, match="logits of 131 that are NaN or infinite"):
            next(Loop(tiny._gpu, tiny).generate(PROMPT, 1))
    finally:
        weight[:] = before


class LoopMachine(RuleBasedStateMachine):
    """Random feeds, rewinds and forks of cached loops: the next choice is what computing everything anew gives."""

    model: Model

    @initialize()
    def begin(self):
        self.loops = [Loop(self.model._gpu, self.model, capacity=40)]

    @rule(data=st.data())
    def feed(self, data):
        loop = data.draw(st.sampled_from(self.loops))
        if loop.full:
            return
        ids = data.draw(st.lists(st.integers(0, 130), min_size=1, max_size=min(9, loop.capacity - len(loop.ids))))
        whole = [*loop.ids, *ids]
        choice = loop.prefill(ids)
        anew = Loop(self.model._gpu, self.model, cached=False).step(whole)
        assert loop.ids == whole and choice.logprob == pytest.approx(anew.logprob, abs=1e-4)
        assert choice.id == anew.id or abs(choice.logprob - anew.logprob) < 1e-4

    @rule(data=st.data())
    def rewind(self, data):
        loop = data.draw(st.sampled_from(self.loops))
        loop.rewind(data.draw(st.integers(0, len(loop.ids))))

    @rule(data=st.data())
    def fork(self, data):
        if len(self.loops) < 3:
            self.loops.append(data.draw(st.sampled_from(self.loops)).fork())


def test_any_feeds_rewinds_and_forks_equal_computing_everything_anew(tiny):
    LoopMachine.model = tiny
    run_state_machine_as_test(LoopMachine, settings=settings(max_examples=15, stateful_step_count=10, deadline=None))


def test_a_cache_of_halves_chooses_the_same_tokens_on_the_default_model(engine):
    """Its keys and values are off by 2⁻¹¹: far less than most gaps between the two likeliest tokens."""
    prompt = "The history of the city begins with a river"
    exact, halves = (list(engine.generate(prompt, max_tokens=24, cache_dtype=dtype)) for dtype in ("float32", "float16"))
    assert [t.id for t in halves] == [t.id for t in exact]
    drift = max(abs(a.logprob - b.logprob) for a, b in zip(exact, halves, strict=True))
    assert 0 < drift < 0.02, f"log-probabilities moved by {drift}"


def test_a_step_that_writes_no_logits_chooses_as_one_that_does(engine):
    """Greedy steps take the best of the head's tiles; a prompt of one token goes the same way and leaves its logits."""
    quick, plain = (Loop(engine.gpu, engine.model, capacity=40) for _ in range(2))
    ids = engine.encode("The history of the city")
    chosen = [(quick.prefill(ids), plain.prefill(ids))]
    for _ in range(8):
        chosen.append((quick.step([chosen[-1][0].id]), plain.prefill([chosen[-1][1].id])))
    assert [a.id for a, _ in chosen] == [b.id for _, b in chosen]
    assert [a.logprob for a, _ in chosen] == pytest.approx([b.logprob for _, b in chosen], abs=1e-5)
    assert quick.ids == plain.ids and quick.cache.length == plain.cache.length == len(ids) + 8
    quick.rewind(len(ids) + 3)
    assert quick.fork().step([chosen[3][0].id]).id == quick.step([chosen[3][0].id]).id == chosen[4][1].id
