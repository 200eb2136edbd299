"""The spec of tokenizer.json: equal to `tokenizers`, which wrote the file; what is not supported is named."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from conftest import examples
from milestones.errors import UserError
from milestones.m0 import tokenizer as ours
from milestones.m0.golden.make import TEXTS
from milestones.m0.pretokenize import PATTERNS
from milestones.m0.tokenizer_json import vocabulary_of

PRE = {
    "gpt-2": pre_tokenizers.ByteLevel(add_prefix_space=False),
    "smollm": pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(False)]),
    **{
        name: pre_tokenizers.Sequence(
            [pre_tokenizers.Split(Regex(PATTERNS[name]), "isolated"), pre_tokenizers.ByteLevel(False, use_regex=False)]
        )
        for name in ("qwen2", "llama-bpe")
    },
}


def trained(pre: str, *, nfc: bool = False, bos: bool = False) -> Tokenizer:
    """A small tokenizer, trained by the library on the golden texts: 700 tokens, all 256 bytes among them."""
    made = Tokenizer(models.BPE(ignore_merges=pre == "llama-bpe"))
    made.pre_tokenizer, made.decoder = PRE[pre], decoders.ByteLevel()
    if nfc:
        made.normalizer = normalizers.NFC()
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        special_tokens=["<|begin|>", "<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(TEXTS * 3, trainer)
    made.add_tokens([AddedToken("<tool>", normalized=False)])
    if bos:
        made.post_processor = processors.TemplateProcessing(single="<|begin|> $A", special_tokens=[("<|begin|>", 0)])
    return made


@pytest.fixture(scope="module", params=sorted(PRE))
def pair(request, gpus):
    """(our tokenizer, the library's) of the same file."""
    theirs = trained(request.param)
    return ours.Tokenizer(gpus(64), vocabulary_of(json.loads(theirs.to_str()))), theirs


def test_the_golden_texts_equal_the_library(pair):
    mine, theirs = pair
    assert mine.encode_all(TEXTS) == [e.ids for e in theirs.encode_batch(TEXTS)]


@examples(100)
@given(text=st.text(max_size=60))
def test_any_text_equals_the_library_and_comes_back(pair, text):
    mine, theirs = pair
    if "\ud800" <= max(text, default="") <= "\udfff":
        return
    text = "".join(c for c in text if not "\ud800" <= c <= "\udfff")
    ids = mine.encode(text)
    assert ids == theirs.encode(text).ids and mine.decode(ids).decode() == text


def test_added_tokens_are_found_in_the_text(pair):
    mine, theirs = pair
    text = "a<|end|>b<tool>c <|begin|>"
    assert mine.encode(text) == theirs.encode(text).ids
    assert len(mine.vocabulary.special) == 3 and mine.decode(mine.encode(text)).decode() == text
    assert not set(mine.encode(text, special=False)) & set(mine.vocabulary.special.values())


def test_an_added_token_that_is_not_special_is_text_when_it_is_generated(pair):
    """As the library's skip_special_tokens has it: `<tool>` is shown, `<|end|>` is not."""
    mine, theirs = pair
    ids = mine.encode("a<tool>b<|end|>")
    assert mine.decode(ids, skip_special=True).decode() == "a<tool>b" == theirs.decode(ids, skip_special_tokens=True)


def test_a_normal_form_is_applied_as_the_file_asks(gpus):
    theirs = trained("qwen2", nfc=True)
    mine = ours.Tokenizer(gpus(64), vocabulary_of(json.loads(theirs.to_str())))
    for text in ("e\u0301", "Ａ\u030a", "한글"):
        assert mine.encode(text) == theirs.encode(text).ids


def test_the_token_before_every_text_is_found_in_the_post_processor(gpus):
    theirs = trained("gpt-2", bos=True)
    mine = ours.Tokenizer(gpus(64), vocabulary_of(json.loads(theirs.to_str()), eos=[1]))
    assert mine.prefix + mine.encode("hello") == theirs.encode("hello").ids
    assert (mine.eos, mine.bos, mine.ends) == (1, 0, frozenset({1}))


def test_merges_written_as_pairs_or_as_lines_are_the_same():
    data = json.loads(trained("gpt-2").to_str())
    lines = json.loads(json.dumps(data))
    lines["model"]["merges"] = [" ".join(pair) for pair in data["model"]["merges"]]
    assert (vocabulary_of(data).merges == vocabulary_of(lines).merges).all()


def changed(**changes):
    data = json.loads(trained("gpt-2").to_str())
    for path, value in changes.items():
        place = data
        *folders, last = path.split("__")
        for folder in folders:
            place = place[folder]
        place[last] = value
    return data


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model__type": "Unigram"}, "of type 'Unigram'; only BPE"),
        ({"model__byte_fallback": True}, "asks for byte_fallback"),
        ({"model__end_of_word_suffix": "</w>"}, "asks for end_of_word_suffix"),
        ({"model__vocab": None}, "'vocab' is missing"),
        ({"model__vocab": {}, "added_tokens": []}, "it has no tokens"),
        ({"model__vocab": {"a": "x"}}, "the token 'a' has the id x"),
        ({"model__vocab": {"a": 2**40}}, "the token 'a' has the id"),
        ({"model__vocab": {"a": 3, "b": 3}}, "the id 3 is given to 'a' and to 'b'"),
        ({"model__merges": None}, "'merges' is missing"),
        ({"model__merges": [["a", "nope"]]}, "merge 0 .* is not made of its tokens"),
        ({"model__merges": [["a", "b", "c"]]}, "merge 0"),
        ({"model__merges": [5]}, "merge 0"),
        ({"model": None}, "'model' is missing"),
        ({"normalizer": {"type": "Lowercase"}}, "normalizer .* is not supported"),
        ({"pre_tokenizer": {"type": "Whitespace"}}, "pre-tokenizer Whitespace is not supported"),
        ({"pre_tokenizer": None}, "pre-tokenizer .* is not supported"),
        ({"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True}}, "pre-tokenizer ByteLevel is not supported"),
        ({"pre_tokenizer": {"type": "Sequence", "pretokenizers": 3}}, "'pretokenizers' is of the wrong kind"),
        ({"added_tokens": 5}, "'added_tokens' is of the wrong kind"),
        ({"added_tokens": [{"content": "x", "id": 16777215}]}, "one of them with the id 16777215"),
        ({"post_processor": {"type": "TemplateProcessing", "single": 5}}, "'single' is of the wrong kind"),
        ({"added_tokens": [{"content": "x"}]}, "an added token is of the wrong kind"),
        ({"added_tokens": [{"content": "x", "id": 900, "lstrip": True}]}, "added token 'x' asks for lstrip"),
        ({"post_processor": {"type": "BertProcessing"}}, "post-processor BertProcessing is not supported"),
    ],
    ids=lambda v: str(v)[:40],
)
def test_what_is_damaged_or_not_supported_is_named(changes, message):
    with pytest.raises(UserError, match=message) as caught:
        vocabulary_of(changed(**changes))
    assert "\n" not in str(caught.value)


def test_a_pattern_that_is_not_known_is_named():
    split = {"type": "Split", "pattern": {"Regex": r"\d+"}, "behavior": "Isolated", "invert": False}
    entry = {"type": "Sequence", "pretokenizers": [split, {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}]}
    with pytest.raises(UserError, match="splits by a pattern that is not known here"):
        vocabulary_of(changed(pre_tokenizer=entry))


def test_ids_of_other_files_must_be_tokens():
    with pytest.raises(UserError, match="names token 70000, and there are 70"):
        vocabulary_of(changed(), eos=[70000])
