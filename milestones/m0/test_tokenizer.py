"""The spec of the tokenizer, on the default model's vocabulary: equal to `tokenizers`, lossless over bytes."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import examples
from milestones.errors import UserError
from milestones.m0 import pretokenize as pretokenize_module
from milestones.m0.golden.make import TEXTS, load_oracle
from milestones.m0.pretokenize import KINDS, pretokenize
from milestones.m0.tokenizer import StreamDecoder, Tokenizer
from milestones.m0.vocabulary import Vocabulary
from milestones.m1.gguf_model import GgufModel
from reference.golden import load

LACKING = bytes.fromhex("04 06 13 14 16 1D C0 C1 F1 F2 F5 F6 F7 F8 F9 FA FB FC FD FE FF")


@pytest.fixture(scope="module")
def tokenizers_by_gpu(model_path):
    """Gpu → Tokenizer of the default model's vocabulary, made once."""
    vocabulary, made = GgufModel(model_path).vocabulary(), {}

    def get(gpu):
        if id(gpu) not in made:
            made[id(gpu)] = Tokenizer(gpu, vocabulary)
        return made[id(gpu)]

    return get


@pytest.fixture(scope="module")
def tokenizer(tokenizers_by_gpu, whole_gpu):
    return tokenizers_by_gpu(whole_gpu)


@pytest.fixture(scope="module")
def oracle(model_path):
    return load_oracle(model_path)


def test_a_sentence_with_known_ids(tokenizer):
    assert tokenizer.encode("The capital of France is") == [504, 3575, 282, 4649, 314]


@pytest.mark.parametrize("number", range(len(TEXTS)), ids=lambda n: TEXTS[n][:20])
def test_equals_the_golden_ids_at_every_width(tokenizers_by_gpu, gpu, number):
    """Code, prose, many scripts, emoji, control characters: ids made by `tokenizers`."""
    golden = load(Path(__file__).parent / "golden", "tokenize")
    assert tokenizers_by_gpu(gpu).encode(TEXTS[number]) == golden[f"ids{number}"].tolist()


unicode_text = st.text(st.characters(exclude_categories=["Cs", "Cn"]), max_size=60)
program_text = st.text("abcXYZ_ \t\n\r.,;:(){}[]<>=+-*/'\"0123456789|é中🙂", max_size=60)


@examples(300)
@given(text=st.one_of(unicode_text, program_text))
@example(text="\u0004a\u0006b")  # bytes that the vocabulary lacks, inside a word
@example(text="a\u0013")
@example(text="² ³ ½ ①")
@example(text="\u2028 \u00a0x")
@example(text="<|im_start|> <|im_end|>")
def test_equals_tokenizers_on_any_text(tokenizer, oracle, text):
    """What it does with bytes that have no token is its own rule: leave them out. Ours is to refuse, unless told to do so."""
    assert tokenizer.encode(text, errors="drop") == oracle.encode(text).ids


@examples(200)
@given(data=st.binary(max_size=80).map(lambda b: b.translate(None, LACKING)))
@example(data=b"\xff"[:0] + b"\xe2\x82")  # half a character
@example(data=b"caf\xe9 \xed\xa0\x80 \x80\x80")
@example(data="é".encode("latin-1") + "é".encode())
def test_any_bytes_the_vocabulary_holds_come_back(tokenizer, data):
    assert tokenizer.decode(tokenizer.encode(data)) == data
    assert tokenizer.decode(tokenizer.encode(data, special=False)) == data


@pytest.mark.parametrize("byte", LACKING, ids="{:02X}".format)
def test_a_byte_that_the_vocabulary_lacks_is_named_with_its_offset(tokenizer, oracle, byte):
    with pytest.raises(UserError, match=f"no token for byte 0x{byte:02X}, at offset 3"):
        tokenizer.encode(b"abc" + bytes([byte]))
    assert tokenizer.encode(b"abc" + bytes([byte]), errors="drop") == oracle.encode("abc").ids


def test_all_other_bytes_have_a_token(tokenizer):
    rest = bytes(b for b in range(256) if b not in LACKING)
    assert tokenizer.decode(tokenizer.encode(rest)) == rest


def test_special_tokens_are_read_as_such_unless_told_not_to(tokenizer):
    marked = tokenizer.encode("<|im_start|>user")
    assert marked[0] == tokenizer.vocabulary.special["<|im_start|>"] == 1
    plain = tokenizer.encode("<|im_start|>user", special=False)
    assert 1 not in plain and tokenizer.decode(plain) == tokenizer.decode(marked) == b"<|im_start|>user"
    assert tokenizer.decode(marked, skip_special=True) == b"user"


def test_pieces_cut_where_they_are_cut_encode_alike(tokenizer, oracle):
    """BPE never merges across a cut: a text's ids are its pieces' ids, one after the other."""
    text = TEXTS[5] + TEXTS[7] + TEXTS[9]
    pieces = pretokenize(text, "smollm")
    assert [i for piece in pieces for i in tokenizer.encode(piece)] == oracle.encode(text).ids


def test_nothing_encodes_to_nothing(tokenizer):
    assert tokenizer.encode("") == tokenizer.encode(b"") == []
    assert tokenizer.decode([]) == b""


def test_what_is_no_text_or_no_id_is_named(tokenizer):
    with pytest.raises(UserError, match="lone surrogate at character 1"):
        tokenizer.encode("a\ud800")
    for token in (-1, 49152):
        with pytest.raises(UserError, match=f"there is no token {token}: ids go from 0 to 49151"):
            tokenizer.decode([token])


@examples(100)
@given(text=st.text(max_size=60), kind=st.sampled_from(KINDS))
@example(text="a  \n 1", kind="smollm")
def test_pieces_joined_give_the_text_back(text, kind):
    assert "".join(pretokenize(text, kind)) == text


def test_the_worked_examples_are_true():
    import doctest

    from milestones.m0 import show, tokenizer, vocabulary

    for module in (pretokenize_module, show, tokenizer, vocabulary):
        result = doctest.testmod(module)
        assert result.attempted and not result.failed


@examples(100)
@given(text=st.text(max_size=20), cuts=st.lists(st.integers(0, 80), max_size=8))
def test_a_stream_gives_whole_characters_however_it_is_cut(text, cuts):
    data, stream, shown = text.encode("utf-8", "replace"), StreamDecoder(), ""
    edges = [0, *sorted(min(c, len(data)) for c in cuts), len(data)]
    for a, b in itertools.pairwise(edges):
        shown += stream.feed(data[a:b])
        assert data.decode().startswith(shown), "half a character was shown"
    assert shown + stream.flush() == data.decode()


def test_a_stream_that_ends_in_half_a_character_says_so():
    stream = StreamDecoder()
    assert stream.feed("🙂".encode()[:3]) == ""
    assert stream.flush() == "\ufffd"


def broken(**changes):
    metadata = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.tokens": ["a", "b", "ab"],
        "tokenizer.ggml.merges": ["a b"],
        "tokenizer.ggml.eos_token_id": 2,
    }
    return {k: v for k, v in (metadata | {f"tokenizer.ggml.{k}": v for k, v in changes.items()}).items() if v is not None}


def test_a_user_defined_token_is_text_and_a_control_token_is_not(gpus):
    """GGUF's token types 4 and 3: both are found in a text before any merge, only the second is a mark."""
    vocabulary = Vocabulary.from_gguf(broken(tokens=["a", "b", "ab", "<x>", "<y>"], token_type=[1, 1, 1, 4, 3]))
    tokenizer = Tokenizer(gpus(64), vocabulary)
    assert tokenizer.encode("a<x>ab<y>") == [0, 3, 2, 4]
    assert tokenizer.decode([0, 3, 2, 4], skip_special=True) == b"a<x>ab"


def test_a_small_vocabulary_is_read():
    vocabulary = Vocabulary.from_gguf(broken())
    assert (vocabulary.tokens, vocabulary.merges.tolist(), vocabulary.eos) == ([b"a", b"b", b"ab"], [[0, 1]], 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "llama"}, "of kind 'llama'; only byte-level BPE"),
        ({"model": None}, "tokenizer.ggml.model is missing"),
        ({"pre": "gemma"}, "pre-tokenizer 'gemma' is not supported; these are: smollm"),
        ({"pre": ["gpt-2"]}, "pre-tokenizer .* is not supported"),
        ({"tokens": [1, 2, 3]}, "key tokenizer.ggml.tokens is a list of the wrong kind"),
        ({"tokens": "abc"}, "tokenizer.ggml.tokens is missing or of the wrong kind"),
        ({"tokens": []}, "tokenizer.ggml.tokens is missing"),
        ({"token_type": ["x", "y", "z"]}, "key tokenizer.ggml.token_type is a list of the wrong kind"),
        ({"token_type": 5}, "tokenizer.ggml.token_type is missing or of the wrong kind"),
        ({"merges": "a b"}, "tokenizer.ggml.merges is missing or of the wrong kind"),
        ({"merges": ["a b c"]}, "merge 0 .* is not made of its tokens"),
        ({"merges": ["ab"]}, "merge 0 .* is not made of its tokens"),
        ({"eos_token_id": True}, "eos_token_id is True: not the id"),
        ({"eos_token_id": "2"}, "eos_token_id is '2': not the id"),
        ({"add_bos_token": 7}, "add_bos_token is 7: neither true nor false"),
        ({"tokens": None}, "tokenizer.ggml.tokens is missing"),
        ({"tokens": ["a", "b", "中"]}, "token 2 .* is not written in GPT-2's alphabet"),
        ({"merges": ["a c"]}, "merge 0 .* is not made of its tokens: 'a c'"),
        ({"merges": ["b a"]}, "merge 0 .* is not made of its tokens"),
        ({"merges": [7]}, "key tokenizer.ggml.merges is a list of the wrong kind"),
        ({"token_type": [1]}, "3 tokens but 1 token types"),
        ({"eos_token_id": 99}, "eos_token_id is 99: not the id of one of the 3 tokens"),
    ],
    ids=lambda v: str(v)[:30],
)
def test_a_damaged_or_foreign_vocabulary_is_named(changes, message):
    with pytest.raises(UserError, match=message):
        Vocabulary.from_gguf(broken(**changes))


def odd(tokens, merges, types=None):
    """A vocabulary as an odd file may have it: equal tokens, special tokens made by merges, bytes only special tokens have."""
    return Vocabulary.from_gguf(broken(tokens=tokens, merges=merges, token_type=types, eos_token_id=None))


@pytest.mark.parametrize(
    ("vocabulary", "text", "ids", "plain"),
    [
        # the whole of a merge is a special token: no text may merge into it, so the merge is never carried out
        (odd(["a", "b", "ab"], ["a b"], [1, 1, 3]), "ab", [2], [0, 1]),
        (odd(["a", "b", "c", "ab", "abc"], ["a b", "ab c"], [1, 1, 1, 3, 1]), "cabba", [2, 3, 1, 0], [2, 0, 1, 1, 0]),
        # equal tokens: the first counts, in merges too
        (odd(["a", "b", "ab", "a", "ab"], ["a b"]), "abb", [2, 1], [2, 1]),
        # the first of equal tokens is special: the other one counts
        (odd(["a", "a", "b", "ab"], ["a b"], [3, 1, 1, 1]), "bab", [2, 0, 2], [2, 3]),
    ],
    ids=["special-whole", "special-middle", "equal", "equal-special"],
)
def test_odd_vocabularies_never_give_an_id_that_is_no_token(gpus, vocabulary, text, ids, plain):
    """Nor a special token's, where the text is told to be plain."""
    tokenizer = Tokenizer(gpus(32), vocabulary)
    assert tokenizer.encode(text) == ids
    assert tokenizer.encode(text, special=False) == plain


def test_a_byte_that_only_a_special_token_has_is_lacking(gpus):
    tokenizer = Tokenizer(gpus(32), odd(["a", "b", "ab", "<"], ["a b"], [1, 1, 1, 3]))
    assert tokenizer.encode("a<b") == [0, 3, 1]
    with pytest.raises(UserError, match="no token for byte 0x3C, at offset 1"):
        tokenizer.encode("a<b", special=False)


def test_many_texts_at_once_encode_as_one_by_one(tokenizer, oracle):
    texts = [*TEXTS, "", "caf"]
    theirs = [encoding.ids for encoding in oracle.encode_batch(texts)]
    assert tokenizer.encode_all(texts) == theirs == [tokenizer.encode(text) for text in texts]
