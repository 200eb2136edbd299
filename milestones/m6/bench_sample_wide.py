"""`pytest milestones/m6/bench_sample_wide.py --benchmark-only`: one of 49,152, no top-k; the baseline is m3's sampler."""

from __future__ import annotations

import pytest
import torch

from milestones.m3.sampler import Settings
from reference.sample_wide import sample_wide
from tests.benches import choices

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


def weights(row, s):
    return sample_wide(row, s.temperature, top_p=s.top_p, min_p=s.min_p)


@pytest.mark.parametrize("role", ["baseline", "kernel", "pytorch"])
@pytest.mark.parametrize("settings", SETTINGS)
def test_sample_wide(speed, bench_gpu, settings, role):
    choices(speed, bench_gpu, f"sample_wide, {settings}", role, SETTINGS[settings], weights, pytorch)
