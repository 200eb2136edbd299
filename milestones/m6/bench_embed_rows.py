"""`pytest milestones/m6/bench_embed_rows.py --benchmark-only`: the rows of a prompt of 512; the baseline is m1's, of floats."""

from __future__ import annotations

import numpy as np
import pytest

from milestones.m1.get_rows import GetRows
from milestones.m6.embed_rows import EmbedRows
from tests.benches import VOCABULARY, WIDTH, drawn, packed
from tests.plugin.speed import Run


@pytest.mark.parametrize("role", ["baseline", "kernel", "pytorch"])
def test_embed_rows(ladder, bench_gpu, role):
    gpu, (raw, floats) = bench_gpu, drawn("Q8_0", VOCABULARY, WIDTH)
    ids = np.random.default_rng(1).integers(0, VOCABULARY, 512)
    table, plain = packed(gpu, "Q8_0", VOCABULARY, WIDTH), gpu.tensor(floats.numpy())
    on_device, out = gpu.tensor(ids, np.uint32), gpu.empty((512, WIDTH))
    get_rows, embed = GetRows(gpu), EmbedRows(gpu)
    runs = {
        "baseline": Run(lambda: get_rows(plain, on_device, out), [out], 2 * out.nbytes),
        "kernel": Run(lambda: embed(table, ids.tolist(), out), [out], 512 * raw.nbytes / VOCABULARY + out.nbytes),
    }
    ladder(role, "embed_rows 512", runs, lambda: floats[ids], nbytes=2 * out.nbytes)
