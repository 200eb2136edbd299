"""`pytest milestones/m6/bench_flash_decode.py --benchmark-only`: one token over a cache; the baseline is m4's kernel."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from milestones.m4.bench_decode_attention import pytorch
from milestones.m4.decode_attention import DecodeAttention
from milestones.m6.flash_decode import FlashDecode
from milestones.m6.prepared import room
from tests.benches import HEADS, KV_HEADS, D
from tests.packed import tiled
from tests.plugin.speed import Run


@pytest.mark.parametrize("role", ["baseline", "kernel", "kernel f16", "pytorch"])
@pytest.mark.parametrize("context", [64, 1024, 4096])
def test_flash_decode(ladder, bench_gpu, context, role):
    gpu, rng = bench_gpu, np.random.default_rng(1)
    q = rng.standard_normal((HEADS, D), np.float32)
    k, v = (rng.standard_normal((context, KV_HEADS, D)).astype(np.float16) for _ in "kv")
    floats = [torch.from_numpy(a.astype(np.float32)) for a in (q[None], k, v)]
    dtype = np.dtype(np.float16 if role == "kernel f16" else np.float32)
    keys, values = gpu.tensor(tiled(k.astype(dtype)).reshape(k.shape)), gpu.tensor(v.astype(dtype))
    flash, attention, row = FlashDecode(gpu), DecodeAttention(gpu), gpu.tensor(q[None])
    pieces = 1 << ((context - 1) // flash.piece).bit_length()  # as the model takes
    parts, out, y = flash.room(HEADS, D, pieces), room(gpu, HEADS * D), gpu.empty((1, HEADS, D))
    state, query = gpu.tensor(np.uint32([0, context - 1])), row.reshape(HEADS, D)
    plain = [gpu.tensor(a.numpy()) for a in floats[1:]]
    fused = lambda: flash(query, keys, values, state, parts, out, nibbles=0)  # noqa: E731
    kernel = "kernel f16" if role == "kernel f16" else "kernel"
    runs = {
        "baseline": Run(lambda: attention(row, *plain, y, position=context - 1), [y], 8 * k.size),
        kernel: Run(fused, [parts, out], 2 * keys.nbytes, read=lambda: [out.numpy()]),
    }
    figures = {"nbytes": 8 * k.size, "flops": 4 * context * HEADS * D}
    ladder(role, f"flash_decode {context}", runs, lambda: pytorch(*floats), **figures)
