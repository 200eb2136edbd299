"""Many byte strings as two arrays, and looking all of them up at once: how a vocabulary is read quickly."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

_BASE = 0x9E3779B97F4A7C15  # odd, so it has an inverse
_INVERSE = pow(_BASE, -1, 1 << 64)


class Packed(Sequence[bytes]):
    """A sequence of byte strings: string i is data[offsets[i] … offsets[i + 1]). data uint8, offsets int64 (n + 1).

    >>> list(Packed.of([b"ab", b"", b"c"]))
    [b'ab', b'', b'c']
    """

    def __init__(self, data: np.ndarray, offsets: np.ndarray):
        self.data, self.offsets = data, offsets

    @classmethod
    def of(cls, strings: Iterable[bytes]) -> Packed:
        """The same strings; themselves, if they are packed already."""
        if isinstance(strings, Packed):
            return strings
        held = list(strings)
        return cls(np.frombuffer(b"".join(held), np.uint8), _offsets(np.fromiter(map(len, held), np.int64, len(held))))

    @property
    def lengths(self) -> np.ndarray:
        return np.diff(self.offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: Any) -> Any:
        """A string; a list of them for a slice."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        at = range(len(self))[index]
        return self.data[self.offsets[at] : self.offsets[at + 1]].tobytes()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def take(self, indices: np.ndarray) -> Packed:
        """The strings at those indices."""
        lengths = self.lengths[indices]
        return Packed(_gather(self.data, self.offsets[:-1][indices], lengths), _offsets(lengths))

    @classmethod
    def cut(cls, data: np.ndarray, begin: np.ndarray, end: np.ndarray) -> Packed:
        """The strings data[begin[i] … end[i])."""
        return cls(_gather(data, begin, end - begin), _offsets(end - begin))

    def before(self, right: Packed) -> Packed:
        """String i of this one and string i of `right`, one after the other."""
        begin = np.stack([self.offsets[:-1], right.offsets[:-1] + len(self.data)], axis=1).reshape(-1)
        lengths = np.stack([self.lengths, right.lengths], axis=1)
        data = _gather(np.concatenate([self.data, right.data]), begin, lengths.reshape(-1))
        return Packed(data, _offsets(lengths.sum(axis=1)))

    def hashes(self) -> np.ndarray:
        """Σ (byte + 1) × base^place of each string, uint64; `joined` gives that of two strings, one after the other."""
        powers = _powers(_BASE, len(self.data))
        sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum((self.data.astype(np.uint64) + np.uint64(1)) * powers[:-1])])
        begin, end = self.offsets[:-1], self.offsets[1:]
        return (sums[end] - sums[begin]) * _powers(_INVERSE, len(self.data))[begin]


def joined(left: np.ndarray, lengths: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The hashes of strings left + right from theirs; `lengths` are those of the left ones."""
    return left + right * _powers(_BASE, int(lengths.max(initial=0)))[lengths]


class Index:
    """Finds many strings at once among `strings`: a hash says where to look, the bytes decide. Of equals the first."""

    def __init__(self, strings: Packed):
        self._strings, hashes = strings, strings.hashes()
        self._order = np.argsort(hashes, kind="stable")
        self._sorted = hashes[self._order]
        twins = np.flatnonzero(self._sorted[1:] == self._sorted[:-1])
        self._by_bytes: dict[bytes, int] | None = None
        if not same(strings, self._order[twins], strings, self._order[twins + 1]).all():  # two that differ have one hash
            self._by_bytes = {text: i for i, text in reversed(list(enumerate(strings)))}

    def find(self, wanted: Packed, hashes: np.ndarray | None = None) -> np.ndarray:
        """The index of each, int64; -1 for one that is not there. `hashes` are `wanted.hashes()`, if they are known."""
        if self._by_bytes is not None:
            return np.fromiter((self._by_bytes.get(text, -1) for text in wanted), np.int64, len(wanted))
        found = np.full(len(wanted), -1, np.int64)
        if not len(self._sorted):
            return found
        hashes = wanted.hashes() if hashes is None else hashes
        at = np.minimum(np.searchsorted(self._sorted, hashes), len(self._sorted) - 1)
        alike = np.flatnonzero(self._sorted[at] == hashes)
        there = self._order[at[alike]]
        equal = same(wanted, alike, self._strings, there)
        found[alike[equal]] = there[equal]
        return found


def same(a: Packed, of_a: np.ndarray, b: Packed, of_b: np.ndarray) -> np.ndarray:
    """Whether string of_a[i] of `a` and string of_b[i] of `b` are equal, for every i."""
    lengths = a.lengths[of_a]
    equal = lengths == b.lengths[of_b]
    at = np.flatnonzero(equal & (lengths > 0))
    if at.size:
        lengths = lengths[at]
        differs = _gather(a.data, a.offsets[of_a[at]], lengths) != _gather(b.data, b.offsets[of_b[at]], lengths)
        equal[at] = ~np.logical_or.reduceat(differs, _offsets(lengths)[:-1])
    return equal


def _gather(data: np.ndarray, begin: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    offsets = _offsets(lengths)
    return data[np.arange(offsets[-1]) + np.repeat(begin - offsets[:-1], lengths)]


def _offsets(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])


def _powers(base: int, most: int) -> np.ndarray:
    """base^0 … base^most modulo 2⁶⁴."""
    powers = np.full(most + 1, base, np.uint64)
    powers[0] = 1
    return np.cumprod(powers, dtype=np.uint64)


class Strings(Sequence[str]):
    """A sequence of str, kept as the bytes of their UTF-8 (a lone surrogate as if it were a character)."""

    def __init__(self, packed: Packed):
        self.packed = packed

    @classmethod
    def of(cls, texts: Sequence[str]) -> Strings:
        """The same texts; themselves, if they are kept so already."""
        return texts if isinstance(texts, Strings) else cls(Packed.of([t.encode("utf-8", "surrogatepass") for t in texts]))

    def __len__(self) -> int:
        return len(self.packed)

    def __getitem__(self, index: Any) -> Any:
        """A text; a list of them for a slice."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return self.packed[index].decode("utf-8", "surrogatepass")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and not isinstance(other, str) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(list(self))
