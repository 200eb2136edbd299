"""`pytest milestones/m6/bench_norm_half.py --benchmark-only`: 128 tokens and 512; the baseline is m2's norm of floats."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from milestones.m2.rms_norm import RmsNorm
from milestones.m6.norm_half import NormHalf
from tests.benches import EPS, WIDTH, normed
from tests.plugin.speed import Run


@pytest.mark.parametrize("role", ["baseline", "kernel", "pytorch"])
@pytest.mark.parametrize("tokens", [128, 512])
def test_norm_half(ladder, bench_gpu, tokens, role):
    gpu, rng = bench_gpu, np.random.default_rng(1)
    x, weight = rng.standard_normal((tokens, WIDTH), np.float32), rng.standard_normal(WIDTH, np.float32)
    on_device, norm, floats, halves = gpu.tensor(x), gpu.tensor(weight), gpu.empty(x.shape), gpu.empty(x.shape, np.float16)
    rms_norm, norm_half, theirs = RmsNorm(gpu), NormHalf(gpu), [torch.from_numpy(a) for a in (x, weight)]
    runs = {
        "baseline": Run(lambda: rms_norm(on_device, norm, floats, eps=EPS), [floats], 2 * x.nbytes),
        "kernel": Run(lambda: norm_half(on_device, norm, halves, eps=EPS), [halves], 1.5 * x.nbytes),
    }
    figures = {"nbytes": 1.5 * x.nbytes, "flops": 4 * x.size, "rtol": 1e-3, "atol": 1e-5}
    ladder(role, f"norm_half {tokens} × {WIDTH}", runs, lambda: normed(*theirs).half(), **figures)
