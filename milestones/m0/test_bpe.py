"""The spec of bpe. Sources: Sennrich et al., Neural Machine Translation of Rare Words with Subword Units (2016); over bytes:
Radford et al., GPT-2 (2019)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import WIDTHS, examples
from milestones.m0 import tables
from milestones.m0.bpe import Bpe
from milestones.m0.vocabulary import Vocabulary
from reference.bpe import bpe
from reference.compare import Mismatch
from reference.diagnosis import watched
from reference.mistakes.bpe import MISTAKES, NONE, ids_of, packed, pair_hash, table_size, token_hash


def tokens_of(rules, letters=b"abc"):
    """Single letters and what the rules make of them, in an order that is not that of the ranks: the longest first."""
    return sorted({left + right for left, right in rules} | {bytes([b]) for b in letters}, key=lambda t: (-len(t), t))


def op(gpu, rules, tokens, whole_first=False):
    ids = ids_of(tokens)
    merges = np.array([[ids[left], ids[right]] for left, right in rules], np.uint32).reshape(-1, 2)
    return Bpe(gpu, Vocabulary(tokens=tokens, merges=merges, whole_first=whole_first))


@watched("bpe")
def run(gpu, pieces, rules, tokens, whole_first=False):
    """(counts, ids), uint32, as the kernel leaves them; behind a piece's last id, where anything may stand, NONE."""
    offsets, ids, counts = op(gpu, rules, tokens, whole_first).as_written(pieces)
    kept = ids.copy()
    for begin, end, count in zip(offsets[:-1].tolist(), offsets[1:].tolist(), counts.tolist(), strict=True):
        if count <= end - begin:
            kept[begin + count : end] = NONE
    return counts.copy(), kept


def expected(pieces, rules, tokens, whole_first=False):
    """None: ids are whole numbers, found by comparing whole numbers. There is no rounding, so nothing is near enough.

    By the reference, which knows neither hash tables nor ids; a symbol that is no token is NONE.
    """
    known = ids_of(tokens)
    symbols = [[piece] if whole_first and piece in known else bpe(piece, rules) for piece in pieces]
    return packed(pieces, [[known.get(symbol, NONE) for symbol in one] for one in symbols])


def assert_pieces(got, want, pieces, tokens):
    """Assert that counts and ids are the same, or say what became of the first piece that is wrong."""
    (got_counts, got_ids), (counts, ids) = got, want
    ends = np.cumsum([len(piece) for piece in pieces])
    same = got_counts == counts
    for n, (end, piece) in enumerate(zip(ends, pieces, strict=True)):
        same[n] &= (got_ids[end - len(piece) : end] == ids[end - len(piece) : end]).all()
    if same.all():
        return
    n = int(np.argmin(same))
    begin, end = int(ends[n]) - len(pieces[n]), int(ends[n])
    lines = [f"symbols: {int((~same).sum())} of {len(pieces)} pieces are wrong; the first is piece {n}, {_short(pieces[n])}"]
    lines.append(f"  got      {_words(got_ids[begin:end], int(got_counts[n]), tokens)}")
    lines.append(f"  expected {_words(ids[begin:end], int(counts[n]), tokens)}")
    raise Mismatch("\n".join(lines), np.concatenate(got), np.concatenate(want))


def _words(ids, count, tokens):
    """A piece's ids as tokens' bytes: "ab c", and what was never written."""
    poison = 0xCDCDCDCD
    names = {NONE: "(no token)", poison: "(never written)"}
    shown = [names.get(i, _short(tokens[i]) if i < len(tokens) else f"(id {i:,}, which is none)") for i in ids.tolist()]
    how_many = "its count was never written" if count == poison else f"count {count:,}"
    if count <= len(shown):
        shown = shown[:count]
    return f"{' '.join(shown[:40])}{' …' if len(shown) > 40 else ''}  [{how_many}]"


def _short(data):
    """Letters as they are, other bytes as \\xNN."""
    text = repr(bytes(data))[2:-1]
    return text if len(text) <= 60 else f"{text[:60]}…"


def check(gpu, pieces, rules, tokens=None, whole_first=False):
    """The kernel gives what the reference gives."""
    tokens = tokens_of(rules) if tokens is None else tokens
    assert_pieces(run(gpu, pieces, rules, tokens, whole_first), expected(pieces, rules, tokens, whole_first), pieces, tokens)


def check_by_hand(gpu, piece, rules, symbols, tokens=None, whole_first=False):
    """The kernel gives these symbols, and so does the reference."""
    tokens = tokens_of(rules) if tokens is None else tokens
    want = packed([piece], [[tokens.index(symbol) for symbol in symbols]])
    assert_pieces(run(gpu, [piece], rules, tokens, whole_first), want, [piece], tokens)
    assert_pieces(expected([piece], rules, tokens, whole_first), want, [piece], tokens)


RULES = [(b"a", b"b"), (b"ab", b"c"), (b"b", b"c"), (b"a", b"a"), (b"aa", b"aa")]
LOWER = [(b"ab", b"c"), (b"a", b"b"), (b"c", b"ab")]  # the first rule needs what the second makes


@pytest.mark.parametrize(
    ("piece", "symbols"),
    [
        (b"abcbc", [b"abc", b"bc"]),  # rank beats order: (a, b) before (b, c) though both apply
        (b"aaa", [b"aa", b"a"]),  # ties: the leftmost pair first
        (b"aaaaa", [b"aaaa", b"a"]),  # a merge of what merges made
        (b"cba", [b"c", b"b", b"a"]),
        (b"ab", [b"ab"]),
        (b"a", [b"a"]),
    ],
    ids=lambda v: str(v),
)
def test_pieces_worked_by_hand(gpu, piece, symbols):
    """The rules, lowest rank first: a b, ab c, b c, a a, aa aa."""
    check_by_hand(gpu, piece, RULES, symbols)


def test_it_is_not_greedy_longest_match(gpus):
    """(b, c) has the lowest rank, so abc never becomes ab·c although ab comes first and abc is a token."""
    check_by_hand(gpus(64), b"abc", [(b"b", b"c"), (b"a", b"b"), (b"ab", b"c")], [b"a", b"bc"])


def test_the_lowest_rank_goes_first_wherever_it_stands(gpus):
    """In abcab, b c in the middle has the lowest rank. Then c a and the first a b are no more, and the last a b is merged."""
    check_by_hand(gpus(64), b"abcab", [(b"b", b"c"), (b"c", b"a"), (b"a", b"b")], [b"a", b"bc", b"ab"])


def test_of_equal_ranks_the_leftmost_goes_first(gpus):
    """Pairs of one rank may overlap, as in aaa: then it matters which goes first, and every tokenizer takes the left one."""
    check_by_hand(gpus(64), b"caaab", [(b"a", b"a")], [b"c", b"aa", b"a", b"b"])


def test_ranks_decide_and_not_ids(gpus):
    """A merge learned early need not make a token of a low id: special tokens, or a file's own order, shift them. Here aac has
    a lower id than ba, and a higher rank."""
    rules = [(b"a", b"c"), (b"b", b"a"), (b"a", b"ac")]
    check_by_hand(gpus(64), b"baacc", rules, [b"ba", b"ac", b"c"], [b"ac", b"aac", b"c", b"a", b"ba", b"b"])


def test_a_new_pair_of_a_lower_rank_goes_before_the_rest(gpus):
    """In five b's, merging the first two makes bb b, which has a lower rank than the b b further right: it goes first. And the
    new and lower pair may be on the left: in cabab, merging the first a b makes c ab, and then cab a."""
    check_by_hand(gpus(64), b"bbbbbcb", [(b"bb", b"b"), (b"b", b"b"), (b"b", b"c")], [b"bbb", b"bb", b"c", b"b"])
    check_by_hand(gpus(64), b"cabab", [(b"c", b"ab"), (b"cab", b"a"), (b"a", b"b")], [b"caba", b"b"])


def test_what_a_merge_makes_has_new_neighbours_on_both_sides(gpus):
    """Merging b c in abca changes two pairs: a b becomes a bc, c a becomes bc a. Ranks that were looked up before are stale."""
    check_by_hand(gpus(64), b"abca", [(b"b", b"c"), (b"a", b"bc"), (b"a", b"b")], [b"abc", b"a"])
    check_by_hand(gpus(64), b"abca", [(b"b", b"c"), (b"bc", b"a"), (b"c", b"a")], [b"a", b"bca"])
    check_by_hand(gpus(64), b"abca", [(b"b", b"c"), (b"a", b"b"), (b"c", b"a")], [b"a", b"bc", b"a"])


def test_a_piece_never_merges_with_its_neighbour(gpus):
    """The pieces' bytes stand side by side in one buffer. Where one ends, the next may not be looked at."""
    check(gpus(64), [b"a", b"b", b"ca", b"ab", b"cb", b"c", b"aaa", b"a"], RULES)


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


words = st.text("abc", min_size=1, max_size=40).map(str.encode)


@examples(60)
@given(
    rules=rule_sets(),
    pieces=st.lists(words, min_size=1, max_size=40),
    width=st.sampled_from(WIDTHS),
    whole_first=st.booleans(),
)
@example(rules=RULES, pieces=[b"aaaabcabcaab"] * 33, width=32, whole_first=False)
@example(rules=[(b"a", b"a")], pieces=[b"a" * 1009, b"a"], width=64, whole_first=False)
@example(rules=LOWER, pieces=[b"ababcabcab", b"cababab"], width=64, whole_first=False)  # new and lower
def test_equals_the_reference_for_any_rules_pieces_and_width(gpus, rules, pieces, width, whole_first):
    """The reference walks through the rules from the top for every single merge; however the kernel does it, it must agree."""
    check(gpus(width), pieces, rules, whole_first=whole_first)


@examples(25)
@given(rules=rule_sets(), pieces=st.lists(words, min_size=2, max_size=8), data=st.data())
def test_pieces_together_are_as_pieces_apart(gpus, rules, pieces, data):
    """Concatenation at piece boundaries: what else is in the text changes nothing about a piece."""
    cut, tokens = data.draw(st.integers(1, len(pieces) - 1), label="cut"), tokens_of(rules)
    parts = [run(gpus(64), part, rules, tokens) for part in (pieces[:cut], pieces[cut:])]
    together = tuple(np.concatenate(one) for one in zip(*parts, strict=True))
    assert_pieces(together, expected(pieces, rules, tokens), pieces, tokens)


@examples(25)
@given(rules=rule_sets(), piece=words)
def test_bytes_of_the_symbols_joined_are_the_piece(gpus, rules, piece):
    """Lossless: merging moves borders between symbols and never a byte."""
    tokens = tokens_of(rules)
    counts, ids = run(gpus(64), [piece], rules, tokens)
    assert counts[0] <= len(piece), f"a piece of {len(piece)} bytes has {counts[0]:,} symbols"
    assert (ids[: counts[0]] < len(tokens)).all(), "an id that is none"
    assert b"".join(tokens[i] for i in ids[: counts[0]]) == piece


@pytest.mark.parametrize("count", [1, 31, 32, 33, 1025], ids="pieces{}".format)
def test_any_number_of_pieces(gpu, count):
    """The dispatch is rounded up to whole threadgroups: threads past the last piece must do nothing."""
    check(gpu, drawn(count), RULES)


def drawn(count, letters=b"abc", longest=8, seed=None):
    """Random pieces, by a seed."""
    rng = np.random.default_rng(count if seed is None else seed)
    return [rng.choice(np.frombuffer(letters, np.uint8), rng.integers(1, longest + 1)).tobytes() for _ in range(count)]


def test_a_piece_that_is_a_token_is_taken_whole_where_the_vocabulary_asks_for_it(gpus):
    """tiktoken's and Llama 3's vocabularies hold tokens that no merges lead to. Others never ask, and then it must not be."""
    rules, tokens = [(b"b", b"c"), (b"a", b"b")], [b"a", b"b", b"c", b"ab", b"bc", b"abc", b"cab"]
    check_by_hand(gpus(64), b"abc", rules, [b"abc"], tokens, whole_first=True)
    check_by_hand(gpus(64), b"abc", rules, [b"a", b"bc"], tokens, whole_first=False)
    for whole_first in (True, False):
        check(gpus(64), [b"abc", b"abca", b"a", b"cab", b"cabc", b"bc", b"abc"], rules, tokens, whole_first)


# Strings of equal FNV-1a hash, known ones and some found by search: the first two are of one length, the last is the one before
# it and two letters more.
CLASHES = [[b"declinate", b"macallums"], [b"liquid", b"costarring"], [b"viudtn", b"viudtnki"]]
ALPHABET = bytes(range(97, 123))


def chain(words):
    """The rules that make each word letter by letter, from its front."""
    return list(dict.fromkeys((word[:n], word[n : n + 1]) for word in words for n in range(1, len(word))))


@pytest.mark.parametrize("order", [1, -1], ids=["forwards", "backwards"])
@pytest.mark.parametrize("clash", CLASHES, ids=lambda words: words[1].decode())
def test_tokens_of_equal_hash_are_told_apart_by_length_and_bytes(gpus, clash, order):
    """Two tokens share all 32 bits of their hash. Whichever stands first in the table, each piece must find its own."""
    assert token_hash(clash[0]) == token_hash(clash[1])
    rules = chain(clash)
    tokens = sorted(tokens_of(rules, ALPHABET), key=lambda t: (len(t), t))[::order]
    assert run(gpus(256), clash, rules, tokens)[0].tolist() == [1, 1]
    check(gpus(256), clash, rules, tokens)


HOME = b" 0@P`p"  # six bytes whose hash ends in 1111: with six tokens the table has 16 slots, and all want the last one
PAIRS = [(1, 0), (2, 0), (2, 1), (3, 1), (4, 0), (5, 1)]  # of ids: all want the last of 16 slots too


def test_a_probe_for_a_token_goes_past_other_tokens_and_round_the_end_of_the_table(gpus):
    """Six tokens want one slot, the table's last: they stand in 15, 0, 1, 2, 3 and 4. Only a free slot ends a probe."""
    tokens = [bytes([byte]) for byte in HOME]
    assert table_size(len(tokens)) == 16 and {token_hash(token) % 16 for token in tokens} == {15}
    check(gpus(64), [*tokens, HOME, HOME[::-1], b"\x80", b" \x80p", b"x"], [], tokens)


def planted():
    """Rules whose six pairs want one slot, the last of 16, and pieces that ask for other pairs which want it too."""
    letters = [bytes([byte]) for byte in b"abcdef"]
    rules = [(letters[left], letters[right]) for left, right in PAIRS]
    pieces = [left + right for left in letters for right in letters]
    return [*pieces, b"abcdef", b"fedcba", b"bbaaccbbddaaeeffab"], rules, letters + [left + right for left, right in rules]


def test_a_probe_for_a_pair_goes_past_other_pairs_and_round_the_end_of_the_table(gpus):
    """Six merges want one slot, as do pairs that are none: a slot with the same left or right id alone is no match."""
    pieces, rules, tokens = planted()
    assert table_size(len(rules)) == 16 and {pair_hash(*pair) % 16 for pair in [*PAIRS, (1, 1), (3, 0), (5, 0)]} == {15}
    check(gpus(64), pieces, rules, tokens)


def test_a_hash_collision_is_never_taken_for_a_match(gpus, monkeypatch):
    """Tables as full as they can be, so that nearly every look-up meets other keys first, and pairs that are no merge are asked
    for all the time: each must compare the whole key and go on."""
    monkeypatch.setattr(tables, "table_size", lambda entries: max(2, 1 << entries.bit_length()))
    rules = [(bytes([x]), bytes([y])) for x in b"abcdefg" for y in b"abcdefg" if (x + y) % 3]
    letters = b"abcdefgh"
    check(gpus(64), drawn(50, letters, 20), rules, tokens_of(rules, letters))


HIGH = [(b"\xc3", b"\xa9"), (b"\xf0", b"\x9f"), (b"\xf0\x9f", b"\x99\x82"), (b"\x99", b"\x82"), (b"\x80", b"\xff")]


def test_bytes_from_128_up_are_bytes_like_any_other(gpus):
    """All letters but the Latin ones, and every emoji, are made of them. A hash of signed bytes looks for them elsewhere."""
    letters = bytes(range(0x60, 0x100))
    pieces = ["é".encode(), "🙂".encode(), b"a\xff\x80\xff", letters]
    check(gpus(64), pieces, HIGH, tokens_of(HIGH, letters))


def test_a_byte_that_is_no_token_gives_none_and_merges_with_nothing(gpus):
    """The host refuses such bytes before, or leaves them out; a kernel that is given one must still end, and say so by NONE."""
    tokens = tokens_of(RULES)
    want = packed([b"abxab"], [[tokens.index(b"ab"), NONE, tokens.index(b"ab")]])
    assert_pieces(run(gpus(32), [b"abxab"], RULES, tokens), want, [b"abxab"], tokens)


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


def test_the_tables_of_the_worked_example():
    """The README's slots: c and bc want the same one; so do the pairs (ab, c) and (b, c)."""
    tokens = [b"a", b"b", b"c", b"ab", b"abc", b"bc"]
    table = tables.vocabulary_table(tokens[::-1], np.arange(6)[::-1])
    assert {tokens[i]: n for n, (_, i) in enumerate(table.tolist()) if i != NONE} == {
        b"a": 12,
        b"b": 5,
        b"c": 3,
        b"ab": 10,
        b"abc": 11,
        b"bc": 2,
    }
    assert [token_hash(t) for t in (b"a", b"c", b"bc")] == [0xE40C292C, 0xE60C2C52, 0x3E2BA9F2] and token_hash(b"d") % 16 == 3
    assert pair_hash(3, 2) % 8 == pair_hash(1, 2) % 8 == 6


CASES = [
    ([b"abcbc", b"aaa", b"aaaaa", b"ab", b"aa"], RULES, tokens_of(RULES), False),
    (
        [b"abcab", b"abca"],
        [(b"b", b"c"), (b"c", b"a"), (b"a", b"b")],
        tokens_of([(b"b", b"c"), (b"c", b"a"), (b"a", b"b")]),
        False,
    ),
    ([b"bbbbbcb"], [(b"bb", b"b"), (b"b", b"b"), (b"b", b"c")], [b"a", b"c", b"bbb", b"bc", b"b", b"bb"], False),
    ([b"baacc"], [(b"a", b"c"), (b"b", b"a"), (b"a", b"ac")], [b"ac", b"aac", b"c", b"a", b"ba", b"b"], False),
    ([b"abca"], [(b"b", b"c"), (b"a", b"b"), (b"c", b"a")], tokens_of([(b"b", b"c"), (b"a", b"b"), (b"c", b"a")]), False),
    ([b"abc"], [(b"b", b"c"), (b"a", b"b")], [b"a", b"b", b"c", b"ab", b"bc", b"abc"], True),
    *[(clash, chain(clash), sorted(tokens_of(chain(clash), ALPHABET), key=len), False) for clash in CLASHES],
    ([HOME], [], [bytes([byte]) for byte in HOME], False),
    (*planted(), False),
    (["é".encode()], HIGH, tokens_of(HIGH, bytes(range(0x60, 0x100))), False),
]


@pytest.mark.parametrize("sentence", MISTAKES)
def test_known_mistakes_differ_on_the_specs_own_inputs(sentence):
    """An input on which a wrong kernel gives the right ids proves nothing about it."""
    made = [(MISTAKES[sentence](*case), expected(*case)) for case in CASES]
    assert any((got[0] != want[0]).any() or (got[1] != want[1]).any() for got, want in made)


def test_a_misfit_is_named_before_launch(gpus):
    with pytest.raises(ValueError, match="a piece must hold at least one byte"):
        op(gpus(32), RULES, tokens_of(RULES))([b"a", b""])
    with pytest.raises(ValueError, match="no tokens"):
        Bpe(gpus(32), Vocabulary(tokens=[], merges=np.empty((0, 2), np.uint32)))
