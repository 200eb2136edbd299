"""`pytest milestones/m6/bench_matmul_q_matrix.py --benchmark-only`: products of 512 tokens; the baseline is matmul_q."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from milestones.m6.matmul_q import MatmulQ
from milestones.m6.matmul_q_matrix import MatmulQMatrix
from tests.benches import FFN, WIDTH, drawn, packed
from tests.plugin.speed import Run

SHAPES = {"gate": (512, FFN, WIDTH), "down": (512, WIDTH, FFN), "gate of 64": (64, FFN, WIDTH)}


@pytest.mark.parametrize("role", ["baseline", "kernel", "kernel f16", "pytorch"])
@pytest.mark.parametrize("shape", SHAPES)
def test_matmul_q_matrix(ladder, bench_gpu, shape, role):
    (m, n, k), gpu = SHAPES[shape], bench_gpu
    raw, floats = drawn("Q4_1", n, k)
    halves = np.random.default_rng(1).standard_normal((m, k), np.float32).astype(np.float16)
    x, there = halves.astype(np.float32), gpu.tensor(halves)
    on_device, weight, out, x_there = gpu.tensor(x), packed(gpu, "Q4_1", n, k), gpu.empty((m, n)), torch.from_numpy(x)
    lanes, matrix, moved = MatmulQ(gpu), MatmulQMatrix(gpu), raw.nbytes + x.nbytes + out.nbytes
    runs = {
        "baseline": Run(lambda: lanes(on_device, weight, out), [out], moved),
        "kernel": Run(lambda: matrix(on_device, weight, out), [out], moved),
        "kernel f16": Run(lambda: matrix(there, weight, out), [out], moved - halves.nbytes),
    }
    figures = {"nbytes": moved, "flops": 2 * m * n * k, "rounds": 7}
    ladder(role, f"matmul_q_matrix {shape}", runs, lambda: x_there @ floats.T, **figures)
