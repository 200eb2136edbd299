"""Memory for checked dispatches, at addresses fixed for the process, so that a checked program has them as constants.

Twenty terabytes of addresses are reserved, and nothing of them is used until it is written. Every buffer of a dispatch gets a
slot of its own with 64 GiB before and behind it: an index of 32 bits cannot leave it, so no access lands in another buffer.
Threadgroup variables stand far apart in the same way, once for every threadgroup that may be running.
"""

from __future__ import annotations

import ctypes
from functools import cache

import numpy as np

from ..errors import error

GROUPS = 256  # threadgroups in one launch
SLOTS = 64  # buffers in one dispatch
ARRAYS = 16  # threadgroup variables of a kernel
KEPT, RECORDS = 3, 4096  # findings kept of one kind at one place, and in all

_BASE = 1 << 44
_SLOT, _ARRAY = 1 << 37, 1 << 22
_TIMES, _FOUND, _STATES, _NOBODY = 1 << 20, 1 << 23, 1 << 24, 1 << 25
_SPARE = 1 << 20  # bytes that are nobody's
_SHARED = _BASE + (1 << 36)
_NOTES_SHARED = _BASE + (1 << 38)
_DEVICE = _BASE + (1 << 43)
_NOTES_DEVICE = _BASE + (1 << 44)
_END = _NOTES_DEVICE + SLOTS * (_SLOT // 2)
NOTE = 32  # bytes of notes for every four of memory

WHATS = (
    *("OUT_READ", "OUT_WRITE", "MISALIGNED", "INDEX", "UNWRITTEN", "PRIVATE", "WRITE_WRITE", "WRITE_READ", "READ_WRITE"),
    *("DIVERGED", "SIMD_DIVERGED", "LANE_OFF", "ZERO", "OVERFLOW", "NOT_ATOMIC", "STRANGE", "ASKED"),
)
# places in a program that can be told apart: a note has 16 bits for one
SITES = min((_FOUND - _TIMES) // (4 * len(WHATS)), 1 << 16)

_BOX = ("grid", "wide", "full", "origin", "boxes", "groups")
BOX = np.dtype([("number", "<u4"), ("descending", "<u4"), *((n, "<u4", 3) for n in _BOX)])
BOUND = np.dtype([("base", "<u8"), ("length", "<u8")])
CONTROL = np.dtype(
    [
        *((n, "<u4") for n in ("stop", "found", "stopped_at", "unused")),
        ("box", BOX),
        ("lengths", "<u8", 65),
        ("bounds", BOUND, 32),
        ("arrays", "<u8", 32),
    ]
)
STATE = np.dtype([("who", "<u8"), ("group", "<u4"), ("rest", "<u4", 61)])
RECORD = np.dtype(
    [("site", "<u4"), ("what", "<u4"), ("index", "<u4"), ("who", "<u4")]
    + [(n, "<u8") for n in ("address", "group", "other", "other_site")]
)


def constants() -> str:
    """The numbers of this file as checked.h wants them."""
    values = {
        "ARENA": _BASE, "TIMES": _TIMES, "FOUND": _FOUND, "STATES": _STATES, "NOBODY": _NOBODY, "SHARED": _SHARED,
        "SHARED_SPAN": GROUPS * ARRAYS * _ARRAY, "NOTES_SHARED": _NOTES_SHARED, "ARRAY": _ARRAY, "ARRAYS": ARRAYS,
        "DEVICE": _DEVICE, "DEVICE_SPAN": SLOTS * _SLOT, "SLOT": _SLOT, "NOTES_DEVICE": _NOTES_DEVICE,
    }  # fmt: skip
    small = {
        "KEPT": KEPT,
        "RECORDS": RECORDS,
        "SPARE": _SPARE,
        "WHATS": len(WHATS),
        **{what: n for n, what in enumerate(WHATS)},
    }
    return "".join(f"#define FL_{n} {v:#x}ul\n" for n, v in values.items()) + "".join(
        f"#define FL_{n} {v}u\n" for n, v in small.items()
    )


class Arena:
    """The reserved addresses. Raises `metal.error` where they are not to be had."""

    def __init__(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        libc.mmap.restype = ctypes.c_void_p
        libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
        libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        read_write, private_anonymous_noreserve_fixed_noreplace = 3, 0x02 | 0x20 | 0x4000 | 0x100000
        got = libc.mmap(_BASE, _END - _BASE, read_write, private_anonymous_noreserve_fixed_noreplace, -1, 0)
        if got != _BASE:
            raise error(
                "checked mode needs a large range of addresses that this process does not get "
                f"(errno {ctypes.get_errno()}): lift `ulimit -v`, or run with checks off"
            )
        self._libc = libc
        self.control = self._view(_BASE, CONTROL, 1)
        self.times = self._view(_BASE + _TIMES, np.dtype("<u4"), SITES * len(WHATS)).reshape(SITES, -1)
        self.records = self._view(_BASE + _FOUND, RECORD, RECORDS)
        self.states = self._view(_BASE + _STATES, STATE, GROUPS)
        self.serial = 0

    def _view(self, address: int, dtype: np.dtype, count: int) -> np.ndarray:
        memory = (ctypes.c_char * (count * dtype.itemsize)).from_address(address)
        return np.frombuffer(memory, dtype, count)  # type: ignore[call-overload]

    def slot(self, n: int) -> int:
        """The address of slot n's first byte."""
        return _DEVICE + n * _SLOT + _SLOT // 2

    def bytes(self, n: int, length: int) -> np.ndarray:
        """The first `length` bytes of slot n."""
        return self._view(self.slot(n), np.dtype(np.uint8), length)

    def notes(self, n: int, length: int) -> np.ndarray:
        """Slot n's notes: for every four bytes four numbers; the first says who wrote them last."""
        return self._view(_NOTES_DEVICE + n * (_SLOT // 2), np.dtype("<u8"), -(-length // 4) * 4).reshape(-1, 4)

    def forget(self, n: int, length: int) -> None:
        """Give slot n's memory and notes back to the system: zero again."""
        for start, size in ((self.slot(n), length), (_NOTES_DEVICE + n * (_SLOT // 2), length * NOTE // 4)):
            self._libc.madvise(start, -(-size // 4096) * 4096 + 4096, 4)  # MADV_DONTNEED

    def forget_shared(self) -> None:
        """The same for the notes of threadgroup memory."""
        self._libc.madvise(_NOTES_SHARED, GROUPS * ARRAYS * _ARRAY, 4)

    def shared(self, address: int) -> tuple[int, int] | None:
        """(number of the threadgroup variable, byte offset in it) of an address in threadgroup memory; None elsewhere."""
        if not 0 <= address - _SHARED < GROUPS * ARRAYS * _ARRAY:
            return None
        return address // _ARRAY % ARRAYS, address % _ARRAY - _ARRAY // 2

    def array(self, group: int, n: int) -> int:
        """The address of the first byte of threadgroup variable n, of so manyeth threadgroup of a launch."""
        return _SHARED + (group * ARRAYS + n) * _ARRAY + _ARRAY // 2

    def place(self, address: int) -> tuple[int, int]:
        """(slot, byte offset in it) of a device address."""
        return (address - _DEVICE) // _SLOT, address % _SLOT - _SLOT // 2


@cache
def arena() -> Arena:
    """The process's one arena, reserved on first use."""
    return Arena()
