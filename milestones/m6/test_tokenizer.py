"""The spec of the fast tokenizer: the ids of m0's, for every text."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import examples
from milestones.errors import UserError
from milestones.m0.golden import vocabularies
from milestones.m0.golden.make import TEXTS
from milestones.m0.tokenizer import Tokenizer
from milestones.m1.gguf_model import GgufModel
from milestones.m6.test_pretokenize import CODE
from milestones.m6.tokenizer import FastTokenizer
from reference.golden import load


@pytest.fixture(scope="module")
def both(gpus, model_path):
    vocabulary = GgufModel(model_path).vocabulary()
    return FastTokenizer(gpus(256), vocabulary, least=0), Tokenizer(gpus(256), vocabulary)


def test_texts_of_every_kind_have_the_ids_of_tokenizers(both):
    """Not only of m0's: of the library that the model was made with."""
    golden = load(Path(vocabularies.__file__).parent, "tokenize")
    assert both[0].encode_all(TEXTS) == [golden[f"ids{number}"].tolist() for number in range(len(TEXTS))]


def test_special_tokens_stand_between_texts_of_their_own(both):
    """What is around a special token is cut as if it were a text; an empty text has no ids."""
    fast, plain = both
    for text in ("<|im_start|>user\n it's 12<|im_end|> 's", "<|im_end|>", "", "a<|im_end|>"):
        for special in (True, False):
            assert fast.encode(text, special=special) == plain.encode(text, special=special)
    assert fast.encode_all(["", "it", " 's", ""]) == plain.encode_all(["", "it", " 's", ""])


@examples(10)
@given(text=st.text(st.sampled_from("ab 1'st\n!é🙂<|"), max_size=40))
@example(text=CODE * 3)
def test_any_text_has_the_ids_of_m0(both, text):
    """Pieces that come again are merged once and stand everywhere."""
    fast, plain = both
    assert fast.encode(text) == plain.encode(text)


def test_bytes_that_the_vocabulary_lacks_are_refused_or_left_out_as_ever(both):
    """The same words, and the same ids with errors="drop"."""
    fast, plain = both
    with pytest.raises(UserError, match="no token for byte 0x04, at offset 1"):
        fast.encode(b"a\x04b")
    assert fast.encode(b"a\x04b 's", errors="drop") == plain.encode(b"a\x04b 's", errors="drop")
