"""The spec of distinct: pieces of the same bytes are found, and none that differ."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import examples
from milestones.m6.distinct import Distinct
from reference.compare import assert_same
from reference.diagnosis import watched
from reference.distinct import distinct
from reference.mistakes.distinct import MISTAKES


@watched("distinct")
def run(gpu, pieces):
    """Of each piece the first of those for which the same piece stands, uint32: which one stands for them is open."""
    offsets = np.cumsum([0, *map(len, pieces)])
    text = b"".join(pieces) + b"\xff" * (8 - offsets[-1] % 4)
    same = Distinct(gpu)(gpu.tensor(np.frombuffer(text, np.uint8)), gpu.tensor(offsets, np.uint32))
    gpu.sync()
    chosen, classes = same.numpy(), {}
    if (chosen >= len(pieces)).any():
        return chosen
    for index, one in enumerate(chosen.tolist()):
        classes.setdefault(one, index)
    assert all(chosen[one] == one for one in classes), "a piece that stands for others must stand for itself"
    return np.array([classes[one] for one in chosen.tolist()], np.uint32)


def expected(pieces):
    """None: which pieces are the same is no matter of rounding."""
    return np.array(distinct(pieces), np.uint32)


def drawn(count):
    """Pieces of a small alphabet, so that many come again, and many differ only in their length or in one byte."""
    rng = np.random.default_rng(count)
    return [rng.integers(97, 100, int(n), np.uint8).tobytes() for n in rng.integers(1, 6, count)]


def test_a_sentence_worked_by_hand(gpu):
    """The second "the" is the first one, " the" is another piece."""
    assert run(gpu, [b"the", b" cat", b" the", b"the", b"t"]).tolist() == [0, 1, 2, 0, 4]


@pytest.mark.parametrize("count", [2, 31, 33, 1025])
def test_all_pieces_that_are_the_same_are_found(gpus, count):
    """Threads of several threadgroups meet in one slot: all must come to the same piece."""
    pieces = drawn(count)
    assert_same(run(gpus(64), pieces), expected(pieces))


def test_pieces_that_want_one_slot_are_told_apart(gpus):
    """A thousand pieces in two thousand slots: many meet another one there, and the bytes must decide."""
    pieces = [b"%d" % (i * i) for i in range(1000)] * 2
    assert_same(run(gpus(64), pieces), expected(pieces))


def test_pieces_that_meet_are_told_apart_by_their_last_byte_and_their_length(gpus):
    """256 pieces of one byte, and pieces that each begin the next: where two want one slot, only that tells them apart."""
    bytes_, longer = [bytes([b]) for b in range(256)], [b"a" * n for n in range(2, 400)]
    assert_same(run(gpus(64), bytes_ + longer), expected(bytes_ + longer))


@pytest.mark.parametrize("place", [4, 5, 6, 7, 8])
def test_pieces_that_meet_are_told_apart_by_any_byte(gpus, place):
    """Ten bytes of which one differs, behind the first word: where two pieces want one slot, it must be looked at."""
    pieces = [b"0123456789"[:place] + bytes([b]) + b"0123456789"[place + 1 :] for b in range(256)]
    assert_same(run(gpus(64), pieces), expected(pieces))


def test_one_piece_many_times_is_one_piece(gpus):
    """Every thread goes for the same slot at once."""
    pieces = [b" "] * 2000 + [b"  "]
    assert_same(run(gpus(256), pieces), expected(pieces))


def test_long_pieces_that_differ_at_the_end_are_not_the_same(gpus):
    """A comparison that stops early would take them for one."""
    pieces = [b"x" * 999 + last for last in (b"a", b"b", b"a", b"", b"aa")]
    assert_same(run(gpus(32), pieces), expected(pieces))


@pytest.mark.parametrize("mistake", MISTAKES)
def test_known_mistakes_show_on_these_inputs(mistake):
    """What a spec's inputs cannot tell apart, it cannot refuse."""
    assert (MISTAKES[mistake](drawn(33)) != expected(drawn(33))).any(), f"these inputs do not tell: {mistake}"


@examples(15)
@given(pieces=st.lists(st.binary(min_size=1, max_size=3) | st.sampled_from([b"a", b"ab"]), min_size=1, max_size=40))
@example(pieces=[b"\0", b"\0\0", b"\0"])
def test_any_pieces_are_the_same_as_in_a_dict(gpus, pieces):
    """Any bytes: zeros too."""
    assert_same(run(gpus(32), pieces), expected(pieces))


def test_what_cannot_be_run_is_refused_in_words(gpus):
    """One offset is none of a piece, and the last word is read whole."""
    gpu = gpus(32)
    for text, offsets, words in (
        (4, [0], "offsets must be those of 1 to"),
        (5, [0, 1], "text must be of whole words of 4 bytes"),
    ):
        with pytest.raises(ValueError, match=f"distinct: {words}"):
            Distinct(gpu)(gpu.tensor(np.zeros(text, np.uint8)), gpu.tensor(np.uint32(offsets)))
