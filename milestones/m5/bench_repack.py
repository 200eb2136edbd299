"""`pytest milestones/m5/bench_repack.py --benchmark-only`: a matrix of 1536 × 576, at load; beside PyTorch's moves."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from milestones.m5.repack import LAYOUT, Repack, packed_size
from reference.repack import repack
from tests.benches import FFN, WIDTH, drawn
from tests.plugin.speed import Run


@pytest.mark.parametrize("role", ["baseline", "pytorch"])
@pytest.mark.parametrize("kind", ["Q4_1", "Q8_0"])
def test_repack(ladder, bench_gpu, kind, role):
    gpu, op, (raw, _), shape = bench_gpu, Repack(bench_gpu), drawn(kind, FFN, WIDTH), (FFN, WIDTH)
    on_device, out, theirs = gpu.tensor(raw), gpu.empty((packed_size(kind, shape),), np.uint32), torch.from_numpy(raw)
    read = lambda: [out.numpy().view(np.uint8)]  # noqa: E731
    runs = {"baseline": Run(lambda: op(on_device, kind, shape, out), [out], 2 * raw.nbytes, read=read)}
    pytorch = lambda: repack(theirs, (FFN, WIDTH // 32), *LAYOUT[kind][1:]).contiguous()  # noqa: E731
    ladder(role, f"repack {kind}", runs, pytorch, nbytes=2 * raw.nbytes, rtol=0, atol=0)
