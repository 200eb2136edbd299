"""`pytest milestones/m3/bench_argsort.py --benchmark-only`: the logits of a vocabulary, in falling order."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from milestones.m3.argsort import Argsort


@pytest.mark.parametrize("role", ["baseline", "pytorch"])
def test_argsort(speed, bench_gpu, role):
    x = np.random.default_rng(1).standard_normal((1, 49152), np.float32)
    gpu, op, y = bench_gpu, Argsort(bench_gpu), torch.from_numpy(x)
    on_device, out, scratch = gpu.tensor(x), gpu.empty(x.shape, np.uint32), gpu.empty(x.shape, np.uint32)

    def kernel():
        op(on_device, out, scratch)
        gpu.sync()

    def check():
        np.testing.assert_array_equal(out.numpy(), np.argsort(-x, kind="stable"))

    if role == "pytorch":
        speed("argsort 1 × 49152", role, lambda: torch.argsort(y, descending=True, stable=True))
    else:
        speed("argsort 1 × 49152", role, kernel, check=check, fresh=lambda: out.numpy().fill(7))
