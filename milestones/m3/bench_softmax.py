"""`pytest milestones/m3/bench_softmax.py --benchmark-only`: one row of a vocabulary, many short ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from milestones.m3.softmax import Softmax


@pytest.mark.parametrize("role", ["baseline", "pytorch"])
@pytest.mark.parametrize("shape", [(1, 49152), (512, 512)], ids=["vocabulary", "rows"])
def test_softmax(versus, bench_gpu, shape, role):
    x = np.random.default_rng(1).standard_normal(shape, np.float32) * 5
    gpu, op = bench_gpu, Softmax(bench_gpu)
    on_device, out = gpu.tensor(x), gpu.empty(shape)
    group, figures = f"softmax {shape[0]} × {shape[1]}", {"nbytes": 2 * x.nbytes}
    versus(role, group, lambda: op(on_device, out), out, lambda a: torch.softmax(a, -1), [x], **figures)
