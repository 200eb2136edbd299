"""`pytest milestones/m6/bench_tokenizer.py --benchmark-only`: this repository's source; the baseline is m0's tokenizer."""

from __future__ import annotations

import pytest

from milestones.m0.bench_tokenizer import timed
from milestones.m0.tokenizer import Tokenizer
from milestones.m6.tokenizer import FastTokenizer


@pytest.mark.parametrize("role", ["baseline", "kernel", "tiktoken"])
def test_tokenize(speed, bench_gpu, role):
    timed(speed, bench_gpu, role, FastTokenizer if role == "kernel" else Tokenizer, "FastTokenizer")
