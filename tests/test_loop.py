"""The loop's own promises: cached equals uncached, the counters that show why a cache is kept, how a run ends."""

from __future__ import annotations

import pytest

from metal.tensor import Gpu
from milestones.errors import UserError
from milestones.m1.gguf_file import GgufFile
from milestones.m1.weights import Weights
from milestones.m2.model import Model
from milestones.m7.loop import Loop
from tests.tiny import random_model, write_gguf

PROMPT, NEW = [5, 17, 99, 3, 3, 42, 8], 12


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Model:
    gpu = Gpu(poison=True)
    return Model(gpu, Weights(gpu, GgufFile(write_gguf(random_model(11), tmp_path_factory.mktemp("m") / "tiny.gguf"))))


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


def test_a_full_context_ends_the_run_after_the_last_token_that_fits(tiny):
    """Capacity c and p prompt tokens: the c − p tokens fed back and one more that was only predicted."""
    loop = Loop(tiny._gpu, tiny, capacity=len(PROMPT) + 3)
    assert len(list(loop.generate(PROMPT, 100))) == 4


def test_a_prompt_over_the_context_is_refused_before_anything_is_computed(tiny):
    before = tiny.kv_rows
    with pytest.raises(UserError, match="the prompt is 200 tokens, the context holds 128"):
        next(Loop(tiny._gpu, tiny).generate([1] * 200, 1))
    assert tiny.kv_rows == before


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
