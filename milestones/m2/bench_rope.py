"""`pytest milestones/m2/bench_rope.py --benchmark-only`: 9 heads of 64, a token, a prompt of 512."""

from __future__ import annotations

import numpy as np
import pytest

from milestones.m2.rope import Rope
from reference.rope import rope


@pytest.mark.parametrize("role", ["baseline", "pytorch"])
@pytest.mark.parametrize("tokens", [1, 512])
def test_rope(versus, bench_gpu, tokens, role):
    x = np.random.default_rng(1).standard_normal((tokens, 9, 64), np.float32)
    gpu, op = bench_gpu, Rope(bench_gpu)
    on_device, out = gpu.tensor(x), gpu.empty(x.shape)
    kernel = lambda: op(on_device, out, start=7, base=1e5)  # noqa: E731
    group, figures = f"rope {tokens} tokens", {"nbytes": 2 * x.nbytes, "flops": 3 * x.size}
    versus(role, group, kernel, out, lambda a: rope(a, 7, 1e5), [x], atol=2e-4, **figures)
