"""`pytest milestones/m6/bench_pretokenize.py --benchmark-only`: this source; the baseline is m0's `regex` on the host."""

from __future__ import annotations

import numpy as np
import pytest

from metal.tensor import poison
from milestones.m0.bench_tokenizer import source
from milestones.m0.pretokenize import pretokenize
from milestones.m6.pretokenize import Pretokenize


@pytest.mark.parametrize("role", ["baseline", "kernel"])
@pytest.mark.parametrize("kind", ["gpt-2", "smollm"])
def test_pretokenize(speed, bench_gpu, kind, role):
    text, cut, found = source(), Pretokenize(bench_gpu), []
    data = text.encode()
    lengths = [len(piece.encode()) for piece in pretokenize(text, kind)]

    def kernel():
        found[:] = [cut([data], digits=kind == "smollm")]

    def check():
        np.testing.assert_array_equal(np.flatnonzero(found[0].numpy()), np.cumsum([0, *lengths[:-1]]))

    def fresh():
        for tensor in found:
            poison(tensor)

    group = f"pretokenize, {kind}, {len(data) / 1e6:.1f} MB"
    if role == "kernel":
        speed(group, role, kernel, check=check, fresh=fresh, nbytes=len(data))
    else:
        speed(group, role, lambda: pretokenize(text, kind), nbytes=len(data), rounds=5)
