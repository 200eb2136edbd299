"""The values of a GGUF file's metadata, read with every step checked against the file's end.

No count or length in the file is believed before it is known to fit into the bytes that are left; nothing is allocated
from one. What is wrong becomes a UserError of one line that names the file.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from milestones.errors import UserError
from milestones.m0.packed import Packed, Strings

STRING, ARRAY, BOOL = 8, 9, 7
# value type → struct letter, little-endian
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", BOOL: "B", 10: "Q", 11: "q", 12: "d"}
MAX_ELEMENTS = 1 << 24  # of all arrays together; the largest vocabularies are a sixtieth of that
MAX_STRING = 1 << 26
MAX_NESTING = 4
LISTS = (list, Strings)  # what an array becomes
_FORMS = {letter: struct.Struct("<" + letter) for letter in SCALARS.values()}
_length = _FORMS["Q"].unpack_from


def quoted(text: object) -> str:
    """A name from a file (or a file's name) fit for one line: unprintable characters escaped, cut if very long."""
    shown = str(text)
    if not shown.isprintable():
        shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)
    return shown if len(shown) <= 200 else f"{shown[:120]}… ({len(shown)} characters)"


class Cursor:
    """Reads a file front to back. Every method raises UserError where the file ends too early or says what cannot be."""

    def __init__(self, path: Path, data: bytes | mmap.mmap):
        self._path, self._data, self._end = path, data, len(data)
        self._room = MAX_ELEMENTS
        self.at = 0
        self.what = "the header"  # what is being read, for messages

    def fail(self, problem: str) -> NoReturn:
        raise UserError(f"{quoted(self._path)}: {problem}: get the file again, or another one")

    def need(self, count: int, each: int = 1) -> None:
        """Assert that `count` things of at least `each` bytes can still come."""
        if count * each > self._end - self.at:
            left = self._end - self.at
            self.fail(f"truncated or damaged: {self.what} needs {count * each:,} bytes at byte {self.at:,}, {left:,} are left")

    def scalar(self, letter: str) -> Any:
        form = _FORMS[letter]
        self.need(form.size)
        self.at += form.size
        return form.unpack_from(self._data, self.at - form.size)[0]

    def string(self) -> str:
        return self._one_by_one(1)[0]

    def value(self, kind: int, depth: int = 0) -> Any:
        """A metadata value: int, float, bool, str, or a list of those (or of lists; of str: a Strings)."""
        if kind == STRING:
            return self.string()
        if kind == ARRAY:
            return self._array(depth + 1)
        if kind not in SCALARS:
            self.fail(f"{self.what} has value type {kind}, which GGUF does not know")
        value = self.scalar(SCALARS[kind])
        if kind == BOOL:
            self._check_bool(value)
            return bool(value)
        return value

    def _array(self, depth: int) -> Sequence[Any]:
        if depth > MAX_NESTING:
            self.fail(f"{self.what} has arrays nested more than {MAX_NESTING} deep")
        kind, count = self.scalar("I"), self.scalar("Q")
        if kind not in SCALARS and kind not in (STRING, ARRAY):
            self.fail(f"{self.what} is an array of value type {kind}, which GGUF does not know")
        smallest = {STRING: 8, ARRAY: 12}.get(kind) or struct.calcsize(SCALARS[kind])
        self.need(count, smallest)
        self._room -= count
        if self._room < 0:
            self.fail(f"{self.what} has {count:,} elements; all arrays together may have {MAX_ELEMENTS:,}")
        if kind == STRING:
            return self._strings(count)
        if kind == ARRAY:
            return [self._array(depth + 1) for _ in range(count)]
        numbers = np.frombuffer(self._data, np.dtype(SCALARS[kind]).newbyteorder("<"), count, self.at)
        self.at += numbers.nbytes
        if kind != BOOL:
            return numbers.tolist()
        self._check_bool(int(numbers.max(initial=0)))
        return numbers.astype(bool).tolist()

    def _strings(self, count: int) -> Strings:
        """Many strings, none of them made yet: the one loop that a large vocabulary makes hot, hence without a check in it."""
        data, at, found = self._data, self.at + 8, []
        try:
            for _ in range(count):
                found.append(at)
                at += _length(data, at - 8)[0] + 8
        except (struct.error, OverflowError):
            self._one_by_one(count)  # which refuses
        if at - 8 > self._end:
            self._one_by_one(count)
        begin = np.array([*found, at], np.int64)
        if np.diff(begin).max(initial=0) > MAX_STRING + 8:
            self._one_by_one(count)
        text = bytearray(data[self.at : at - 8])
        array, offsets = np.frombuffer(text, np.uint8), begin - self.at
        array[(offsets[:-1, None] - np.arange(1, 9)).reshape(-1)] = 0  # the lengths
        try:
            text.decode()  # a character that is cut does not go on after a 0
        except UnicodeDecodeError:
            self._one_by_one(count)
        self.at = at - 8
        return Strings(Packed.cut(array, offsets[:-1], offsets[1:] - 8))

    def _one_by_one(self, count: int) -> list[str]:
        data, end, at = self._data, self._end, self.at
        found: list[str] = []
        for _ in range(count):
            begin = at + 8
            if begin > end:
                self.at = at
                self.need(8)
            at = begin + _length(data, begin - 8)[0]
            if at > end or at - begin > MAX_STRING:
                self.at = begin
                self.need(at - begin)
                self.fail(f"{self.what} has a string of {at - begin:,} bytes; at most {MAX_STRING:,} are read")
            try:
                found.append(data[begin:at].decode())
            except UnicodeDecodeError:
                self.fail(f"{self.what} has a string at byte {begin:,} that is not UTF-8")
        self.at = at
        return found

    def _check_bool(self, largest: int) -> None:
        if largest > 1:
            self.fail(f"{self.what} is a truth value of {largest}; only 0 and 1 are")
