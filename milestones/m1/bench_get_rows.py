"""`pytest milestones/m1/bench_get_rows.py --benchmark-only`: the embeddings of a token and of a prompt of 512."""

from __future__ import annotations

import numpy as np
import pytest

from milestones.m1.get_rows import GetRows


@pytest.mark.parametrize("role", ["baseline", "pytorch"])
@pytest.mark.parametrize("tokens", [1, 512])
def test_get_rows(versus, bench_gpu, tokens, role):
    rng = np.random.default_rng(1)
    table, ids = rng.standard_normal((49152, 576), np.float32), rng.integers(0, 49152, tokens)
    gpu, op = bench_gpu, GetRows(bench_gpu)
    on_device, out = [gpu.tensor(table), gpu.tensor(ids, np.uint32)], gpu.empty((tokens, 576))
    group, figures = f"get_rows {tokens}", {"nbytes": 2 * out.nbytes}
    versus(role, group, lambda: op(*on_device, out), out, lambda t, i: t[i], [table, ids], **figures)
