"""Wrong Philoxes, by what each does. Every one takes what the spec's `run` takes: counters (n, 4) and the key."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

MASK = 2**32 - 1
Words = tuple[int, int, int, int]


def _halves(left: int, right: int) -> tuple[int, int]:
    return (left * right) >> 32, (left * right) & MASK


def _signed(left: int, right: int) -> tuple[int, int]:
    """Halves of the product of two words taken for signed ones."""
    product = (left - (left >> 31 << 32)) * (right - (right >> 31 << 32))
    return (product >> 32) & MASK, product & MASK


def _with(
    rounds: int = 10,
    multipliers: tuple[int, int] = (0xD2511F53, 0xCD9E8D57),
    bumps: tuple[int, int] = (0x9E3779B9, 0xBB67AE85),
    product: Callable[[int, int], tuple[int, int]] = _halves,
    key_of: Callable[[int], tuple[int, int]] = lambda key: (key & MASK, key >> 32),
    before: bool = False,
    mixed: Callable[[Words, int, int, int, int], Words] = lambda old, h0, l0, h1, l1: (h1 ^ old[1], l1, h0 ^ old[3], l0),
    keyed: tuple[int, int] = (0, 2),
) -> Callable:
    """Philox4x32 with one of its parts replaced."""

    def one(counter: Sequence[int], key: int) -> Words:
        words: Words = tuple(int(word) for word in counter)  # type: ignore[assignment]
        low, high = key_of(key)
        for _ in range(rounds):
            if before:
                low, high = (low + bumps[0]) & MASK, (high + bumps[1]) & MASK
            made = list(mixed(words, *product(words[0], multipliers[0]), *product(words[2], multipliers[1])))
            made[keyed[0]] ^= low
            made[keyed[1]] ^= high
            words = (made[0], made[1], made[2], made[3])
            if not before:
                low, high = (low + bumps[0]) & MASK, (high + bumps[1]) & MASK
        return words

    def result(counters: Sequence[Sequence[int]], key: int) -> np.ndarray:
        return np.array([one(counter, key) for counter in counters], np.uint32)

    return result


def _serial(words: Words, *_: int) -> Words:
    """The new words stored one after the other: the second product is made of a word that has changed."""
    x, y, _z, w = words
    h0, l0 = _halves(x, 0xD2511F53)
    z_new = h0 ^ w
    h1, l1 = _halves(z_new, 0xCD9E8D57)
    return h1 ^ y, l1, z_new, l0


RIGHT = _with()

MISTAKES: dict[str, Callable] = {
    "Philox with 9 rounds": _with(9),
    "Philox with 11 rounds": _with(11),
    "Philox with 7 rounds, its weaker sister": _with(7),
    "the counters as they are: no round at all": _with(0),
    "Philox with one key for all rounds: it is not bumped": _with(bumps=(0, 0)),
    "Philox with the key bumped before the first round": _with(before=True),
    "Philox with the key's two increments swapped": _with(bumps=(0xBB67AE85, 0x9E3779B9)),
    "Philox with the high word of the key ignored": _with(key_of=lambda key: (key & MASK, 0)),
    "Philox with the key's words swapped": _with(key_of=lambda key: (key >> 32, key & MASK)),
    "Philox with the key's low word used twice": _with(key_of=lambda key: (key & MASK, key & MASK)),
    "Philox with the multipliers swapped": _with(multipliers=(0xCD9E8D57, 0xD2511F53)),
    "Philox with the halves of its products swapped": _with(product=lambda a, b: _halves(a, b)[::-1]),
    "Philox with the low half of a product in place of the high one": _with(product=lambda a, b: (_halves(a, b)[1],) * 2),
    "Philox with signed products": _with(product=_signed),
    "Philox with products of 32 bits: the high halves are 0": _with(product=lambda a, b: (0, a * b & MASK)),
    "Philox that forgets counter words 1 and 3": _with(mixed=lambda old, h0, l0, h1, l1: (h1, l1, h0, l0)),
    "Philox with its two products in each other's place": _with(
        mixed=lambda old, h0, l0, h1, l1: (h0 ^ old[1], l0, h1 ^ old[3], l1)
    ),
    "Philox whose new words are stored one by one, and read again too early": _with(mixed=_serial),
}
