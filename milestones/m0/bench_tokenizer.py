"""`pytest milestones/m0/bench_tokenizer.py --benchmark-only`: this repository's own source, beside tiktoken on one thread."""

from __future__ import annotations

from pathlib import Path

import pytest

from milestones.m0.golden import vocabularies
from milestones.m0.tokenizer import Tokenizer

ROOT = Path(__file__).parent.parent.parent
SIZE = 400_000  # bytes


@pytest.mark.parametrize("role", ["baseline", "tiktoken"])
def test_tokenize(speed, bench_gpu, role):
    source = "\n".join(path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("milestones/**/*.py")))[:SIZE]
    try:
        vocabulary, oracle = vocabularies.vocabulary("gpt2"), vocabularies.tiktoken_oracle("gpt2")
    except vocabularies.NotFetchedError as problem:
        pytest.skip(f"not run here: the vocabulary could not be fetched ({problem})")
    tokenizer, found = Tokenizer(bench_gpu, vocabulary), []

    def ours():
        found[:] = tokenizer.encode(source, special=False)

    def check():
        assert found == oracle.encode_ordinary(source)

    figures = {"nbytes": len(source.encode()), "rounds": 3}
    if role == "tiktoken":
        speed("tokenize 0.4 MB of source", role, lambda: oracle.encode_ordinary(source), **figures)
    else:
        speed("tokenize 0.4 MB of source", role, ours, check=check, fresh=found.clear, **figures)
