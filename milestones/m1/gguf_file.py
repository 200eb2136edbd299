"""GGUF files, versions 2 and 3, mapped into memory: metadata, tensor list, and each tensor's bytes without a copy.

Layout (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md): "GGUF", version, counts, key–value pairs, tensor
infos, padding to `general.alignment`, tensor data. All little-endian.
"""

from __future__ import annotations

import math
import mmap
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from milestones.errors import UserError
from milestones.m1.gguf_values import Cursor, quoted
from milestones.m1.model_file import TensorInfo

# type number → name, values in a block, bytes of a block (0: never in a file, and its writers disagree about its size)
TYPES: dict[int, tuple[str, int, int]] = {
    **{0: ("F32", 1, 4), 1: ("F16", 1, 2), 28: ("F64", 1, 8), 30: ("BF16", 1, 2)},
    **{24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4), 27: ("I64", 1, 8)},
    **{2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22), 7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34)},
    **{9: ("Q8_1", 32, 0), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110), 12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176)},
    **{14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292), 16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74)},
    **{18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50), 20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110)},
    **{22: ("IQ2_S", 256, 82), 23: ("IQ4_XS", 256, 136), 29: ("IQ1_M", 256, 56), 34: ("TQ1_0", 256, 54)},
    **{35: ("TQ2_0", 256, 66), 39: ("MXFP4", 32, 17), 40: ("NVFP4", 64, 36), 41: ("Q1_0", 128, 18)},
}
MAX_DIMENSIONS = 4
_FOREIGN = {
    b"PK\x03\x04": "a zip archive, perhaps a PyTorch checkpoint",
    b"lmgg": "a model in ggml's format of before GGUF",
    b"fmgg": "a model in ggml's format of before GGUF",
    b"tjgg": "a model in ggml's format of before GGUF",
    b"\x1f\x8b": "a gzip archive",
    b"version https://git-lfs": "a git-lfs pointer, not the file it points to",
    b"<": "a web page",
}


@dataclass(frozen=True, slots=True)
class GgufTensor(TensorInfo):
    """`type` is "type 99" where the format's number is not known; `offset` counts from the file's beginning."""

    offset: int


class GgufFile:
    """A GGUF file, checked when opened. Raises UserError, one line, for a file that is missing, foreign or damaged."""

    def __init__(self, path: Path | str, content: bytes | None = None):
        """With `content`, the file's content is not read but given."""
        self.path = Path(path)
        self._data: bytes | mmap.mmap = self._open() if content is None else content
        cursor = Cursor(self.path, self._data)
        self.version = self._read_version(cursor)
        cursor.what = "the number of tensors and keys"
        tensors, keys = cursor.scalar("Q"), cursor.scalar("Q")
        self.metadata = _read_metadata(cursor, keys)
        self.tensors = self._read_tensors(cursor, tensors)

    def raw(self, name: str) -> memoryview:
        """A tensor's bytes, without a copy. Raises UserError if there is none of that name or its type is not known."""
        info = self.tensors.get(name)
        if info is None:
            self._refuse(f"there is no tensor {quoted(name)}")
        if info.nbytes == 0:
            self._refuse(f"tensor {quoted(name)} has {info.type}, which is not known here, so its size is not either")
        return memoryview(self._data)[info.offset : info.offset + info.nbytes]

    def release(self) -> None:
        """Give the memory that reading took back to the system: what is asked for again is read again."""
        if isinstance(self._data, mmap.mmap):
            self._data.madvise(mmap.MADV_DONTNEED)

    def _refuse(self, problem: str) -> NoReturn:
        raise UserError(f"{quoted(self.path)}: {problem}")

    def _open(self) -> mmap.mmap:
        try:
            status = self.path.stat()
            if stat.S_ISDIR(status.st_mode):
                self._refuse("is a folder: give a .gguf file")
            if not stat.S_ISREG(status.st_mode):  # reading a pipe or a device might never end
                self._refuse("is not a plain file: give a .gguf file")
            if status.st_size == 0:
                self._refuse("the file is empty: get it again")
            with open(self.path, "rb") as file:
                return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except FileNotFoundError:
            self._refuse("no such file: give the path of a .gguf file")
        except (OSError, ValueError) as problem:
            self._refuse(f"cannot be read ({getattr(problem, 'strerror', None) or problem})")

    def _read_version(self, cursor: Cursor) -> int:
        head = self._data[:64]
        if head[:4] != b"GGUF"[: len(head)]:
            looks = next((what for mark, what in _FOREIGN.items() if head.startswith(mark)), None)
            if looks is None and head[8:9] == b"{" and int.from_bytes(head[:8], "little") < len(self._data):
                looks = "a safetensors file"
            self._refuse(f"not a GGUF file{f' but {looks}' if looks else ''}: give a .gguf file")
        cursor.scalar("I")
        version = cursor.scalar("I")
        if version and version & 0xFFFF == 0:
            self._refuse("a big-endian GGUF file: only little-endian ones are read; convert it")
        if version not in (2, 3):
            self._refuse(f"GGUF version {version}: only versions 2 and 3 are read; convert the model again")
        return version

    def _read_tensors(self, cursor: Cursor, count: int) -> dict[str, GgufTensor]:
        alignment = self.metadata.get("general.alignment", 32)
        if type(alignment) is not int or alignment <= 0 or alignment & (alignment - 1):
            cursor.fail(f"general.alignment must be a power of two, it is {quoted(alignment)}")
        cursor.what = f"the list of {count:,} tensors"
        cursor.need(count, 24)
        found: dict[str, GgufTensor] = {}
        for index in range(count):
            cursor.what = f"the entry of tensor {index}"
            info = _read_tensor(cursor, alignment)
            if info.name in found:
                cursor.fail(f"tensor {quoted(info.name)} is there twice")
            found[info.name] = info
        begin = -(-cursor.at // alignment) * alignment
        for name, t in found.items():
            end = begin + t.offset + t.nbytes
            if end > len(self._data):
                cursor.fail(
                    f"truncated or damaged: tensor {quoted(name)} ends at byte {end:,}, the file at byte {len(self._data):,}"
                )
            found[name] = GgufTensor(name, t.shape, t.type, t.nbytes, begin + t.offset)
        return found


def _read_metadata(cursor: Cursor, count: int) -> dict[str, Any]:
    cursor.what = f"the list of {count:,} keys"
    cursor.need(count, 13)
    found: dict[str, Any] = {}
    for index in range(count):
        cursor.what = f"the name of key {index}"
        key = cursor.string()
        cursor.what = f"key {quoted(key)}"
        if key in found:
            cursor.fail(f"{cursor.what} is there twice")
        found[key] = cursor.value(cursor.scalar("I"))
    return found


def _read_tensor(cursor: Cursor, alignment: int) -> GgufTensor:
    """One entry of the tensor list; its offset still counts from the beginning of the tensor data."""
    name = cursor.string()
    cursor.what = f"tensor {quoted(name)}"
    dimensions = cursor.scalar("I")
    if dimensions > MAX_DIMENSIONS:
        cursor.fail(f"{cursor.what} has {dimensions:,} dimensions; at most {MAX_DIMENSIONS} are possible")
    shape = tuple(cursor.scalar("Q") for _ in range(dimensions))[::-1]
    number, offset = cursor.scalar("I"), cursor.scalar("Q")
    values = math.prod(shape)
    if values == 0 or values >= 1 << 63:
        cursor.fail(f"{cursor.what} has the impossible shape {shape}")
    if offset % alignment:
        cursor.fail(f"{cursor.what} lies at offset {offset:,}, which is not a multiple of the alignment {alignment}")
    kind, block, size = TYPES.get(number, (f"type {number}", 1, 0))
    if (shape[-1] if shape else 1) % block:
        cursor.fail(f"{cursor.what} has rows of {shape[-1] if shape else 1} values, {kind} needs a multiple of {block}")
    return GgufTensor(name, shape, kind, values // block * size, offset)
