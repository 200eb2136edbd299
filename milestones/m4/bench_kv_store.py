"""`pytest milestones/m4/bench_kv_store.py --benchmark-only`: the rows of a token and of a prompt of 512, 3 heads of 64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from milestones.m4.kv_store import KvStore


@pytest.mark.parametrize("role", ["baseline", "pytorch"])
@pytest.mark.parametrize("tokens", [1, 512])
def test_kv_store(speed, bench_gpu, tokens, role):
    rng = np.random.default_rng(1)
    k, v = (rng.standard_normal((tokens, 3, 64), np.float32) for _ in range(2))
    gpu, op = bench_gpu, KvStore(bench_gpu)
    rows, caches = [gpu.tensor(k), gpu.tensor(v)], [gpu.empty((1024, 3, 64)) for _ in range(2)]
    theirs, into = [torch.from_numpy(k), torch.from_numpy(v)], [torch.zeros(1024, 3, 64) for _ in range(2)]

    def kernel():
        op(*rows, *caches, position=300)
        gpu.sync()

    def pytorch():
        for cache, new in zip(into, theirs, strict=True):
            cache[300 : 300 + tokens] = new

    def check():
        for cache, new in zip(caches, (k, v), strict=True):
            np.testing.assert_array_equal(cache.numpy()[300 : 300 + tokens], new)

    def fresh():
        for cache in caches:
            cache.numpy().fill(np.nan)

    figures = {"nbytes": 4 * k.nbytes}
    if role == "pytorch":
        speed(f"kv_store {tokens} rows", role, pytorch, **figures)
    else:
        speed(f"kv_store {tokens} rows", role, kernel, check=check, fresh=fresh, **figures)
