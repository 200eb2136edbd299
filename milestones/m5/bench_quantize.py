"""`pytest milestones/m5/bench_quantize.py --benchmark-only`: a matrix of 1536 × 576, beside the gguf package's NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from gguf import GGMLQuantizationType, quants

from milestones.m5.quantize import BYTES, Quantize
from tests.benches import FFN, WIDTH
from tests.plugin.speed import Run


@pytest.mark.parametrize("role", ["baseline", "gguf (NumPy)"])
@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0", "Q5_1"])
def test_quantize(ladder, bench_gpu, kind, role):
    x, theirs = np.random.default_rng(1).standard_normal((FFN, WIDTH), np.float32), GGMLQuantizationType[kind]
    gpu, op = bench_gpu, Quantize(bench_gpu)
    on_device, out = gpu.tensor(x), gpu.empty((x.size // 32 * BYTES[kind],), np.uint8)
    figures = {"nbytes": x.nbytes + out.nbytes, "rtol": 0, "atol": 0, "rounds": 7}
    runs = {"baseline": Run(lambda: op(on_device, kind, out), [out], x.nbytes + out.nbytes)}
    ladder(role, f"quantize {kind}", runs, lambda: quants.quantize(x, theirs), **figures)
