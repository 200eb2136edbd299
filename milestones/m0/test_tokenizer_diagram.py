"""The tokenizer's diagram: what it shows is what the kernel gives, step for step and byte for byte."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import examples
from milestones.errors import UserError
from milestones.m0.diagram import tokenizer as diagram
from milestones.m0.diagram.merges import Merges
from milestones.m0.golden.make import TEXTS
from milestones.m0.tokenizer import Tokenizer
from milestones.m0.vocabulary import Vocabulary
from milestones.m1.model_file import open_model
from reference.bpe import bpe
from reference.golden import load

# a rule twice, a rule whose whole is no token, and one whose whole is special
SMALL = Vocabulary(
    tokens=[b"a", b"b", b"c", b"ab", b"abc", b"bc", b"aa", b"cc"],
    merges=[[0, 1], [3, 2], [1, 2], [0, 0], [0, 1], [2, 0], [2, 2]],
    special={"cc": 7},
)


@pytest.fixture(scope="module")
def device(whole_gpu, model_path):
    """What the endpoints need of a Device: the tokenizer, and a place to keep things."""
    kept: dict = {}
    return SimpleNamespace(
        tokenizer=Tokenizer(whole_gpu, open_model(model_path).vocabulary()),
        kept=lambda name, make: kept[name] if name in kept else kept.setdefault(name, make()),
    )


@pytest.mark.parametrize("number", range(len(TEXTS)))
def test_the_chips_are_the_golden_ids_and_decode_to_the_text(device, number):
    """The same fixtures as the spec's: page and engine cannot disagree."""
    text, golden = TEXTS[number], load(Path(__file__).parent / "golden", "tokenize")[f"ids{number}"].tolist()
    told = diagram.encode(device, text, "model")
    ids = [token["id"] for piece in told["pieces"] for token in piece["tokens"]]
    assert ids == golden and told["tokens"] == len(golden)
    assert b"".join(bytes.fromhex(piece["bytes"]) for piece in told["pieces"]) == text.encode()
    assert (told["equal"] and told["decoded"] == text) or told["lacking"]
    assert (told["characters"], told["bytes"]) == (len(text), len(text.encode()))


@examples(20)
@given(text=st.text("ab 🙃é1.\n", min_size=1, max_size=24))
@example(text="antidisestablishmentarianism 🙃 naïve")
def test_the_walk_over_the_merges_ends_in_what_the_kernel_returns(device, text):
    """The walk is a picture of the kernel's work: if it ended elsewhere, it would be the picture of something else."""
    walker = device.kept("merges model", lambda: Merges(device.tokenizer.vocabulary))
    for data, ids in device.tokenizer.pieces(text):
        walk = walker.walk(data)
        assert list(walk.ids) == ids
        assert [len(step.symbols) for step in walk.steps] == [len(data) - n for n in range(len(walk.steps))], "one a step"


@examples(20)
@given(piece=st.text("abc", min_size=1, max_size=16).map(str.encode))
@example(piece=b"aaabcbcc")
def test_every_step_is_the_rule_of_the_lowest_rank(piece):
    """As the reference has it, which walks through the rules from the top for each merge."""
    rules = [(SMALL.tokens[left], SMALL.tokens[right]) for left, right in SMALL.merges]
    possible = [rule for rule in rules if rule[0] + rule[1] in SMALL.tokens[:7]]
    small = Vocabulary(SMALL.tokens, np.array(SMALL.merges, np.uint32), SMALL.special)
    walk = Merges(small).walk(piece)
    assert list(walk.symbols) == bpe(piece, possible)
    for step in walk.steps:
        pair = step.symbols[step.at], step.symbols[step.at + 1]
        assert rules[step.rank] == pair
        assert not any(p in possible[: possible.index(pair)] for p in zip(step.symbols, step.symbols[1:], strict=False))


def test_a_byte_that_the_vocabulary_lacks_is_pointed_out_with_its_offset(device):
    told = diagram.encode(device, "é\x06!", "model")
    assert told["lacking"] == [{"byte": 6, "offset": 2}] and not told["equal"]
    assert told["decoded"] == "é!"
    assert any(not piece["tokens"] for piece in told["pieces"]) or told["tokens"] == 2


def test_a_split_character_is_shown_by_its_bytes(device):
    chips = [token for piece in diagram.encode(device, "🙃", "model")["pieces"] for token in piece["tokens"]]
    assert len(chips) > 1 and "\\x" in "".join(chip["text"] for chip in chips)
    assert bytes.fromhex("".join(chip["bytes"] for chip in chips)).decode() == "🙃"


def test_a_special_token_is_one_piece_without_merges(device):
    told = diagram.merges(device, "<|im_start|>user", "model", 0)
    assert told["ids"] == [1] and not told["steps"] and "special" in told["note"]


def test_the_merges_of_a_long_piece_or_of_none_are_not_shown_and_say_why(device):
    assert "merges are shown" in diagram.merges(device, "a" * 500, "model", 0)["note"]
    with pytest.raises(UserError, match="1 piece"):
        diagram.merges(device, "a", "model", 5)


def test_the_worked_example_is_true():
    import doctest

    assert doctest.testmod(diagram).attempted and not doctest.testmod(diagram).failed
