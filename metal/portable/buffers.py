"""Memory that host and device share: the buffer, a place inside one, and the copy that a bytes-like argument becomes."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import operator
from typing import Any

import numpy as np

from .errors import error
from .opencl import Runtime

_ALIGNED = 128  # a copy's first byte: more than any Metal type asks for


class Buffer(mmap.mmap):
    """Memory shared by host and device, zero copy in both directions, with the Python buffer protocol.

    It is an anonymous memory map: zeroed, page-aligned, and alive as long as the last view (NumPy's, say) of it. Private: after
    a fork, parent and child each have their own.
    """

    _memory: Any
    _address: int
    _runtime: Runtime

    def __new__(cls, runtime: Runtime, length_or_data):
        data = None if isinstance(length_or_data, int) else _bytes_of(length_or_data)
        try:
            length = data.nbytes if data is not None else operator.index(length_or_data)
        except TypeError:
            raise error("Unsupported input format: give a length in bytes or a bytes-like object") from None
        if length <= 0:
            raise error(f"Could not make buffer of {length} bytes")
        try:
            self = super().__new__(cls, -1, length, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        except (OSError, OverflowError, ValueError, MemoryError):
            raise error(f"Could not make buffer of {length} bytes: not enough memory") from None
        if data is not None:
            memoryview(self)[:] = data
        self._runtime = runtime
        self._address = ctypes.addressof(ctypes.c_char.from_buffer(self))
        # by address, without a reference to self: a cycle would keep the memory until the next garbage collection
        self._memory = runtime.shared(self._address, length)
        return self

    def __str__(self) -> str:
        return f"metal.portable.Buffer(length={len(self)})"

    # --- for checked dispatches, which work on a copy -----------------------------------------------------------------
    offset = 0
    _touched = False

    @property
    def owner(self) -> Buffer:
        return self

    def view(self) -> np.ndarray:
        """The bytes."""
        return np.frombuffer(self, np.uint8)

    def untouched(self) -> bool:
        """Whether nobody has written anything yet, neither host nor device; False where the system does not tell."""
        if not self._touched:
            pages = -(-len(self) // mmap.PAGESIZE)
            try:
                with open("/proc/self/pagemap", "rb") as file:
                    file.seek(self._address // mmap.PAGESIZE * 8)
                    self._touched = bool((np.frombuffer(file.read(pages * 8), "<u8") >> 62).any())  # in memory, or swapped out
            except OSError:
                self._touched = True
        return not self._touched


class Copy:
    """A bytes-like argument as the device gets it: a copy made at the call. Cheaper than a Buffer, and only ever read."""

    __slots__ = ("_length", "_memory", "_owner", "_skip", "offset", "owner")

    def __init__(self, runtime: Runtime, data: memoryview):
        length = data.nbytes
        self._owner = bytearray(length + _ALIGNED - 1)
        address = ctypes.addressof(ctypes.c_char.from_buffer(self._owner))
        skip = -address % _ALIGNED
        memoryview(self._owner)[skip : skip + length] = data
        self._memory = runtime.shared(address + skip, length)
        self.owner, self.offset, self._skip, self._length = self, 0, skip, length

    def view(self) -> np.ndarray:
        """The bytes."""
        return np.frombuffer(self._owner, np.uint8, self._length, self._skip)

    def untouched(self) -> bool:
        """Whether nobody has written anything yet."""
        return False


class Place:
    """A buffer from a byte offset on."""

    __slots__ = ("_memory", "offset", "owner")

    def __init__(self, buffer: Buffer, offset: int):
        self.owner, self.offset = buffer, offset
        self._memory = buffer._runtime.shared(buffer._address + offset, len(buffer) - offset)


def argument(runtime: Runtime, given: Any, writable: bool) -> Buffer | Copy:
    """What a call's argument is to the device. Raises `metal.error` for what is neither a Buffer nor bytes-like."""
    if isinstance(given, Buffer):
        return given
    data = None if writable or isinstance(given, int) else _bytes_of(given)
    if data is None or data.nbytes == 0:  # refused there in words; and what a kernel may write gets whole pages of its own
        return Buffer(runtime, given)
    return Copy(runtime, data)


def place(given: Any, align: int, what: str) -> Place:
    """`(buffer, offset)` of a dispatch. Raises `metal.error` naming `what` where Metal allows no such offset."""
    buffer, offset = given
    if not isinstance(buffer, Buffer):
        raise error(f"{what}: an offset goes with a buffer of the device, not with {type(buffer).__name__}")
    try:
        offset = operator.index(offset)
    except TypeError:
        raise error(f"{what}: the offset must be a whole number of bytes, got {offset!r}") from None
    if not 0 <= offset < len(buffer):
        raise error(f"{what}: offset {offset} is outside the buffer of {len(buffer)} bytes")
    if offset % align:
        raise error(f"{what}: offset {offset} must be a multiple of {align}, the alignment of what the kernel reads there")
    return Place(buffer, offset)


def _bytes_of(given: Any) -> memoryview | None:
    """The bytes of a bytes-like object; None for anything else. Raises `metal.error` if they do not stand in a row."""
    data = None
    with contextlib.suppress(TypeError):
        data = memoryview(given)
    if data is None:
        return None
    if not data.c_contiguous:
        raise error("Unsupported input format: the data must be C-contiguous")
    try:
        return data.cast("B")
    except (TypeError, ValueError):  # no dimension, an empty one, or items of a struct
        return memoryview(np.frombuffer(given, np.uint8).data if data.nbytes else b"")
