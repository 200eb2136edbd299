"""The spec of philox. Source: Salmon, Moraes, Dror, Shaw: Parallel Random Numbers: As Easy as 1, 2, 3 (SC 2011)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import WIDTHS, examples
from milestones.m3.philox import Philox
from reference.compare import assert_same
from reference.diagnosis import watched
from reference.mistakes.philox import MISTAKES
from reference.philox import philox, uniform

# Random123's published known answers for philox4x32 with 10 rounds (its file kat_vectors): counter, key (low word first), words
PUBLISHED = {
    "zeros": ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    "ones": ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    "pi": ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
}
words = st.integers(0, 2**32 - 1)


@watched("philox")
def run(gpu, counters, key):
    out = Philox(gpu)(gpu.tensor(counters, np.uint32), key=key)
    gpu.sync()
    return out.numpy()


@pytest.mark.parametrize("name", PUBLISHED)
def test_equals_the_published_vectors(gpu, name):
    """The paper's authors published what goes in and what comes out; a wrong constant shows at once."""
    counter, key, out = ([int(word, 16) for word in text.split()] for text in PUBLISHED[name])
    whole = key[0] | key[1] << 32
    assert list(philox(tuple(counter), whole)) == out, "the reference is wrong"
    assert_same(run(gpu, [counter], whole), np.uint32([out]))


@pytest.mark.parametrize("mistake", MISTAKES)
def test_known_mistakes_show_on_these_inputs(mistake):
    """What a spec's inputs cannot tell apart, it cannot refuse: each known mistake gives another word here."""
    counter, key = (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), 0x299F31D0A4093822
    assert MISTAKES[mistake]([counter], key).tolist() != [list(philox(counter, key))], f"these inputs do not tell: {mistake}"


@examples(25)
@given(
    counters=st.lists(st.tuples(words, words, words, words), min_size=1, max_size=70),
    key=st.integers(0, 2**64 - 1),
    width=st.sampled_from(WIDTHS),
)
@example(counters=[(1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)] * 9, key=2**32, width=32)
def test_kernel_and_reference_agree_bit_for_bit(gpus, counters, key, width):
    """Any counters, any key of 64 bits, any number of counters."""
    assert_same(run(gpus(width), counters, key), np.uint32([philox(counter, key) for counter in counters]))


def test_every_word_of_counter_and_key_matters(gpus):
    """One bit changed in any of the six words of input changes about half of the 128 that come out (within six deviations)."""
    counter, key = np.uint32([1, 2, 3, 4]), 5 | 6 << 32
    base = run(gpus(32), counter[None], key)
    changed = [run(gpus(32), counter[None] ^ np.uint32(1 << 31) * np.eye(4, dtype=np.uint32)[[word]], key) for word in range(4)]
    changed += [run(gpus(32), counter[None], key ^ 1), run(gpus(32), counter[None], key ^ 1 << 32)]
    for other in changed:
        assert abs(int(np.bitwise_count(base ^ other).sum()) - 64) < 6 * 32**0.5, "a word of the input hardly matters"


def test_writes_nothing_past_its_counters(gpus):
    """Threads of the rounded-up tail have no counter: neither may they read one."""
    counters = [(i, 7, 0, 9) for i in range(33)]
    assert_same(run(gpus(1024), counters, 3), np.uint32([philox(counter, 3) for counter in counters]))


def test_a_uniform_number_is_24_bits_below_one():
    """So that float32 holds it exactly, and it is never 1, which would exceed every sum."""
    numbers = [uniform(seed=5, step=step) for step in range(2000)]
    assert all(0 <= u < 1 and (u * 2**24).is_integer() and np.float32(u) == u for u in numbers)
    assert abs(np.mean(numbers) - 0.5) < 4 * (1 / 12 / 2000) ** 0.5, "four standard errors"


def test_a_misfit_is_named_before_launch(gpus):
    gpu = gpus(256)
    with pytest.raises(ValueError, match=r"shape \(n, 4\), they have \(8,\)"):
        Philox(gpu)(gpu.empty((8,), "uint32"), key=0)
    with pytest.raises(ValueError, match="key must be from 0 to 2⁶⁴ − 1, got -1"):
        Philox(gpu)(gpu.empty((1, 4), "uint32"), key=-1)
    with pytest.raises(ValueError, match="counters must be uint32, got float32"):
        Philox(gpu)(gpu.empty((1, 4)), key=0)
