"""`pytest milestones/m4/bench_decode_attention.py --benchmark-only`: one token over a cache, 9 query heads over 3 of 64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from milestones.m4.decode_attention import DecodeAttention


def pytorch(q, k, v):
    q, k, v = (t.transpose(0, 1)[None] for t in (q, k, v))
    return torch.nn.functional.scaled_dot_product_attention(q, k, v, enable_gqa=True)[0].transpose(0, 1)


@pytest.mark.parametrize("role", ["baseline", "pytorch"])
@pytest.mark.parametrize("context", [64, 1024, 4096])
def test_decode_attention(versus, bench_gpu, context, role):
    rng = np.random.default_rng(1)
    q, k, v = (rng.standard_normal(s, np.float32) for s in ((1, 9, 64), (context, 3, 64), (context, 3, 64)))
    gpu, op = bench_gpu, DecodeAttention(bench_gpu)
    on_device, out = [gpu.tensor(array) for array in (q, k, v)], gpu.empty(q.shape)
    kernel = lambda: op(*on_device, out, position=context - 1)  # noqa: E731
    group, figures = f"decode_attention {context}", {"nbytes": k.nbytes + v.nbytes, "flops": 4 * context * 9 * 64}
    versus(role, group, kernel, out, pytorch, [q, k, v], **figures)
