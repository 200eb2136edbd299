"""`pytest milestones/m2/bench_rms_norm.py --benchmark-only`: a token, a prompt of 512."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from milestones.m2.rms_norm import RmsNorm


@pytest.mark.parametrize("role", ["baseline", "pytorch"])
@pytest.mark.parametrize("tokens", [1, 512])
def test_rms_norm(versus, bench_gpu, tokens, role):
    rng = np.random.default_rng(1)
    x, weight = (rng.standard_normal(s, np.float32) for s in ((tokens, 576), (576,)))
    gpu, op = bench_gpu, RmsNorm(bench_gpu)
    on_device, out = [gpu.tensor(x), gpu.tensor(weight)], gpu.empty(x.shape)
    pytorch = lambda a, b: torch.nn.functional.rms_norm(a, (576,), b, 1e-5)  # noqa: E731
    group, figures = f"rms_norm {tokens} × 576", {"nbytes": 2 * x.nbytes + weight.nbytes, "flops": 4 * x.size}
    versus(role, group, lambda: op(*on_device, out, eps=1e-5), out, pytorch, [x, weight], **figures)
