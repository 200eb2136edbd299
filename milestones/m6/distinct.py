"""Host side of distinct.metal."""

from __future__ import annotations

import numpy as np

from metal.tensor import UINT32, Gpu, Tensor, require, require_dtype

NONE = 0xFFFFFFFF


class Distinct:
    """Finds the pieces of a text that are the same. See reference/distinct.py for the rule, distinct.metal for the contract."""

    def __init__(self, gpu: Gpu):
        self._gpu, self._function = gpu, gpu.kernel("m6", "distinct")

    def __call__(self, text: Tensor, offsets: Tensor) -> Tensor:
        """For each piece the one that stands for all of its bytes (which of them is open), uint32 (pieces).

        offsets (pieces + 1) uint32: piece p is text[offsets[p] … offsets[p + 1]). text uint8, whole words of 4
        bytes, one more than the pieces need. Queues one kernel.
        """
        require_dtype("distinct", np.dtype(np.uint8), text=text)
        require_dtype("distinct", UINT32, offsets=offsets)
        pieces = offsets.size - 1
        require(0 < pieces < 2**31, f"distinct: offsets must be those of 1 to {2**31 - 1} pieces, got {pieces}")
        require(text.size % 4 == 0, f"distinct: text must be of whole words of 4 bytes, got {text.size} bytes")
        slots = 1 << (2 * pieces).bit_length()
        table, same = self._gpu.empty((slots,), UINT32), self._gpu.empty((pieces,), UINT32)
        table.numpy().fill(NONE)
        self._gpu.run(self._function, pieces, text, offsets, table, same, self._gpu.constants("II", pieces, slots - 1))
        return same
