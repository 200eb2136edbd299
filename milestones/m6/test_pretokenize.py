"""The spec of pretokenize: where a text is cut, equal to `regex` on every character of Unicode, and on bytes that are none."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
import regex
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import examples
from milestones.m6.pretokenize import Pretokenize, unicode_classes
from reference.compare import assert_same
from reference.diagnosis import watched
from reference.mistakes.pretokenize import MISTAKES
from reference.pretokenize import pretokenize

CODE = (
    "def f(self, x=1):\n    # it's  25 µm²\n\n    return {'re': x**2,  \t'naïve': '日本'}  \n\n\nI'll   say ''twas ٣ days\r\n"
)
SCRAPS = [
    *("'", "s", "re", "'ll", "'d", " ", "  ", "\n", "\t", "\u00a0", "\u2003", "1", "٣", "½"),
    *"aé中🙂_",
    "e\u0301",
    "\x1c",
]
BROKEN = [
    bytes.fromhex(h)
    for h in (
        *("ff", "c3", "a9", "e282", "f09f99", "c080", "c1a1", "eda080", "f5", "e08080", "f4908080", "e08181", "f0808181"),
        "f8a08080",  # a letter, if three bits of the lead counted
    )
]
scraps = st.sampled_from([scrap.encode() for scrap in SCRAPS] + BROKEN)
texts = st.lists(st.lists(scraps, min_size=1).map(b"".join), min_size=1, max_size=3)


@watched("pretokenize")
def run(gpu, texts, digits):
    """1 where a piece begins, uint8 (bytes)."""
    return Pretokenize(gpu)(texts, digits=digits).numpy()


def expected(texts, digits):
    """None: every byte begins a piece or does not."""
    return pretokenize(texts, digits)


def check(gpu, texts, digits):
    assert_same(run(gpu, texts, digits), expected(texts, digits))


def pieces(text, starts):
    return [text[a:b].decode() for a, b in zip(*(lambda at: (at, [*at[1:], len(text)]))(np.flatnonzero(starts)), strict=True)]


def test_a_sentence_worked_by_hand(gpu):
    """A word takes the space before it, a contraction is a piece, of several spaces the last goes with the word."""
    text = b"I'm   42 (ok)\n"
    assert pieces(text, run(gpu, [text], False)) == ["I", "'m", "  ", " 42", " (", "ok", ")", "\n"]
    assert pieces(text, run(gpu, [text], True)) == ["I", "'m", "   ", "4", "2", " (", "ok", ")", "\n"]


def test_kinds_worked_by_hand(gpus):
    """A letter that begins a text is 1 and 128, one of two bytes 1 and 5, a space 3; behind the text 128, and 0 for no one."""
    gpu = gpus(64)
    assert_same(run(gpu, ["aé ".encode()], False), np.uint8([1, 0, 0, 1]))
    function = gpu.kernel("m6", "pretokenize", "character_kinds")
    text, first = gpu.tensor(np.uint8([*"aé ".encode(), 0, 0, 0, 0])), gpu.tensor(np.uint8([1, 0, 0, 0, 1, 0, 0, 0]))
    kinds, (pages, classes) = gpu.empty((8,), np.uint8), map(gpu.tensor, unicode_classes())
    gpu.run(function, 2, text, first, pages, classes, kinds, gpu.constants("II", 1, 0))
    gpu.sync()
    assert_same(kinds.numpy(), np.uint8([129, 1, 5, 3, 128, 0, 0, 0]))


@pytest.mark.parametrize("digits", [False, True], ids=["gpt-2", "smollm"])
@pytest.mark.parametrize("count", [1, 31, 33, 257, 2047])
def test_code_and_prose_of_any_length_are_cut_as_regex_cuts_them(gpus, count, digits):
    """Every length up to a threadgroup and beyond it, cut wherever it comes, in the middle of a character too."""
    check(gpus(64), [(CODE.encode() * 20)[7 : 7 + count]], digits)


@pytest.mark.parametrize("digits", [False, True], ids=["gpt-2", "smollm"])
def test_contractions_are_cut_where_they_stand_alone(gpus, digits):
    """'s only where no sign stands before the apostrophe, and no space: then it is a sign like any other."""
    words = [
        "it's",
        "'s",
        " 's",
        "''s",
        "a''s",
        "\n'll",
        "1're",
        "x'rest",
        "'S",
        "'r",
        "'",
        "b'v",
        "'ve'd",
        "'t'",
        "\u00a0'm",
        "'ſ",
    ]
    check(gpus(64), [w.encode() for w in words], digits)
    check(gpus(64), ["".join(words).encode()], digits)


@pytest.mark.parametrize("digits", [False, True], ids=["gpt-2", "smollm"])
def test_spaces_go_with_what_follows_them(gpus, digits):
    """Of white space before a word all but the last is a piece; at the end, and before a digit cut out, all of it is."""
    words = [
        f"a{space}{next_}"
        for space in (" ", "  ", "\n ", " \n", "\t", "\u3000", "\u2003 ", " \u00a0", "\u2003\u3000")
        for next_ in ("b", "7", "!", "")
    ]
    check(gpus(64), [w.encode() for w in words], digits)


def test_a_text_begins_anew_whatever_is_before_it(gpus):
    """Texts of one dispatch, and parts between special tokens, know nothing of each other: not even parts of one character, or
    of one contraction."""
    halves = ["é".encode()[:1], "é".encode()[1:], b" ", b" ", b"x", b"'", b"s", b"1", b"2", b"x'r", b"e", b"'!", b"x"]
    for letter in map(str.encode, "é中𠀀"):  # of two, three and four bytes
        halves += [part for cut in range(1, len(letter)) for part in (b"a" + letter[:cut], letter[cut:])]
    check(gpus(64), halves, False)
    check(gpus(64), halves, True)


@lru_cache(maxsize=1)
def every_character():
    """Every character of Unicode but surrogates, each between two letters, and each behind a space."""
    characters = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    return "a".join(characters).encode(), " ".join(characters).encode()


@pytest.mark.parametrize("plane", [0, 1])
def test_every_character_has_its_unicode_class(gpus, plane):
    """Letters, numbers and white space as `regex` knows them, at both ends of every run of a class and of the plane: among
    letters, among numbers and among signs, for what is not of their kind looks alike between them."""
    first = plane << 16
    characters = [chr(c) for c in range(first, first + 0x10000) if not 0xD800 <= c < 0xE000]
    # of neighbours of one class one stands for all, at both ends of its run
    classes = np.array(
        [bool(regex.match(r"\p{L}", c)) + 2 * bool(regex.match(r"\p{N}", c)) + 4 * c.isspace() for c in characters]
    )
    edge = np.flatnonzero(np.diff(classes) != 0)
    chosen = [characters[i] for i in sorted({0, *edge.tolist(), *(edge + 1).tolist(), len(characters) - 1})]
    for between in "a1!":
        check(gpus(256), [between.join(chosen).encode()], False)


def test_every_ascii_character_has_its_class(gpus):
    """A text that is ASCII alone is not looked up: among letters, numbers and signs each must be what `regex` says."""
    for between in "a1!":
        check(gpus(64), [between.join(map(chr, range(128))).encode()], False)


@pytest.mark.slow
@pytest.mark.parametrize("digits", [False, True], ids=["gpt-2", "smollm"])
def test_all_of_unicode_is_cut_as_regex_cuts_it(gpus, digits):
    """1,112,064 characters between letters, and between spaces."""
    for text in every_character():
        step = len(text) // 8 + 1
        for at in range(0, len(text), step):
            check(gpus(1024), [text[at : at + step]], digits)


@pytest.mark.parametrize("broken", BROKEN, ids=lambda b: b.hex())
def test_bytes_that_are_no_character_are_signs(gpus, broken):
    """A byte that is not UTF-8 is a sign of its own: it joins other signs, and never a letter."""
    check(gpus(32), [b"a" + broken + b"b " + broken + broken + b"!" + broken + "é".encode(), broken], False)


@examples(20)
@given(texts=texts, digits=st.booleans())
@example(texts=[b" '", b"s"], digits=False)
@example(texts=[b"'re're'r"], digits=True)
@example(texts=["a\U00060000b".encode()], digits=False)  # nobody's character, a sign; U+20000 is a letter
@example(texts=[b"a" * 125 + "é".encode()], digits=False)  # the last word of 32 is the only one that is not ASCII
@example(texts=[b"a" * 127 + "Ā".encode()], digits=False)  # half of it in the next 32 words: the byte 80
def test_any_mixture_is_cut_as_regex_cuts_it(gpus, texts, digits):
    """Scraps that matter, in any order, broken characters among them."""
    check(gpus(64), texts, digits)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_known_mistakes_show_on_these_inputs(mistake):
    """What a spec's inputs cannot tell apart, it cannot refuse."""
    texts = [CODE.encode(), b"it'S 's\xff", b"s 1"]
    assert len(MISTAKES[mistake](texts, False)) and (MISTAKES[mistake](texts, False) != expected(texts, False)).any()


def test_what_cannot_be_run_is_refused_in_words(gpus):
    """An empty text has no first byte."""
    with pytest.raises(ValueError, match="pretokenize: a text must hold at least one byte"):
        Pretokenize(gpus(32))([b"a", b""], digits=False)
