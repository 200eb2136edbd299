"""`pytest milestones/m2/bench_matmul.py --benchmark-only`: the shapes of SmolLM2-135M, one token and a prompt."""

from __future__ import annotations

import numpy as np
import pytest

from milestones.m2.matmul import Matmul

SHAPES = {"decode gate": (1, 576, 1536), "prefill gate": (128, 576, 1536), "decode head": (1, 576, 49152)}


@pytest.mark.parametrize("role", ["baseline", "pytorch"])
@pytest.mark.parametrize("shape", SHAPES)
def test_matmul(versus, bench_gpu, shape, role):
    tokens, width, rows = SHAPES[shape]
    rng = np.random.default_rng(1)
    x, weight = (rng.standard_normal(s, np.float32) for s in ((tokens, width), (rows, width)))
    gpu, op = bench_gpu, Matmul(bench_gpu)
    on_device, out = [gpu.tensor(x), gpu.tensor(weight)], gpu.empty((tokens, rows))
    figures = {"nbytes": x.nbytes + weight.nbytes + out.nbytes, "flops": 2 * tokens * width * rows}
    versus(
        role,
        f"matmul {shape}",
        lambda: op(*on_device, out),
        out,
        lambda a, b: a @ b.T,
        [x, weight],
        atol=1e-4,
        **figures,
    )
