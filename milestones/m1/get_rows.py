"""Host side of get_rows.metal."""

from __future__ import annotations

from collections.abc import Sequence

from metal.tensor import FLOAT32, UINT32, Gpu, Tensor, require, require_dtype
from milestones.m1.dequantize import require_stored

POISON = 0x7FC00BAD  # the bits of every element of a row whose id the table lacks


class GetRows:
    """Rows of a table by number. See reference/get_rows.py for the formula and get_rows.metal for the contract."""

    def __init__(self, gpu: Gpu):
        self._gpu = gpu

    def __call__(
        self, table: Tensor, ids: Tensor, out: Tensor | None = None, *, kind: str = "F32", shape: Sequence[int] | None = None
    ) -> Tensor:
        """table (n, d) float32, ids (k) uint32 → out (k, d) float32. Queues one kernel. Raises ValueError on a misfit.

        With `shape` (n, d), table is the bytes (uint8) of such a tensor as a file holds them, of a `kind` of KINDS: the rows
        are dequantized on the way. The ids lie on the device and are not looked at here (that would mean waiting): an id ≥ n
        reads nothing and gives a row of NaNs with the bits `POISON`. Who has the ids on the host checks them there.
        """
        if shape is None:
            require(kind == "F32", f"get_rows: the bytes of a {kind} table need its shape")
            require_dtype("get_rows", FLOAT32, table=table)
            shape = table.shape
        else:
            require_stored("get_rows", table, kind, shape)
        require(len(shape) == 2, f"get_rows: table must have two dimensions (n, d), it has shape {tuple(shape)}")
        require(len(ids.shape) == 1, f"get_rows: ids must have one dimension, they have shape {ids.shape}")
        require_dtype("get_rows", UINT32, ids=ids)
        (n, d), (k,) = shape, ids.shape
        require(k > 0, "get_rows: no ids were given")
        out = self._gpu.empty((k, d)) if out is None else out
        require(out.shape == (k, d), f"get_rows: out has shape {out.shape}, {k} rows of {d} were asked for")
        require_dtype("get_rows", FLOAT32, out=out)
        function = self._gpu.kernel("m1", "get_rows", f"get_rows_{kind.lower()}")
        self._gpu.run(function, k * 32, table, ids, out, self._gpu.constants("III", n, d, k))
        return out
