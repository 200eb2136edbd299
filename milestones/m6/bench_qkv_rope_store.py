"""`pytest milestones/m6/bench_qkv_rope_store.py --benchmark-only`: one token; the baseline is seven kernels of m2 and m4."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from milestones.m2.matmul import Matmul
from milestones.m2.rms_norm import RmsNorm
from milestones.m2.rope import Rope
from milestones.m4.kv_store import KvStore
from milestones.m5.repack import Repack, packed_size
from milestones.m6.qkv_rope_store import Qkv, QkvRopeStore
from reference.rope_store import rope_store
from tests.benches import EPS, HEADS, KV_HEADS, WIDTH, D, drawn, normed, prepared, vector
from tests.plugin.speed import Run

POSITION, BASE, ROOM, KIND = 300, 1e5, 1024, "Q4_1"
SIZES = (HEADS, KV_HEADS, KV_HEADS)


def weights(gpu):
    """q's, k's and v's rows in one tensor, as the kernel reads them."""
    shapes = [(n * D, WIDTH) for n in SIZES]
    data, first = gpu.empty((sum(packed_size(KIND, shape) for shape in shapes),), np.uint32), 0
    for seed, shape in enumerate(shapes):
        first += Repack(gpu)(gpu.tensor(drawn(KIND, *shape, seed)[0]), KIND, shape, data, first=first).tiles
    gpu.sync()
    return Qkv(data, KIND, WIDTH, HEADS, KV_HEADS, D)


@pytest.mark.parametrize("role", ["baseline", "kernel", "pytorch"])
def test_qkv_rope_store(ladder, bench_gpu, role):
    gpu, x, norm = bench_gpu, vector(WIDTH), vector(WIDTH, 2)
    floats = [drawn(KIND, n * D, WIDTH, seed)[1] for seed, n in enumerate(SIZES)]
    plain, row, scale = [gpu.tensor(w.numpy()) for w in floats], gpu.tensor(x[None]), gpu.tensor(norm)
    h, (q, k, v) = gpu.empty((1, WIDTH)), (gpu.empty((1, n, D)) for n in SIZES)
    keys, values = (gpu.empty((ROOM, KV_HEADS, D)) for _ in "kv")
    rms_norm, matmul, rope, store, fused = RmsNorm(gpu), Matmul(gpu), Rope(gpu), KvStore(gpu), QkvRopeStore(gpu)
    left, packed, state = prepared(gpu, x, norm, KIND), weights(gpu), gpu.tensor(np.uint32([5, POSITION]))
    query, turns, options = q.reshape(HEADS, D), rope.table(BASE, D), {"start": POSITION, "base": BASE}

    def naive():
        rms_norm(row, scale, h, eps=EPS)
        for weight, out in zip(plain, (q, k, v), strict=True):
            matmul(h, weight, out.reshape(1, out.size))
        rope(q, q, **options)
        store(rope(k, k, **options), v, keys, values, position=POSITION)

    def pytorch():
        y = normed(x_there, norm_there)
        qkv = torch.cat([w @ y for w in floats])[None]
        return rope_store(qkv, HEADS, KV_HEADS, D, position=POSITION, base=BASE, halves=False)

    def stored():
        tiles = keys.numpy().reshape(ROOM // 32, KV_HEADS, D, 32)
        return [q.numpy(), tiles[POSITION // 32, :, :, POSITION % 32].copy(), values.numpy()[POSITION]]

    x_there, norm_there, size = torch.from_numpy(x), torch.from_numpy(norm), sum(w.nbytes for w in plain)
    kernel = lambda: fused(left, packed, turns, state, query, keys, values, eps=EPS)  # noqa: E731
    plainly = lambda: [q.numpy(), keys.numpy()[POSITION], values.numpy()[POSITION]]  # noqa: E731
    runs = {
        "baseline": Run(naive, [h, q, k, v, keys, values], size, read=plainly),
        "kernel": Run(kernel, [q, keys, values], packed.data.nbytes, read=stored),
    }
    ladder(role, "qkv_rope_store", runs, pytorch, nbytes=size, flops=size / 2, atol=2e-4)
