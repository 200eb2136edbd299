"""How fast the loop is, beside transformers float32 in the same run: `pytest milestones/m7 --benchmark-only`.

Same file, same prompt, greedy, one sequence, both warm. Decode and prefill have rounds of their own. Compare only within
one run.
"""

from __future__ import annotations

import pytest
import torch

from milestones.m7.engine import Engine
from milestones.m7.golden.make import continue_greedily, load_oracle
from milestones.m7.loop import Loop
from milestones.speed.others import fed

PROMPT_TOKENS, NEW_TOKENS, LONG_PROMPT = 16, 64, 512
PROMPT = "The history of the city begins with a river, a bridge and a market square where "


@pytest.fixture(scope="module", params=["fast", "naive"])
def ours(request, model_path) -> Engine:
    return Engine(model_path, kernels=request.param)


@pytest.fixture(scope="module")
def engine(model_path) -> Engine:
    return Engine(model_path)


@pytest.fixture(scope="module")
def oracle(model_path):
    return load_oracle(model_path)[0]


def prompt_of(engine: Engine, tokens: int) -> list[int]:
    ids = engine.encode(PROMPT)
    return (ids * (tokens // len(ids) + 1))[:tokens]


def test_decode_ours(benchmark, rounds_of, ours):
    engine, ids = ours, prompt_of(ours, PROMPT_TOKENS)
    expected: list[list[int]] = []

    def ready():
        loop = Loop(engine.gpu, engine.model, capacity=PROMPT_TOKENS + NEW_TOKENS)
        return (loop, loop.prefill(ids)), {}

    def decode(loop, following):
        new = []
        for _ in range(NEW_TOKENS):
            new.append(following.id)
            following = loop.step([following.id])
        expected.append(new)

    benchmark.extra_info["tokens"] = NEW_TOKENS
    benchmark.pedantic(decode, setup=ready, rounds=rounds_of(5), warmup_rounds=1)
    assert all(new == expected[0] for new in expected), "rounds of a greedy loop must agree"


def test_decode_transformers(benchmark, rounds_of, engine, oracle):
    from transformers import DynamicCache

    ids = prompt_of(engine, PROMPT_TOKENS)

    def ready():
        with torch.no_grad():
            past = DynamicCache()
            fed(oracle, torch.tensor([ids]), past)
            return (past,), {}

    def decode(past):
        with torch.no_grad():
            feed = torch.tensor([[ids[-1]]])
            for _ in range(NEW_TOKENS):
                out = fed(oracle, feed, past)
                feed = out.logits[:, -1].argmax(-1, keepdim=True)

    benchmark.extra_info["tokens"] = NEW_TOKENS
    benchmark.pedantic(decode, setup=ready, rounds=rounds_of(5), warmup_rounds=1)


def test_prefill_ours(benchmark, rounds_of, ours):
    engine, ids = ours, prompt_of(ours, LONG_PROMPT)
    benchmark.extra_info["tokens"] = LONG_PROMPT
    benchmark.pedantic(
        lambda loop: loop.prefill(ids),
        setup=lambda: ((Loop(engine.gpu, engine.model, capacity=LONG_PROMPT),), {}),
        rounds=rounds_of(3),
    )


def test_prefill_transformers(benchmark, rounds_of, engine, oracle):
    ids = prompt_of(engine, LONG_PROMPT)
    benchmark.extra_info["tokens"] = LONG_PROMPT
    benchmark.pedantic(lambda: continue_greedily(oracle, ids, 1, -1), rounds=rounds_of(3), warmup_rounds=1)
