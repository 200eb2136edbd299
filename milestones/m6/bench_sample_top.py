"""`pytest milestones/m6/bench_sample_top.py --benchmark-only`: one of 49,152; the baseline is m3's sampler, which sorts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from milestones.m3.sampler import Settings
from reference.sample import keep
from reference.sample_top import sample_top
from tests.benches import VOCABULARY, choices

SETTINGS = {"greedy": Settings(), "top-k, top-p": Settings(temperature=0.8, top_k=40, top_p=0.95, seed=7)}


def pytorch(logits, s):
    """The same with PyTorch's own draw."""
    if s.temperature == 0:
        return logits.argmax()
    p, order = torch.topk(torch.softmax(logits / s.temperature, dim=1), s.top_k)
    left = p * (p.cumsum(dim=1) - p < s.top_p * p.sum())
    return order[0, torch.multinomial(left, 1)]


def weights(row, s):
    order, p = (y.numpy() for y in sample_top(row, s.top_k or 1, s.temperature or 1.0))
    kept = np.zeros(VOCABULARY, np.float32)
    kept[order] = p
    return keep(kept, order.tolist(), len(order), s.top_p)


@pytest.mark.parametrize("role", ["baseline", "kernel", "pytorch"])
@pytest.mark.parametrize("settings", SETTINGS)
def test_sample_top(speed, bench_gpu, settings, role):
    choices(speed, bench_gpu, f"sample_top, {settings}", role, SETTINGS[settings], weights, pytorch)
