"""The spec of detokenize: ids to bytes, to the byte."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import WIDTHS, examples
from milestones.m0.detokenize import Detokenize
from milestones.m0.golden.make import TEXTS
from milestones.m0.tokenizer import Tokenizer
from milestones.m1.gguf_model import GgufModel
from reference.compare import assert_same
from reference.detokenize import detokenize
from reference.diagnosis import watched
from reference.golden import load
from reference.mistakes.detokenize import MISTAKES

TOKENS = [b"a", b"", b"\xff\x00", b" long token" * 20, b"\n", b"a", "🙂".encode()]


def op(gpu, tokens=TOKENS):
    lengths = [0, *np.cumsum([len(t) for t in tokens])]
    return Detokenize(gpu, gpu.tensor(np.frombuffer(b"".join(tokens), np.uint8)), gpu.tensor(lengths, np.uint32))


@watched("detokenize")
def run(gpu, ids, tokens):
    """The bytes of `ids`, uint8."""
    return np.frombuffer(op(gpu, tokens)(ids), np.uint8)


def expected(ids, tokens):
    """None: bytes are copied, not computed, so every one of them must be the expected one."""
    return np.frombuffer(detokenize(ids, tokens), np.uint8)


def drawn(count):
    """Ids and 500 short tokens, empty ones and all byte values among them, by a seed; the first id's is not empty."""
    rng = np.random.default_rng(count)
    tokens = [rng.integers(0, 256, int(n), np.uint8).tobytes() for n in rng.integers(0, 9, 500)]
    return [next(i for i, t in enumerate(tokens) if len(t) > 2), *rng.integers(0, 500, count - 1).tolist()], tokens


def test_ids_worked_by_hand(gpu):
    """6 is four bytes of an emoji, 1 is empty, 2 is no text at all: all are copied as they are, one behind the other."""
    assert run(gpu, [6, 1, 2, 0], TOKENS).tobytes() == "🙂".encode() + b"\xff\x00a"
    assert run(gpu, [0, 4, 0], TOKENS).tobytes() == b"a\na"


def test_no_ids_and_empty_tokens_give_no_bytes(gpus):
    """Vocabularies have ids that nobody uses; the text of those is empty, and the bytes around them close up."""
    assert op(gpus(64))([1, 1]) == op(gpus(64))([]) == b""
    assert run(gpus(64), [1, 0, 1, 1, 6, 1], TOKENS).tobytes() == b"a" + "🙂".encode()


@examples(60)
@given(ids=st.lists(st.integers(0, len(TOKENS) - 1), max_size=80), width=st.sampled_from(WIDTHS))
@example(ids=[3] * 33, width=32)
@example(ids=[6, 2, 4, 0, 3], width=32)
def test_equals_the_reference(gpus, ids, width):
    """The reference joins; the kernel must give the same bytes for any ids, however long each token is."""
    assert_same(run(gpus(width), ids, TOKENS), expected(ids, TOKENS), what="bytes")


@pytest.mark.parametrize("count", [1, 31, 32, 33, 1025], ids="count{}".format)
def test_any_number_of_ids(gpu, count):
    """The dispatch is rounded up to whole threadgroups: more threads than ids, or several threadgroups, change nothing."""
    ids, tokens = drawn(count)
    assert_same(run(gpu, ids, tokens), expected(ids, tokens), what="bytes")


@examples(25)
@given(ids=st.lists(st.integers(0, len(TOKENS) - 1), min_size=2, max_size=40), data=st.data())
def test_two_halves_joined_are_the_whole(gpus, ids, data):
    """A text is decoded token by token when it is generated, and as a whole later: both must give the same bytes."""
    cut = data.draw(st.integers(1, len(ids) - 1), label="cut")
    halves = np.concatenate([run(gpus(64), part, TOKENS) for part in (ids[:cut], ids[cut:])])
    assert_same(halves, expected(ids, TOKENS), what="bytes")


def test_the_golden_ids_give_their_texts_back(gpus, model_path):
    """Ids made by `tokenizers`; bytes by the default model's own tables."""
    tokenizer = Tokenizer(gpus(448), GgufModel(model_path).vocabulary())
    golden = load(Path(__file__).parent / "golden", "tokenize")
    for number, text in enumerate(TEXTS):
        assert tokenizer.decode(golden[f"ids{number}"].tolist()) == text.encode()


@pytest.mark.parametrize("sentence", MISTAKES)
def test_known_mistakes_differ_on_the_specs_own_inputs(sentence):
    """An input on which a wrong kernel gives the right bytes proves nothing about it."""
    cases = [([6, 1, 2, 0], TOKENS), ([6, 2, 4, 0, 3], TOKENS), drawn(33)]
    wrong = [MISTAKES[sentence](ids, tokens).tobytes() != detokenize(ids, tokens) for ids, tokens in cases]
    assert any(wrong[:2]) and wrong[2]


def test_a_misfit_is_named_before_launch(gpus):
    for bad in ([7], [0, -1]):
        with pytest.raises(ValueError, match="ids must lie in 0 to 6"):
            op(gpus(32))(bad)
    with pytest.raises(ValueError, match="token_offsets must be uint32, got float32"):
        Detokenize(gpus(32), gpus(32).empty((4,), "uint8"), gpus(32).empty((3,)))


@pytest.mark.parametrize("bad", [len(TOKENS), 99, 0xFFFFFFFF], ids="id{}".format)
def test_an_id_or_a_length_that_does_not_fit_writes_nothing(gpus, bad):
    """The kernel's own guards, which the host's checks come before: nothing may be written past the room there is."""
    gpu = gpus(64)
    made = op(gpu)
    out = gpu.empty((16,), np.uint8)
    right = out.numpy().copy()
    right[3] = ord("a")  # the only one of the three that fits: token 3 is 220 bytes long, and there is room for 2
    ids, offsets = gpu.tensor([bad, 3, 0], np.uint32), gpu.tensor([0, 1, 3, 4], np.uint32)
    gpu.run(made._function, 3, ids, offsets, *made._tables, out, gpu.constants("II", 3, len(TOKENS)))
    gpu.sync()
    assert_same(out.numpy(), right, what="out")
