"""`pytest milestones/m6/bench_gate_up_swiglu.py --benchmark-only`: one hidden layer; the baseline is m2's four kernels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from milestones.m2.matmul import Matmul
from milestones.m2.rms_norm import RmsNorm
from milestones.m2.swiglu import SwiGlu
from milestones.m5.repack import Repack, packed_size
from milestones.m6.gate_up_swiglu import GateUpSwiglu
from milestones.m6.prepared import room
from tests.benches import EPS, FFN, WIDTH, drawn, normed, prepared, vector
from tests.plugin.speed import Run


@pytest.mark.parametrize("role", ["baseline", "kernel", "pytorch"])
@pytest.mark.parametrize("kind", ["Q4_1", "Q8_0"])
def test_gate_up_swiglu(ladder, bench_gpu, kind, role):
    gpu, weights, shape = bench_gpu, [drawn(kind, FFN, WIDTH, seed) for seed in (3, 4)], (FFN, WIDTH)
    x, norm = vector(WIDTH), vector(WIDTH, 2)
    both, repack = gpu.empty((2 * packed_size(kind, shape),), np.uint32), Repack(gpu)
    gate, up = (repack(gpu.tensor(raw), kind, shape, both, first=i, step=2) for i, (raw, _) in enumerate(weights))
    left, out = prepared(gpu, x, norm, kind), room(gpu, FFN)
    row, scale, h, (a, b) = gpu.tensor(x[None]), gpu.tensor(norm), gpu.empty((1, WIDTH)), (gpu.empty((1, FFN)) for _ in "ab")
    plain = [gpu.tensor(floats.numpy()) for _, floats in weights]
    hidden, rms_norm, matmul, swiglu = GateUpSwiglu(gpu), RmsNorm(gpu), Matmul(gpu), SwiGlu(gpu)

    def naive():
        rms_norm(row, scale, h, eps=EPS)
        swiglu(matmul(h, plain[0], a), matmul(h, plain[1], b), a)

    def pytorch():
        y = normed(x_there, norm_there)
        return torch.nn.functional.silu(weights[0][1] @ y) * (weights[1][1] @ y)

    x_there, norm_there, floats = torch.from_numpy(x), torch.from_numpy(norm), 2 * plain[0].nbytes
    runs = {
        "baseline": Run(naive, [h, a, b], floats, read=lambda: [a.numpy()]),
        "kernel": Run(lambda: hidden(left, gate, up, out, eps=EPS, nibbles=0), [out], both.nbytes),
    }
    ladder(role, f"gate_up_swiglu {kind}", runs, pytorch, nbytes=floats, flops=4 * FFN * WIDTH)
