"""The spec of bpe. Sources: Sennrich et al., Neural Machine Translation of Rare Words with Subword Units (2016); over bytes:
Radford et al., GPT-2 (2019)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from conftest import WIDTHS
from milestones.m0 import tables
from milestones.m0.bpe import Bpe
from milestones.m0.vocabulary import Vocabulary
from reference.bpe import bpe


def vocabulary(rules, letters=b"abc"):
    """A vocabulary of single letters and what the rules make of them, in an order that is not that of the ranks."""
    made = sorted({left + right for left, right in rules} | {bytes([b]) for b in letters}, key=lambda t: (-len(t), t))
    ids = {token: i for i, token in enumerate(made)}
    merges = np.array([[ids[left], ids[right]] for left, right in rules], np.uint32).reshape(-1, 2)
    return Vocabulary(tokens=made, merges=merges)


def run(gpu, pieces, rules, letters=b"abc"):
    """The symbols of each piece, as bytes."""
    known = vocabulary(rules, letters)
    return [[known.tokens[i] for i in ids] for ids in Bpe(gpu, known)(pieces)]


RULES = [(b"a", b"b"), (b"ab", b"c"), (b"b", b"c"), (b"a", b"a"), (b"aa", b"aa")]


@pytest.mark.parametrize(
    ("piece", "symbols"),
    [
        (b"abcbc", [b"abc", b"bc"]),  # rank beats order: (a, b) before (b, c) though both apply
        (b"aaa", [b"aa", b"a"]),  # ties: the leftmost pair first
        (b"aaaaa", [b"aaaa", b"a"]),  # a merge of what merges made
        (b"cba", [b"c", b"b", b"a"]),
        (b"a", [b"a"]),
    ],
    ids=lambda v: str(v),
)
def test_pieces_worked_by_hand(gpu, piece, symbols):
    assert run(gpu, [piece], RULES) == [symbols]


def test_it_is_not_greedy_longest_match(gpu):
    """(b, c) has the lowest rank, so abc never becomes ab·c although ab comes first and abc is a token."""
    rules = [(b"b", b"c"), (b"a", b"b"), (b"ab", b"c")]
    assert run(gpu, [b"abc"], rules) == [[b"a", b"bc"]]


@st.composite
def rule_sets(draw):
    """Rules in any order of rank, each made of letters and of what other rules make, as a damaged or odd file may have them."""
    known = [b"a", b"b", b"c"]
    rules: list[tuple[bytes, bytes]] = []
    for _ in range(draw(st.integers(0, 12), label="rules")):
        pair = (draw(st.sampled_from(known)), draw(st.sampled_from(known)))
        if pair not in rules and len(pair[0] + pair[1]) <= 12:
            rules.append(pair)
            known.append(pair[0] + pair[1])
    return draw(st.permutations(rules), label="ranks")


@settings(max_examples=60, deadline=None)
@given(
    rules=rule_sets(),
    pieces=st.lists(st.text("abc", min_size=1, max_size=40).map(str.encode), min_size=1, max_size=40),
    width=st.sampled_from(WIDTHS),
)
@example(rules=RULES, pieces=[b"aaaabcabcaab"] * 33, width=32)
@example(rules=[(b"a", b"a")], pieces=[b"a" * 1009, b"a"], width=64)
@example(rules=[(b"ab", b"c"), (b"a", b"b"), (b"c", b"ab")], pieces=[b"ababcabcab", b"cababab"], width=64)  # new and lower
def test_equals_the_reference_for_any_rules_pieces_and_width(gpus, rules, pieces, width):
    assert run(gpus(width), pieces, rules) == [bpe(piece, rules) for piece in pieces]


@pytest.mark.parametrize("count", [1, 31, 32, 33, 1025], ids="pieces{}".format)
def test_any_number_of_pieces(gpu, count):
    rng = np.random.default_rng(count)
    pieces = [rng.choice(np.frombuffer(b"abc", np.uint8), rng.integers(1, 9)).tobytes() for _ in range(count)]
    assert run(gpu, pieces, RULES) == [bpe(piece, RULES) for piece in pieces]


def test_a_hash_collision_is_never_taken_for_a_match(gpus, monkeypatch):
    """Tables as full as they can be, so that nearly every look-up meets other keys first, and pairs that are no merge are asked
    for all the time: each must compare the whole key and go on."""
    monkeypatch.setattr(tables, "table_size", lambda entries: max(2, 1 << entries.bit_length()))
    rules = [(bytes([x]), bytes([y])) for x in b"abcdefg" for y in b"abcdefg" if (x + y) % 3]
    letters, rng = b"abcdefgh", np.random.default_rng(8)
    pieces = [rng.choice(np.frombuffer(letters, np.uint8), 20).tobytes() for _ in range(50)]
    assert run(gpus(64), pieces, rules, letters) == [bpe(piece, rules) for piece in pieces]


def test_tokens_of_equal_hash_are_told_apart_by_their_bytes(gpus):
    """Two byte strings with the same 32-bit FNV-1a and the same last byte, found by search: each merge must find its own."""
    seen: dict[int, bytes] = {}
    rng = np.random.default_rng(1)
    while True:
        words = [bytes(row) + b"q" for row in rng.integers(97, 123, (40000, 5), np.uint8)]
        clash = None
        for word, value in zip(words, tables.hash_bytes(words).tolist(), strict=True):
            if seen.setdefault(value, word) != word:
                clash = (seen[value], word)
                break
        if clash:
            break
    letters = bytes(range(97, 123))
    rules = [(word[:n], word[n : n + 1]) for word in clash for n in range(1, 6)]
    rules = list(dict.fromkeys(rules))
    assert run(gpus(256), list(clash), rules, letters) == [bpe(word, rules) for word in clash] == [[clash[0]], [clash[1]]]


def test_a_byte_that_is_no_token_gives_none_and_merges_with_nothing(gpus):
    ids = Bpe(gpus(32), vocabulary(RULES))([b"abxab"])[0]
    known = vocabulary(RULES).tokens
    assert [known[i] if i != 0xFFFFFFFF else None for i in ids] == [b"ab", None, b"ab"]


def test_table_slots_follow_the_probe(gpus):
    """Each entry stands where linear probing from its hash first finds it, with no free slot before: else it is lost."""
    hashes = np.uint32([5, 5, 5, 13, 6, 0, 7, 7])
    slots = tables.slots_of(hashes, 16)
    assert len(set(slots.tolist())) == len(hashes)
    taken = set(slots.tolist())
    for value, slot in zip(hashes.tolist(), slots.tolist(), strict=True):
        probe = value % 16
        while probe != slot:
            assert probe in taken, "a free slot ends the probe before the entry"
            probe = (probe + 1) % 16


def test_a_misfit_is_named_before_launch(gpus):
    with pytest.raises(ValueError, match="a piece must hold at least one byte"):
        Bpe(gpus(32), vocabulary(RULES))([b"a", b""])
    with pytest.raises(ValueError, match="no tokens"):
        Bpe(gpus(32), Vocabulary(tokens=[], merges=np.empty((0, 2), np.uint32)))
