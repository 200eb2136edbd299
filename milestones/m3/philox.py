"""Host side of philox.metal."""

from __future__ import annotations

from metal.tensor import UINT32, Gpu, Tensor, require, require_dtype


class Philox:
    """Philox4x32-10 words. See reference/philox.py for the rounds and philox.metal for the contract."""

    def __init__(self, gpu: Gpu):
        self._gpu, self._function = gpu, gpu.kernel("m3", "philox")

    def __call__(self, counters: Tensor, *, key: int) -> Tensor:
        """counters (n, 4) uint32, key of 64 bits → (n, 4) uint32. Queues one kernel. Raises ValueError on a misfit."""
        fits = len(counters.shape) == 2 and counters.shape[1] == 4 and counters.size > 0
        require(fits, f"philox: counters must have the shape (n, 4), they have {counters.shape}")
        require(0 <= key < 2**64, f"philox: the key must be from 0 to 2⁶⁴ − 1, got {key}")
        require_dtype("philox", UINT32, counters=counters)
        out, n = self._gpu.empty(counters.shape, UINT32), counters.shape[0]
        self._gpu.run(self._function, n, counters, out, self._gpu.constants("III", n, key & 0xFFFFFFFF, key >> 32))
        return out
