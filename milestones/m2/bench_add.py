"""`pytest milestones/m2/bench_add.py --benchmark-only`: a token, a prompt of 512."""

from __future__ import annotations

import numpy as np
import pytest

from milestones.m2.add import Add


@pytest.mark.parametrize("role", ["baseline", "pytorch"])
@pytest.mark.parametrize("tokens", [1, 512])
def test_add(versus, bench_gpu, tokens, role):
    rng = np.random.default_rng(1)
    arrays = [rng.standard_normal((tokens, 576), np.float32) for _ in range(2)]
    gpu, op = bench_gpu, Add(bench_gpu)
    on_device, out = [gpu.tensor(array) for array in arrays], gpu.empty(arrays[0].shape)
    group, figures = f"add {tokens} × 576", {"nbytes": 3 * out.nbytes, "flops": out.size}
    versus(role, group, lambda: op(*on_device, out), out, lambda a, b: a + b, arrays, **figures)
