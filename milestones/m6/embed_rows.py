"""Host side of embed_rows.metal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from metal.tensor import FLOAT32, Gpu, Tensor, require, require_dtype
from milestones.m5.repack import Packed
from milestones.m6.prepared import require_packed


class EmbedRows:
    """Rows of a packed embedding. See reference/embed_rows.py and embed_rows.metal."""

    def __init__(self, gpu: Gpu):
        self._gpu = gpu

    def __call__(self, table: Packed, ids: Sequence[int], out: Tensor) -> None:
        """Rows `ids` of table (n, width) → out (tokens, width) float32. Queues one kernel. Raises ValueError on a misfit."""
        n, width = table.shape
        require_packed("embed_rows", "table", table, (n, width))
        require(len(ids) > 0, "embed_rows: no ids were given")
        require(min(ids) >= 0 and max(ids) < n, f"embed_rows: ids must lie in 0 to {n - 1}, got {min(ids)} to {max(ids)}")
        require(out.shape == (len(ids), width), f"embed_rows: out has shape {out.shape}, expected {(len(ids), width)}")
        require_dtype("embed_rows", FLOAT32, out=out)
        function = self._gpu.kernel("m6", "embed_rows", f"embed_rows_{table.kind.lower()}")
        rows = self._gpu.tensor(np.asarray(ids, np.uint32))
        self._gpu.run(function, out.size, table.data, rows, out, self._gpu.constants("II", len(ids), width // 32))
