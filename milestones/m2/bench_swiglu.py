"""`pytest milestones/m2/bench_swiglu.py --benchmark-only`: a token, a prompt of 512."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from milestones.m2.swiglu import SwiGlu


@pytest.mark.parametrize("role", ["baseline", "pytorch"])
@pytest.mark.parametrize("tokens", [1, 512])
def test_swiglu(versus, bench_gpu, tokens, role):
    rng = np.random.default_rng(1)
    arrays = [rng.standard_normal((tokens, 1536), np.float32) for _ in range(2)]
    gpu, op = bench_gpu, SwiGlu(bench_gpu)
    on_device, out = [gpu.tensor(array) for array in arrays], gpu.empty(arrays[0].shape)
    pytorch = lambda gate, up: torch.nn.functional.silu(gate) * up  # noqa: E731
    group, figures = f"swiglu {tokens} × 1536", {"nbytes": 3 * out.nbytes}
    versus(role, group, lambda: op(*on_device, out), out, pytorch, arrays, **figures)
