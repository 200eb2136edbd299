"""The spec of what reaches a person: whole text before a stop string, even one that spans tokens."""

from __future__ import annotations

import itertools

from hypothesis import example, given
from hypothesis import strategies as st

from milestones.m7.stream import StopText


def through(stops, pieces):
    gate = StopText(stops)
    out = "".join(gate.feed(piece) for piece in pieces)
    return out + gate.flush(), gate.stopped


def test_a_stop_string_that_spans_pieces_is_never_shown():
    assert through(["END"], ["one E", "N", "D two"]) == ("one ", True)


def test_text_that_only_begins_like_a_stop_string_is_shown_in_the_end():
    assert through(["END"], ["one E", "N"]) == ("one EN", False)


def test_the_earliest_of_several_stop_strings_wins():
    assert through(["two", "one"], ["zero one two"]) == ("zero ", True)


@given(
    text=st.text("ab\n", max_size=30),
    stops=st.lists(st.text("ab\n", min_size=1, max_size=4), max_size=3),
    cuts=st.lists(st.integers(0, 30), max_size=6),
)
@example(text="aab", stops=["ab"], cuts=[1, 2])
@example(text="abab", stops=["aba", "b"], cuts=[1])
def test_however_the_text_is_cut_it_ends_before_the_first_stop_string(text, stops, cuts):
    """A worked-out oracle: cut the whole text at the first place where any stop string has been seen complete."""
    edges = [0, *sorted(min(c, len(text)) for c in cuts), len(text)]
    pieces = [text[a:b] for a, b in itertools.pairwise(edges)]
    shown, stopped = through(stops, pieces)
    assert stopped == any(s in text for s in stops)
    assert text.startswith(shown)
    assert not any(s in shown for s in stops)
    if not stopped:
        assert shown == text
    else:
        assert any(text.startswith(s, len(shown)) for s in stops)


@given(text=st.text(max_size=20), cuts=st.lists(st.integers(0, 20), max_size=5))
def test_without_stop_strings_nothing_is_held_back(text, cuts):
    gate = StopText([])
    edges = [0, *sorted(min(c, len(text)) for c in cuts), len(text)]
    for a, b in itertools.pairwise(edges):
        assert gate.feed(text[a:b]) == text[a:b]
