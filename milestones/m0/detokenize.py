"""Host side of detokenize.metal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from metal.tensor import UINT32, Gpu, Tensor, require, require_dtype


class Detokenize:
    """Ids to bytes by the device's tables. See reference/detokenize.py for the rule, detokenize.metal for the contract."""

    def __init__(self, gpu: Gpu, token_bytes: Tensor, token_offsets: Tensor):
        """`token_bytes` (any) uint8 and `token_offsets` (tokens + 1) uint32, as `Bpe` holds them."""
        require_dtype("detokenize", UINT32, token_offsets=token_offsets)
        require_dtype("detokenize", np.dtype(np.uint8), token_bytes=token_bytes)
        self._gpu, self._function = gpu, gpu.kernel("m0", "detokenize")
        self._tables = (token_bytes, token_offsets)
        self._lengths = np.diff(token_offsets.numpy().astype(np.int64))

    def __call__(self, ids: Sequence[int]) -> bytes:
        """The bytes of `ids`, one after the other. Queues one kernel and waits for it.

        Raises ValueError for an id that is no token, or for 2³² bytes or more.
        """
        if not len(ids):
            return b""
        tokens = len(self._lengths)
        wanted = np.asarray(ids, np.int64)
        require(wanted.min() >= 0 and wanted.max() < tokens, f"detokenize: ids must lie in 0 to {tokens - 1}")
        offsets = np.concatenate([[0], np.cumsum(self._lengths[wanted])])
        size = int(offsets[-1])
        require(size < 2**32, f"detokenize: {size} bytes are too many at once")
        gpu, out = self._gpu, self._gpu.empty((max(size, 1),), np.uint8)
        args = gpu.constants("II", len(ids), tokens)
        gpu.run(
            self._function, len(ids), gpu.tensor(wanted, np.uint32), gpu.tensor(offsets, np.uint32), *self._tables, out, args
        )
        gpu.sync()
        return out.numpy()[:size].tobytes()
