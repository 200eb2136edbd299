"""`pytest milestones/m6/bench_distinct.py --benchmark-only`: pieces of this source; the baseline is Python's dict."""

from __future__ import annotations

import numpy as np
import pytest

from milestones.m0.bench_tokenizer import source
from milestones.m0.pretokenize import pretokenize
from milestones.m6.distinct import Distinct
from reference.distinct import distinct


@pytest.mark.parametrize("role", ["baseline", "kernel"])
def test_distinct(speed, bench_gpu, role):
    gpu, op, found = bench_gpu, Distinct(bench_gpu), []
    pieces = [piece.encode() for piece in pretokenize(source(), "smollm")]
    whole, ends = b"".join(pieces), np.cumsum([0, *map(len, pieces)])
    text, offsets = gpu.tensor(np.frombuffer(whole + bytes(8 - len(whole) % 4), np.uint8)), gpu.tensor(ends, np.uint32)
    wanted = np.array(distinct(pieces))

    def kernel():
        found[:] = [op(text, offsets)]
        gpu.sync()

    def check():  # which of equal pieces stands for them is open: the first that it stands for must be the first of its like
        same = found[0].numpy()
        first = np.full(len(pieces), len(pieces))
        np.minimum.at(first, same, np.arange(len(pieces)))
        np.testing.assert_array_equal(first[same], wanted)

    group = f"distinct, {len(pieces)} pieces"
    if role == "kernel":
        speed(group, role, kernel, check=check, fresh=found.clear, nbytes=len(whole) + 8 * len(pieces))
    else:
        speed(group, role, lambda: distinct(pieces), nbytes=len(whole), rounds=5)
