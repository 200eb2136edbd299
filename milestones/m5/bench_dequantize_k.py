"""`pytest milestones/m5/bench_dequantize_k.py --benchmark-only`: a matrix of 1536 × 768, beside the gguf package's NumPy."""

from __future__ import annotations

import pytest
from gguf import GGMLQuantizationType, quants

from milestones.m5.dequantize_k import K_KINDS, DequantizeK
from milestones.m5.test_dequantize_k import some_bytes
from tests.plugin.speed import Run

SHAPE = (1536, 768)


@pytest.mark.parametrize("role", ["baseline", "gguf (NumPy)"])
@pytest.mark.parametrize("kind", ["Q5_0", "Q4_K", "Q6_K"])
def test_dequantize_k(ladder, bench_gpu, kind, role):
    gpu, op, theirs = bench_gpu, DequantizeK(bench_gpu), GGMLQuantizationType[kind]
    raw = some_bytes(1, kind, SHAPE[0] * SHAPE[1] // K_KINDS[kind][0])
    on_device, out = gpu.tensor(raw), gpu.empty(SHAPE)
    figures = {"nbytes": raw.nbytes + out.nbytes, "rtol": 0, "atol": 0, "rounds": 7}
    runs = {"baseline": Run(lambda: op(on_device, kind, SHAPE, out), [out], figures["nbytes"])}
    ladder(role, f"dequantize_k {kind}", runs, lambda: quants.dequantize(raw, theirs), **figures)
