"""`pytest milestones/m6/bench_matmul_q.py --benchmark-only`: products of 512 tokens; the baseline is m2's, of floats."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from milestones.m2.matmul import Matmul
from milestones.m6.matmul_q import MatmulQ
from tests.benches import FFN, WIDTH, drawn, packed
from tests.plugin.speed import Run

SHAPES = {"gate": (512, FFN, WIDTH), "down": (512, WIDTH, FFN), "gate of 64": (64, FFN, WIDTH)}


@pytest.mark.parametrize("role", ["baseline", "Q4_1", "Q4_1 f16", "Q8_0", "pytorch"])
@pytest.mark.parametrize("shape", SHAPES)
def test_matmul_q(ladder, bench_gpu, shape, role):
    (m, n, k), kind = SHAPES[shape], role[:4] if role.startswith("Q") else "Q4_1"
    gpu, (raw, floats) = bench_gpu, drawn(kind, n, k)
    halves = np.random.default_rng(1).standard_normal((m, k), np.float32).astype(np.float16)
    x = halves.astype(np.float32)
    there, on_device, plain = (gpu.tensor(a) for a in (halves, x, floats.numpy()))
    weight, out = packed(gpu, kind, n, k), gpu.empty((m, n))
    matmul_q, matmul, x_there = MatmulQ(gpu), Matmul(gpu), torch.from_numpy(x)
    moved = x.nbytes + out.nbytes
    runs = {
        "baseline": Run(lambda: matmul(on_device, plain, out), [out], plain.nbytes + moved),
        kind: Run(lambda: matmul_q(on_device, weight, out), [out], raw.nbytes + moved),
        f"{kind} f16": Run(lambda: matmul_q(there, weight, out), [out], raw.nbytes + moved - halves.nbytes),
    }
    figures = {"nbytes": plain.nbytes + moved, "flops": 2 * m * n * k, "rounds": 7}
    ladder(role, f"matmul_q {shape}", runs, lambda: x_there @ floats.T, **figures)
