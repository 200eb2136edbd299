"""`pytest milestones/m6/bench_norm_head.py --benchmark-only`: norm and 49,152 logits; the baseline is m2's two kernels."""

from __future__ import annotations

import pytest
import torch

from milestones.m2.matmul import Matmul
from milestones.m2.rms_norm import RmsNorm
from milestones.m6.norm_head import NormHead
from tests.benches import EPS, VOCABULARY, WIDTH, drawn, normed, packed, prepared, vector
from tests.plugin.speed import Run


@pytest.mark.parametrize("role", ["baseline", "kernel", "pytorch"])
@pytest.mark.parametrize("kind", ["Q4_1", "Q8_0"])
def test_norm_head(ladder, bench_gpu, kind, role):
    gpu, (raw, floats), x, norm = bench_gpu, drawn(kind, VOCABULARY, WIDTH), vector(WIDTH), vector(WIDTH, 2)
    left, weight, logits = prepared(gpu, x, norm, kind), packed(gpu, kind, VOCABULARY, WIDTH), gpu.empty((1, VOCABULARY))
    plain, row, scale, h = gpu.tensor(floats.numpy()), gpu.tensor(x[None]), gpu.tensor(norm), gpu.empty((1, WIDTH))
    norm_head, matmul, rms_norm = NormHead(gpu), Matmul(gpu), RmsNorm(gpu)
    runs = {
        "baseline": Run(lambda: matmul(rms_norm(row, scale, h, eps=EPS), plain, logits), [logits], plain.nbytes),
        "kernel": Run(lambda: norm_head(left, weight, logits, eps=EPS), [logits], raw.nbytes),
    }
    x_there, norm_there = torch.from_numpy(x), torch.from_numpy(norm)
    pytorch = lambda: floats @ normed(x_there, norm_there)  # noqa: E731
    ladder(role, f"norm_head {kind}", runs, pytorch, nbytes=plain.nbytes, flops=2 * VOCABULARY * WIDTH)
