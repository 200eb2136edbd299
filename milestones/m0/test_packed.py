"""Byte strings packed into arrays, and many looked up at once: the same as with lists and a dict."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import examples
from milestones.m0.packed import Index, Packed, Strings, joined, same

few = st.lists(st.binary(max_size=3) | st.text("ab", max_size=2).map(str.encode), max_size=12)


@examples(20)
@given(held=few, wanted=few)
@example(held=[b"\0", b"", b"\0\0"], wanted=[b"\0\0", b"\0", b"", b"\0\0\0"])
def test_an_index_finds_what_a_dict_finds(held, wanted):
    """Of equal strings the first counts, and a string of zeros is not an empty one."""
    by_bytes = {text: i for i, text in reversed(list(enumerate(held)))}
    found = Index(Packed.of(held)).find(Packed.of(wanted))
    assert found.tolist() == [by_bytes.get(text, -1) for text in wanted]


def twins() -> list[bytes]:
    """Two strings of one hash: the Thue–Morse word and its complement, alike for sums of an odd base's powers."""
    bits = [bin(i).count("1") & 1 for i in range(1 << 11)]
    return [bytes(bits), bytes(1 - bit for bit in bits)]


def test_strings_of_one_hash_are_told_apart():
    """A file may be made so that hashes meet: the bytes must decide."""
    first, second = twins()
    packed = Packed.of([first, second])
    assert np.ptp(packed.hashes()) == 0 and first != second
    assert Index(packed).find(Packed.of([second, first, b"x"])).tolist() == [1, 0, -1]
    assert Index(Packed.of([first])).find(Packed.of([second])).tolist() == [-1]


@examples(20)
@given(pairs=st.lists(st.tuples(st.binary(max_size=4), st.binary(max_size=4)), max_size=8))
def test_two_strings_together_have_the_hash_of_the_whole(pairs):
    """A merge's whole is looked up without being hashed again."""
    left, right = (Packed.of([pair[side] for pair in pairs]) for side in (0, 1))
    both = left.before(right)
    assert both == [a + b for a, b in pairs]
    assert (joined(left.hashes(), left.lengths, right.hashes()) == both.hashes()).all()
    everything = np.arange(len(pairs))
    assert same(left, everything, right, everything).tolist() == [a == b for a, b in pairs]


@examples(20)
@given(texts=st.lists(st.text(st.characters(categories=["L", "Nd", "Cs"]), max_size=3), max_size=6))
@example(texts=["\ud800", "é", ""])
def test_strings_are_a_list_of_text(texts):
    """Half of a surrogate pair, which JSON may hold, comes back too."""
    held = Strings.of(texts)
    assert held == texts and held[1:] == texts[1:] and len(held) == len(texts) and Strings.of(held) is held
    assert [held[i] for i in range(-len(texts), 0)] == texts
