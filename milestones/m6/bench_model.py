"""`pytest milestones/m6/bench_model.py --benchmark-only`: a token after 64, and a prompt of 64; the baseline is m2's model.

Beside transformers the loop is timed in m7.
"""

from __future__ import annotations

from functools import partial

import pytest

from milestones.m1.model_file import open_model
from milestones.m2.model import Model
from milestones.m4.cache import KvCache
from milestones.m5.weights import Weights
from milestones.m6.model import FastModel
from tests.plugin.speed import Run

PROMPT = 64


@pytest.fixture(scope="module")
def models(bench_gpu, model_path):
    """Both, and how many bytes a step reads: the weights as floats, or as they are in the file."""
    file = open_model(model_path)
    weights = Weights(bench_gpu, file)
    packed = sum(info.nbytes for info in file.tensors.values())
    return {"baseline": (Model(bench_gpu, weights), 538e6), "kernel": (FastModel(bench_gpu, weights), packed)}


@pytest.mark.parametrize("role", ["baseline", "kernel"])
@pytest.mark.parametrize("tokens", [1, PROMPT])
def test_model(ladder, bench_gpu, models, tokens, role):
    ids, runs = [(7 * i) % 1000 + 300 for i in range(PROMPT + 1)], {}
    start, c = 0 if tokens > 1 else PROMPT, models["kernel"][0].config
    for name, (model, nbytes) in models.items():
        cache = KvCache(bench_gpu, c.blocks, c.kv_heads, c.head_dim, 2 * PROMPT)
        if start:
            model.forward(ids[:start], cache.attend)
            cache.advance(start)
        step = partial(model.forward, ids[start : start + tokens], cache.attend, start=start)
        runs[name] = Run(step, [step()], nbytes)  # the logits are written again by each call
    bench_gpu.sync()
    expected = runs["baseline"].outs[0].numpy().copy()
    ladder(role, f"model, {tokens} tokens", runs, lambda: expected, rtol=1e-3, atol=1e-3, rounds=7 if tokens == 1 else 3)
