"""`pytest milestones/m1/bench_dequantize.py --benchmark-only`: a matrix of 1536 × 576, beside the gguf package's NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from gguf import GGMLQuantizationType, quants

from metal.tensor import poison
from milestones.m1.dequantize import Dequantize

SHAPE = (1536, 576)


@pytest.mark.parametrize("role", ["baseline", "gguf (NumPy)"])
@pytest.mark.parametrize("kind", ["Q8_0", "Q4_1"])
def test_dequantize(speed, bench_gpu, kind, role):
    theirs = GGMLQuantizationType[kind]
    raw = quants.quantize(np.random.default_rng(1).standard_normal(SHAPE, np.float32), theirs)
    gpu, op, expected = bench_gpu, Dequantize(bench_gpu), quants.dequantize(raw, theirs)
    on_device, out = gpu.tensor(raw.reshape(-1)), gpu.empty(SHAPE)

    def kernel():
        op(on_device, kind, SHAPE, out)
        gpu.sync()

    figures = {"nbytes": raw.nbytes + out.nbytes}
    if role != "baseline":
        speed(f"dequantize {kind}", role, lambda: quants.dequantize(raw, theirs), **figures)
    else:
        check = lambda: np.testing.assert_array_equal(out.numpy(), expected)  # noqa: E731
        speed(f"dequantize {kind}", role, kernel, check=check, fresh=lambda: poison(out), **figures)
