"""`pytest milestones/m0/bench_tokenizer.py --benchmark-only`: this repository's own source, beside tiktoken on one thread."""

from __future__ import annotations

from pathlib import Path

import pytest

from milestones.m0.golden import vocabularies
from milestones.m0.tokenizer import Tokenizer

ROOT = Path(__file__).parent.parent.parent
SIZE = 400_000  # bytes


def source() -> str:
    """The text that is cut."""
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("milestones/**/*.py")))[:SIZE]


def timed(speed, gpu, role, kind, name):
    """Times a tokenizer of class `kind`, whose ids must be tiktoken's, or tiktoken itself."""
    try:
        vocabulary, oracle = vocabularies.vocabulary("gpt2"), vocabularies.tiktoken_oracle("gpt2")
    except vocabularies.NotFetchedError as problem:
        pytest.skip(f"not run here: the vocabulary could not be fetched ({problem})")
    tokenizer, text, found = kind(gpu, vocabulary), source(), []

    def ours():
        found[:] = tokenizer.encode(text, special=False)

    def check():
        assert found == oracle.encode_ordinary(text)

    group, figures = f"{name}, 0.4 MB of source", {"nbytes": len(text.encode()), "rounds": 3}
    if role == "tiktoken":
        speed(group, role, lambda: oracle.encode_ordinary(text), **figures)
    else:
        speed(group, role, ours, check=check, fresh=found.clear, **figures)


@pytest.mark.parametrize("role", ["baseline", "tiktoken"])
def test_tokenize(speed, bench_gpu, role):
    timed(speed, bench_gpu, role, Tokenizer, "Tokenizer")
