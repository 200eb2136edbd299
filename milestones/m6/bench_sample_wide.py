"""`pytest milestones/m6/bench_sample_wide.py --benchmark-only`: one of 49,152, no top-k; the baseline is m3's sampler."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from milestones.m3.sampler import Sampler, Settings
from milestones.m6.sampler import FastSampler
from reference.philox import uniform
from reference.sample import draw
from reference.sample_wide import sample_wide
from tests.benches import VOCABULARY

SETTINGS = {
    "temperature": Settings(temperature=0.8, seed=7),
    "top-p": Settings(temperature=0.8, top_p=0.9, seed=7),
    "top-p, flat": Settings(temperature=2.0, top_p=0.9, seed=7),
    "min-p": Settings(temperature=0.8, min_p=0.05, seed=7),
}


def pytorch(logits, s):
    """The same with PyTorch's own sort and draw."""
    p = torch.softmax(logits / s.temperature, dim=1)
    if s.top_p < 1:
        p, order = torch.sort(p, descending=True)
        return order[0, torch.multinomial(p * (p.cumsum(dim=1) - p < s.top_p), 1)]
    return torch.multinomial(torch.where(p >= s.min_p * p.max(), p, 0), 1)


@pytest.mark.parametrize("role", ["baseline", "kernel", "pytorch"])
@pytest.mark.parametrize("settings", SETTINGS)
def test_sample_wide(speed, bench_gpu, settings, role):
    s, rng, found = SETTINGS[settings], np.random.default_rng(1), []
    rows = [rng.standard_normal((1, VOCABULARY), np.float32) * 3 for _ in range(2)]  # by turns: an old result is a wrong one
    on_device = [bench_gpu.tensor(x) for x in rows]
    sampler = (Sampler if role == "baseline" else FastSampler)(bench_gpu, VOCABULARY, s)

    def wanted(step):
        weights = sample_wide(torch.from_numpy(rows[step % 2]), s.temperature, top_p=s.top_p, min_p=s.min_p)
        return draw(weights, uniform(s.seed, step))

    def choose():
        step = len(found)
        found.append(sampler.choose(on_device[step % 2], [], step).id)

    def check():
        assert found[-1] == wanted(len(found) - 1) and found[0] == wanted(0)

    group, theirs = f"sample_wide, {settings}", torch.from_numpy(rows[0])
    if role == "pytorch":
        speed(group, role, lambda: pytorch(theirs, s), nbytes=theirs.nbytes)
    else:
        speed(group, role, choose, check=check, nbytes=theirs.nbytes)
