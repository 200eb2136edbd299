"""`pytest milestones/m6/bench_project_add.py --benchmark-only`: both places in a block; the baseline is three kernels of m2."""

from __future__ import annotations

import pytest
import torch

from milestones.m2.add import Add
from milestones.m2.matmul import Matmul
from milestones.m2.rms_norm import RmsNorm
from milestones.m6.prepared import room
from milestones.m6.project_add import ProjectAdd
from tests.benches import EPS, FFN, WIDTH, drawn, normed, packed, prepared, vector
from tests.plugin.speed import Run


@pytest.mark.parametrize("role", ["baseline", "kernel", "pytorch"])
@pytest.mark.parametrize("k", [WIDTH, FFN])
def test_project_add(ladder, bench_gpu, k, role):
    gpu, (raw, floats), y, x, norm = bench_gpu, drawn("Q4_1", WIDTH, k), vector(k), vector(WIDTH, 2), vector(WIDTH, 3)
    ones = vector(k) * 0 + 1
    left, weight, out, scale = prepared(gpu, y, ones, "Q4_1"), packed(gpu, "Q4_1", WIDTH, k), room(gpu, WIDTH), gpu.tensor(norm)
    stream, plain, row = gpu.empty((1, WIDTH)), gpu.tensor(floats.numpy()), gpu.tensor(y[None])
    product, h = gpu.empty((1, WIDTH)), gpu.empty((1, WIDTH))
    project, matmul, add, rms_norm = ProjectAdd(gpu), Matmul(gpu), Add(gpu), RmsNorm(gpu)

    def ready():
        stream.numpy()[:] = x

    def naive():
        rms_norm(add(stream, matmul(row, plain, product), stream), scale, h, eps=EPS)

    fused = lambda: project(left, weight, scale, stream.reshape(WIDTH), out, nibbles=0)  # noqa: E731
    y_there, x_there, norm_there = (torch.from_numpy(a) for a in (y, x, norm))
    # The norm's factor is the next kernel's work there, and its result is compared without it.
    both = lambda: (new := x_there + floats @ y_there, normed(new, norm_there))  # noqa: E731
    runs = {
        "baseline": Run(naive, [stream, h], plain.nbytes, ready),
        "kernel": Run(fused, [stream, out], raw.nbytes, ready, lambda: [stream.numpy(), factored(out.numpy())]),
    }
    ladder(role, f"project_add {WIDTH} × {k}", runs, both, nbytes=plain.nbytes, flops=2 * WIDTH * k)


def factored(out):
    """What was left, with the norm's factor of its squares."""
    return out[:WIDTH] / (out[WIDTH + WIDTH // 32 :].sum() / WIDTH + EPS) ** 0.5
