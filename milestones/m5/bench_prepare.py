"""`pytest milestones/m5/bench_prepare.py --benchmark-only`: what stands before a product: a dispatch, more than its work."""

from __future__ import annotations

import pytest
import torch

from milestones.m5.prepare import Prepare, Prepared
from reference.prepare import prepare
from tests.benches import FFN, WIDTH, vector
from tests.plugin.speed import Run


@pytest.mark.parametrize("role", ["baseline", "pytorch"])
@pytest.mark.parametrize("k", [WIDTH, FFN])
def test_prepare(ladder, bench_gpu, k, role):
    gpu, op, x = bench_gpu, Prepare(bench_gpu), vector(k)
    on_device, out, theirs = gpu.tensor(x), Prepared(gpu.empty((k,)), gpu.empty((k // 32,))), torch.from_numpy(x)
    runs = {"baseline": Run(lambda: op(on_device, "Q4_1", out), out, 2 * x.nbytes)}
    ladder(role, f"prepare {k}", runs, lambda: prepare(theirs, True), nbytes=2 * x.nbytes)
