"""`pytest milestones/m6/bench_sample_top.py --benchmark-only`: one of 49,152; the baseline is m3's sampler, which sorts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from milestones.m3.sampler import Sampler, Settings
from milestones.m6.sampler import FastSampler
from reference.philox import uniform
from reference.sample import draw, keep
from reference.sample_top import sample_top
from tests.benches import VOCABULARY

SETTINGS = {"greedy": Settings(), "top-k, top-p": Settings(temperature=0.8, top_k=40, top_p=0.95, seed=7)}


def pytorch(logits, s):
    """The same with PyTorch's own draw."""
    if s.temperature == 0:
        return logits.argmax()
    p, order = torch.topk(torch.softmax(logits / s.temperature, dim=1), s.top_k)
    left = p * (p.cumsum(dim=1) - p < s.top_p * p.sum())
    return order[0, torch.multinomial(left, 1)]


@pytest.mark.parametrize("role", ["baseline", "kernel", "pytorch"])
@pytest.mark.parametrize("settings", SETTINGS)
def test_sample_top(speed, bench_gpu, settings, role):
    s, rng, found = SETTINGS[settings], np.random.default_rng(1), []
    rows = [rng.standard_normal((1, VOCABULARY), np.float32) * 3 for _ in range(2)]  # by turns: an old result is a wrong one
    on_device = [bench_gpu.tensor(x) for x in rows]
    sampler = (Sampler if role == "baseline" else FastSampler)(bench_gpu, VOCABULARY, s)

    def wanted(step):
        order, p = (y.numpy() for y in sample_top(torch.from_numpy(rows[step % 2]), s.top_k or 1, s.temperature or 1.0))
        row = np.zeros(VOCABULARY, np.float32)
        row[order] = p
        return draw(keep(row, order.tolist(), len(order), s.top_p), uniform(s.seed, step))

    def choose():
        step = len(found)
        found.append(sampler.choose(on_device[step % 2], [], step).id)

    def check():
        assert found[-1] == wanted(len(found) - 1) and found[0] == wanted(0)

    group, theirs = f"sample_top, {settings}", torch.from_numpy(rows[0])
    if role == "pytorch":
        speed(group, role, lambda: pytorch(theirs, s), nbytes=theirs.nbytes)
    else:
        speed(group, role, choose, check=check, nbytes=theirs.nbytes)
