"""`pytest milestones/m1/bench_dequantize.py --benchmark-only`: a matrix of 1536 × 576, beside the gguf package's NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from gguf import GGMLQuantizationType, quants

from milestones.m1.dequantize import Dequantize
from tests.plugin.speed import Run

SHAPE = (1536, 576)


@pytest.mark.parametrize("role", ["baseline", "gguf (NumPy)"])
@pytest.mark.parametrize("kind", ["Q8_0", "Q4_1"])
def test_dequantize(ladder, bench_gpu, kind, role):
    theirs = GGMLQuantizationType[kind]
    raw = quants.quantize(np.random.default_rng(1).standard_normal(SHAPE, np.float32), theirs)
    gpu, op = bench_gpu, Dequantize(bench_gpu)
    on_device, out = gpu.tensor(raw.reshape(-1)), gpu.empty(SHAPE)
    nbytes = raw.nbytes + out.nbytes
    runs = {"baseline": Run(lambda: op(on_device, kind, SHAPE, out), [out], nbytes)}
    ladder(role, f"dequantize {kind}", runs, lambda: quants.dequantize(raw, theirs), nbytes=nbytes, rtol=0, atol=0)
