"""Host side of repack.metal: weights in tiles of 32 rows, as the fast kernels read them, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metal.tensor import UINT32, Gpu, Tensor, require

ROWS = 32  # of a tile

# kind → values in a block, halves before, words of 4 bytes, halves after. F32, F16 and BF16 are taken 32 values at a time.
LAYOUT = {
    "F32": (32, 0, 32, 0),
    "F16": (32, 0, 16, 0),
    "BF16": (32, 0, 16, 0),
    "Q8_0": (32, 1, 8, 0),
    "Q4_0": (32, 1, 4, 0),
    "Q4_1": (32, 2, 4, 0),
    "Q5_0": (32, 1, 5, 0),
    "Q5_1": (32, 2, 5, 0),
    "Q4_K": (256, 2, 35, 0),
    "Q5_K": (256, 2, 43, 0),
    "Q6_K": (256, 0, 52, 1),
}


@dataclass(frozen=True)
class Packed:
    """A weight (rows, columns) in tiles: `data` is uint32, tile after tile. Tile t of it is tile first + t · step of `data`."""

    data: Tensor
    kind: str
    shape: tuple[int, int]
    first: int = 0
    step: int = 1
    head: int = 0

    @property
    def tiles(self) -> int:
        return -(-self.shape[0] // ROWS)


def packed_size(kind: str, shape: Sequence[int]) -> int:
    """How many uint32 the tiles of such a weight take: as many as the file's bytes, if rows is a multiple of 32."""
    values, before, words, after = LAYOUT[kind]
    return -(-shape[0] // ROWS) * (shape[1] // values) * (before + 2 * words + after) * ROWS // 2


class Repack:
    """Rows as a file holds them ↔ tiles. See reference/repack.py, repack.metal for the contract, packed.h for the layout."""

    def __init__(self, gpu: Gpu):
        self._gpu = gpu

    def __call__(
        self,
        raw: Tensor,
        kind: str,
        shape: Sequence[int],
        out: Tensor | None = None,
        *,
        first: int = 0,
        step: int = 1,
        head: int = 0,
    ) -> Packed:
        """raw (bytes) uint8 of a weight of `kind` (LAYOUT) and `shape` (rows, columns) → its tiles. Queues one kernel.

        With `out` (uint32), its tiles become tiles first, first + step, … of that: several weights may share one tensor. With
        `head` each so many rows are paired i with i + head/2. Raises ValueError on a misfit.
        """
        require(len(shape) == 2, f"repack: a weight must have two dimensions (rows, columns), it has shape {tuple(shape)}")
        made = Packed(self._room(kind, shape) if out is None else out, kind, (shape[0], shape[1]), first, step, head)
        self._check(made, raw)
        self._gpu.run(self._gpu.kernel("m5", "repack"), self._threads(made), raw, made.data, self._args(made))
        return made

    def unpack(self, packed: Packed, out: Tensor | None = None) -> Tensor:
        """The weight's bytes as the file holds them, uint8. Queues one kernel. Raises ValueError on a misfit."""
        values, before, words, after = LAYOUT[packed.kind]
        size = packed.shape[0] * (packed.shape[1] // values) * 2 * (before + 2 * words + after)
        out = self._gpu.empty((size,), np.uint8) if out is None else out
        self._check(packed, out)
        self._gpu.run(self._gpu.kernel("m5", "repack", "unpack"), self._threads(packed), packed.data, out, self._args(packed))
        return out

    def _room(self, kind: str, shape: Sequence[int]) -> Tensor:
        require(kind in LAYOUT, f"repack: kind must be one of {', '.join(LAYOUT)}, got {kind}")
        return self._gpu.empty((packed_size(kind, shape),), UINT32)

    def _check(self, packed: Packed, raw: Tensor) -> None:
        require(packed.kind in LAYOUT, f"repack: kind must be one of {', '.join(LAYOUT)}, got {packed.kind}")
        values, before, words, after = LAYOUT[packed.kind]
        rows, columns = packed.shape
        require(min(rows, columns) > 0, f"repack: a weight of shape {packed.shape} has no elements")
        require(columns % values == 0, f"repack: rows of {columns} values are not whole {packed.kind} blocks of {values}")
        needed = rows * (columns // values) * 2 * (before + 2 * words + after)
        require(raw.dtype == "uint8", f"repack: raw must be uint8, it is {raw.dtype}")
        require(raw.size == needed, f"repack: {packed.kind} of shape {packed.shape} is {needed} bytes, raw has {raw.size}")
        require(packed.data.dtype == UINT32, f"repack: packed must be uint32, it is {packed.data.dtype}")
        last = packed.first + (packed.tiles - 1) * packed.step
        room = packed.data.size // (packed_size(packed.kind, packed.shape) // packed.tiles)
        require(packed.first >= 0 and packed.step > 0 and last < room, f"repack: tile {last} is past packed's {room}")
        fits = packed.head == 0 or (packed.head % 2 == 0 and rows % packed.head == 0)
        require(fits, f"repack: {rows} rows are not whole heads of {packed.head}, an even number")

    def _threads(self, packed: Packed) -> int:
        return packed.tiles * (packed.shape[1] // LAYOUT[packed.kind][0]) * 32

    def _args(self, packed: Packed) -> object:
        values, *parts = LAYOUT[packed.kind]
        blocks = packed.shape[1] // values
        return self._gpu.constants("IIIIIIII", packed.shape[0], blocks, *parts, packed.first, packed.step, packed.head)
