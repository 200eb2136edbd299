"""The spec of detokenize: ids to bytes, to the byte."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from conftest import WIDTHS
from milestones.m0.detokenize import Detokenize
from milestones.m0.golden.make import TEXTS
from reference.detokenize import detokenize
from reference.golden import load

TOKENS = [b"a", b"", b"\xff\x00", b" long token" * 20, b"\n", b"a", "🙂".encode()]


def op(gpu, tokens=TOKENS):
    lengths = [0, *np.cumsum([len(t) for t in tokens])]
    return Detokenize(gpu, gpu.tensor(np.frombuffer(b"".join(tokens), np.uint8)), gpu.tensor(lengths, np.uint32))


def test_ids_worked_by_hand(gpu):
    assert op(gpu)([6, 1, 2, 0]) == "🙂".encode() + b"\xff\x00a"
    assert op(gpu)([1, 1]) == op(gpu)([]) == b""


@settings(max_examples=60, deadline=None)
@given(ids=st.lists(st.integers(0, len(TOKENS) - 1), max_size=80), width=st.sampled_from(WIDTHS))
@example(ids=[3] * 33, width=32)
def test_equals_the_reference(gpus, ids, width):
    assert op(gpus(width))(ids) == detokenize(ids, TOKENS)


@pytest.mark.parametrize("count", [1, 31, 32, 33, 1025], ids="count{}".format)
def test_any_number_of_ids(gpu, count):
    rng = np.random.default_rng(count)
    tokens = [rng.integers(0, 256, int(n), np.uint8).tobytes() for n in rng.integers(0, 9, 500)]
    ids = rng.integers(0, 500, count).tolist()
    assert op(gpu, tokens)(ids) == detokenize(ids, tokens)


def test_the_golden_ids_give_their_texts_back(gpus, model_path):
    """Ids made by `tokenizers`; bytes by the default model's own tables."""
    from pathlib import Path

    from milestones.m0.tokenizer import Tokenizer
    from milestones.m1.gguf_model import GgufModel

    tokenizer = Tokenizer(gpus(448), GgufModel(model_path).vocabulary())
    golden = load(Path(__file__).parent / "golden", "tokenize")
    for number, text in enumerate(TEXTS):
        assert tokenizer.decode(golden[f"ids{number}"].tolist()).decode() == text


def test_a_misfit_is_named_before_launch(gpus):
    for bad in ([7], [0, -1]):
        with pytest.raises(ValueError, match="ids must lie in 0 to 6"):
            op(gpus(32))(bad)
    with pytest.raises(ValueError, match="token_offsets must be uint32, got float32"):
        Detokenize(gpus(32), gpus(32).empty((4,), "uint8"), gpus(32).empty((3,)))


def test_an_id_or_a_length_that_does_not_fit_writes_nothing(gpus):
    """The kernel's own guards, which the host's checks come before: nothing may be written past the room there is."""
    gpu = gpus(64)
    made = op(gpu)
    out = gpu.empty((16,), np.uint8)
    before = out.numpy().copy()
    ids, offsets = gpu.tensor([99, 3, 0], np.uint32), gpu.tensor([0, 1, 3, 4], np.uint32)
    gpu.run(made._function, 3, ids, offsets, *made._tables, out, gpu.constants("II", 3, len(TOKENS)))
    gpu.sync()
    assert out.numpy()[3] == ord("a") and (np.delete(out.numpy(), 3) == np.delete(before, 3)).all()
