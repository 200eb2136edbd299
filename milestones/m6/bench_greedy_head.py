"""`pytest milestones/m6/bench_greedy_head.py --benchmark-only`: one of 49,152; the baseline is m2's and m3's kernels."""

from __future__ import annotations

import pytest
import torch

from metal.tensor import UINT32
from milestones.m2.matmul import Matmul
from milestones.m2.rms_norm import RmsNorm
from milestones.m3.argmax import Argmax
from milestones.m6.greedy_head import GreedyHead
from milestones.m6.norm_head import NormHead
from milestones.m6.sampling import Chosen
from tests.benches import EPS, VOCABULARY, WIDTH, drawn, normed, packed, prepared, vector
from tests.plugin.speed import Run


@pytest.mark.parametrize("role", ["baseline", "norm_head, argmax", "kernel", "pytorch"])
@pytest.mark.parametrize("kind", ["Q4_1", "Q8_0"])
def test_greedy_head(ladder, bench_gpu, kind, role):
    gpu, (raw, floats), x, norm = bench_gpu, drawn(kind, VOCABULARY, WIDTH), vector(WIDTH), vector(WIDTH, 2)
    left, weight, logits = prepared(gpu, x, norm, kind), packed(gpu, kind, VOCABULARY, WIDTH), gpu.empty((1, VOCABULARY))
    plain, row, scale, h = gpu.tensor(floats.numpy()), gpu.tensor(x[None]), gpu.tensor(norm), gpu.empty((1, WIDTH))
    matmul, rms_norm, argmax, norm_head, greedy = Matmul(gpu), RmsNorm(gpu), Argmax(gpu), NormHead(gpu), GreedyHead(gpu)
    chosen, parts, winner = Chosen(gpu, 0), greedy.room(weight), gpu.empty((1,), UINT32)

    def naive():
        matmul(rms_norm(row, scale, h, eps=EPS), plain, logits)
        argmax(logits, winner)

    def apart():
        norm_head(left, weight, logits, eps=EPS)
        argmax(logits, winner)

    runs = {
        "baseline": Run(naive, [winner], plain.nbytes),
        "norm_head, argmax": Run(apart, [winner], raw.nbytes),
        "kernel": Run(
            lambda: greedy(left, weight, parts, chosen, eps=EPS), [chosen], raw.nbytes, read=lambda: [chosen.numpy()[:1]]
        ),
    }
    x_there, norm_there = torch.from_numpy(x), torch.from_numpy(norm)
    pytorch = lambda: (floats @ normed(x_there, norm_there)).argmax()[None]  # noqa: E731
    ladder(role, f"greedy_head {kind}", runs, pytorch, nbytes=plain.nbytes, flops=2 * VOCABULARY * WIDTH)
