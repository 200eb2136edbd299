"""`pytest milestones/m5/bench_matvec_q.py --benchmark-only`: a token's products; the baseline is m2's product of floats."""

from __future__ import annotations

import pytest
import torch

from milestones.m2.matmul import Matmul
from milestones.m5.matvec_q import KINDS, MatvecQ
from tests.benches import FFN, VOCABULARY, WIDTH, drawn, packed, vector
from tests.plugin.speed import Run

SHAPES = {"gate": (FFN, WIDTH), "down": (WIDTH, FFN), "head": (VOCABULARY, WIDTH)}


@pytest.mark.parametrize("role", ["baseline", *KINDS, "pytorch"])
@pytest.mark.parametrize("shape", SHAPES)
def test_matvec_q(ladder, bench_gpu, shape, role):
    (n, k), kind = SHAPES[shape], role if role in KINDS else "Q4_1"
    gpu, (raw, floats), x = bench_gpu, drawn(kind, n, k), vector(k)
    on_device, row, plain, y = gpu.tensor(x), gpu.tensor(x[None]), gpu.tensor(floats.numpy()), gpu.empty((1, n))
    matvec, matmul, weight, x_there = MatvecQ(gpu), Matmul(gpu), packed(gpu, kind, n, k), torch.from_numpy(x)
    runs = {
        "baseline": Run(lambda: matmul(row, plain, y), [y], plain.nbytes),
        kind: Run(lambda: matvec(on_device, weight, y.reshape(n)), [y], raw.nbytes),
    }
    ladder(role, f"matvec_q {shape}", runs, lambda: floats @ x_there, nbytes=plain.nbytes, flops=2 * n * k)
