"""`pytest milestones/m2/bench_attention.py --benchmark-only`: 9 query heads over 3 key/value heads of 64, causal."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from milestones.m2.attention import Attention


def pytorch(q, k, v):
    q, k, v = (t.transpose(0, 1)[None] for t in (q, k, v))
    return torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)[0].transpose(0, 1)


@pytest.mark.parametrize("role", ["baseline", "pytorch"])
@pytest.mark.parametrize("tokens", [32, 256])
def test_attention(versus, bench_gpu, tokens, role):
    rng = np.random.default_rng(1)
    arrays = [rng.standard_normal((tokens, heads, 64), np.float32) for heads in (9, 3, 3)]
    gpu, op = bench_gpu, Attention(bench_gpu)
    on_device, out = [gpu.tensor(array) for array in arrays], gpu.empty(arrays[0].shape)
    figures = {"nbytes": sum(a.nbytes for a in arrays) + out.nbytes, "flops": 2 * tokens * (tokens + 1) * 9 * 64}
    versus(role, f"attention {tokens} tokens", lambda: op(*on_device, out), out, pytorch, arrays, **figures)
