"""`pytest milestones/m6/bench_flash_prefill.py --benchmark-only`: a chunk of 512 tokens; the baseline is m4's kernel."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from milestones.m4.decode_attention import DecodeAttention
from milestones.m6.flash_prefill import FlashPrefill
from tests.benches import HEADS, KV_HEADS, D
from tests.packed import tiled
from tests.plugin.speed import Run

TOKENS = 512


@pytest.mark.parametrize("role", ["baseline", "kernel", "pytorch"])
@pytest.mark.parametrize("position", [0, 1536])
def test_flash_prefill(ladder, bench_gpu, position, role):
    gpu, rng, seen = bench_gpu, np.random.default_rng(1), position + TOKENS
    q, k, v = (rng.standard_normal(s, np.float32) for s in ((TOKENS, HEADS, D), (seen, KV_HEADS, D), (seen, KV_HEADS, D)))
    keys, plain, values, query = gpu.tensor(tiled(k).reshape(k.shape)), gpu.tensor(k), gpu.tensor(v), gpu.tensor(q)
    flash, attention, out = FlashPrefill(gpu), DecodeAttention(gpu), gpu.empty(q.shape)
    mask = torch.arange(seen)[None] <= position + torch.arange(TOKENS)[:, None]
    theirs = [torch.from_numpy(a).transpose(0, 1)[None] for a in (q, k, v)]
    sdpa = torch.nn.functional.scaled_dot_product_attention
    moved = 2 * q.nbytes + 2 * k.nbytes
    runs = {
        "baseline": Run(lambda: attention(query, plain, values, out, position=position), [out], moved),
        "kernel": Run(lambda: flash(query, keys, values, out, position=position), [out], moved),
    }
    pytorch = lambda: sdpa(*theirs, attn_mask=mask, enable_gqa=True)[0].transpose(0, 1).contiguous()  # noqa: E731
    figures = {"nbytes": moved, "flops": 4 * int(mask.sum()) * HEADS * D, "rounds": 5}
    ladder(role, f"flash_prefill 512 at {position}", runs, pytorch, **figures)
