"""Writing GGUF version 3: the header, and a file that is there whole or not at all.

Layout as in m1's gguf_file.py. A key's value is kept as the bytes that a file has for it, type number first, so that what was
read from one file comes into another unchanged.
"""

from __future__ import annotations

import math
import mmap
import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from milestones import files
from milestones.errors import UserError
from milestones.m1.gguf_file import TYPES
from milestones.m1.gguf_values import ARRAY, BOOL, STRING, Cursor, quoted
from milestones.m1.model_file import TensorInfo

ALIGNMENT = 32
_UINT32, _INT32, _FLOAT32 = 4, 5, 6
_NUMBER = {name: number for number, (name, _, _) in TYPES.items()}


def encoded(value: Any) -> bytes:
    """A value as a GGUF file has it: type number, then itself. Whole numbers become uint32 (in lists int32), floats float32."""
    if isinstance(value, list):
        items = [encoded(item) for item in value]
        kind = STRING if isinstance(value[0], str) else _INT32
        return struct.pack("<IIQ", ARRAY, kind, len(items)) + b"".join(item[4:] for item in items)
    if isinstance(value, str):
        text = value.encode()
        return struct.pack("<IQ", STRING, len(text)) + text
    if isinstance(value, bool):
        return struct.pack("<IB", BOOL, value)
    return struct.pack("<II", _UINT32, value) if isinstance(value, int) else struct.pack("<If", _FLOAT32, value)


def stored_keys(path: Path) -> dict[str, bytes]:
    """A GGUF file's keys with the bytes of their values."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        cursor, found = Cursor(path, data), {}
        cursor.scalar("Q")  # "GGUF" and the version
        cursor.scalar("Q")  # how many tensors
        for _ in range(cursor.scalar("Q")):
            key, begin = cursor.string(), cursor.at
            cursor.value(cursor.scalar("I"))
            found[key] = data[begin : cursor.at]
    return found


def header(keys: Mapping[str, bytes], tensors: Sequence[TensorInfo]) -> tuple[bytes, list[int]]:
    """The bytes before the tensor data, and where in the data each tensor begins. Tensors lie in the given order."""
    alignment = int.from_bytes(keys["general.alignment"][4:8], "little") if "general.alignment" in keys else ALIGNMENT
    parts = [b"GGUF", struct.pack("<IQQ", 3, len(tensors), len(keys))]
    parts += [_text(key) + value for key, value in keys.items()]
    offsets, at = [], 0
    for t in tensors:
        parts.append(_text(t.name) + struct.pack(f"<I{len(t.shape)}QIQ", len(t.shape), *t.shape[::-1], _NUMBER[t.type], at))
        offsets.append(at)
        at += -(-t.nbytes // alignment) * alignment
    made = b"".join(parts)
    return made + bytes(-len(made) % alignment), offsets


def nbytes(kind: str, shape: Sequence[int]) -> int:
    """How many bytes a tensor takes."""
    _, block, size = TYPES[_NUMBER[kind]]
    return math.prod(shape) // block * size


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


@contextmanager
def whole_file(path: Path, *, force: bool) -> Iterator[IO[bytes]]:
    """A file to write to, whole or not at all, as files.whole_file.

    Raises UserError if there is a file of that name already and not `force`, or if it cannot be written.
    """
    taken = f"{quoted(path)} is there already: give another name, or --force to replace it"
    if path.is_dir():
        raise UserError(f"{quoted(path)} is a folder: give the name of a file to write")
    if str(path) == "-":
        raise UserError("a model is not written to standard output: give the name of a file to write")
    if not force and os.path.lexists(path):
        raise UserError(taken)
    try:  # what a link points to is replaced, not the link
        with files.whole_file(path.resolve() if force else path, replace=force) as file:
            yield file
    except FileExistsError:
        raise UserError(taken) from None
    except OSError as problem:
        raise UserError(f"{quoted(path)} cannot be written: {problem.strerror or problem}") from None
