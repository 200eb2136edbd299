"""`pytest milestones/m6/bench_rope_store.py --benchmark-only`: 512 tokens; the baseline is three kernels of m2 and m4."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from milestones.m2.rope import Rope
from milestones.m4.kv_store import KvStore
from milestones.m6.rope_store import RopeStore
from reference.rope_store import rope_store
from tests.benches import HEADS, KV_HEADS, D
from tests.plugin.speed import Run

TOKENS, POSITION, BASE, ROOM = 512, 96, 1e5, 1024


def stored(k, v):
    """The new rows of a cache whose keys lie 32 rows together, row after row."""
    tiles = k.numpy().reshape(ROOM // 32, KV_HEADS, D, 32).transpose(0, 3, 1, 2).reshape(ROOM, KV_HEADS, D)
    return [rows[POSITION : POSITION + TOKENS] for rows in (tiles, v.numpy())]


@pytest.mark.parametrize("role", ["baseline", "kernel", "pytorch"])
def test_rope_store(ladder, bench_gpu, role):
    gpu = bench_gpu
    qkv = np.random.default_rng(1).standard_normal((TOKENS, (HEADS + 2 * KV_HEADS) * D), np.float32)
    wide, narrow = HEADS * D, KV_HEADS * D
    parts = [np.ascontiguousarray(part).reshape(TOKENS, -1, D) for part in np.split(qkv, [wide, wide + narrow], axis=1)]
    rope, store, fused, there = Rope(gpu), KvStore(gpu), RopeStore(gpu), gpu.tensor(qkv)
    (q, k, v), turned = (gpu.tensor(part) for part in parts), gpu.empty((TOKENS, KV_HEADS, D))
    out, keys, values = gpu.empty((TOKENS, HEADS, D)), *(gpu.empty((ROOM, KV_HEADS, D)) for _ in "kv")

    def naive():
        rope(q, out, start=POSITION, base=BASE)
        store(rope(k, turned, start=POSITION, base=BASE), v, keys, values, position=POSITION)

    kernel = lambda: fused(there, rope.table(BASE, D), out, keys, values, position=POSITION, halves=False)  # noqa: E731
    plain = lambda: [a.numpy()[POSITION : POSITION + TOKENS] for a in (keys, values)]  # noqa: E731
    written = [out, turned, keys, values]
    runs = {
        "baseline": Run(naive, written, 2 * qkv.nbytes, read=lambda: [out.numpy(), *plain()]),
        "kernel": Run(kernel, [out, keys, values], 2 * qkv.nbytes, read=lambda: [out.numpy(), *stored(keys, values)]),
    }
    theirs = torch.from_numpy(qkv)
    pytorch = lambda: rope_store(theirs, HEADS, KV_HEADS, D, position=POSITION, base=BASE, halves=False)  # noqa: E731
    ladder(role, "rope_store 512", runs, lambda: [y.contiguous() for y in pytorch()], nbytes=2 * qkv.nbytes, atol=2e-4)
