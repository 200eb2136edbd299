"""`pytest milestones/m6/bench_embed_token.py --benchmark-only`: a token's row, prepared; the baseline is m1's row of floats."""

from __future__ import annotations

import numpy as np
import pytest

from milestones.m1.get_rows import GetRows
from milestones.m6.embed_token import EmbedToken
from milestones.m6.prepared import room
from tests.benches import VOCABULARY, WIDTH, drawn, packed, vector
from tests.plugin.speed import Run


@pytest.mark.parametrize("role", ["baseline", "kernel", "pytorch"])
def test_embed_token(ladder, bench_gpu, role):
    gpu, token, (raw, floats) = bench_gpu, 31007, drawn("Q8_0", VOCABULARY, WIDTH)
    x, plain, out, norm = gpu.empty((WIDTH,)), gpu.empty((1, WIDTH)), room(gpu, WIDTH), gpu.tensor(vector(WIDTH))
    state, ids = gpu.tensor(np.uint32([token, 7])), gpu.tensor(np.uint32([token]))
    table, floats_there = packed(gpu, "Q8_0", VOCABULARY, WIDTH), gpu.tensor(floats.numpy())
    get_rows, embed = GetRows(gpu), EmbedToken(gpu)
    runs = {
        "baseline": Run(lambda: get_rows(floats_there, ids, plain), [plain], 2 * x.nbytes),
        "kernel": Run(
            lambda: embed(table, state, norm, x, out, nibbles=0), [x, out], raw.nbytes / VOCABULARY + 3 * x.nbytes,
            read=lambda: [x.numpy()],
        ),
    }  # fmt: skip
    ladder(role, "embed_token", runs, lambda: floats[token], nbytes=2 * x.nbytes)
