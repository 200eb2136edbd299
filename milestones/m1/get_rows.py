"""Host side of get_rows.metal."""

from __future__ import annotations

from metal.tensor import FLOAT32, UINT32, Gpu, Tensor, require, require_dtype

POISON = 0x7FC00BAD  # the bits of every element of a row whose id the table lacks


class GetRows:
    """Rows of a table by number. See reference/get_rows.py for the formula and get_rows.metal for the contract."""

    def __init__(self, gpu: Gpu):
        self._gpu, self._function = gpu, gpu.kernel("m1", "get_rows")

    def __call__(self, table: Tensor, ids: Tensor, out: Tensor | None = None) -> Tensor:
        """table (n, d) float32, ids (k) uint32 → out (k, d) float32. Queues one kernel. Raises ValueError on a misfit.

        The ids lie on the device and are not looked at here (that would mean waiting): an id ≥ n reads nothing and gives a
        row of NaNs with the bits `POISON`. Who has the ids on the host checks them there.
        """
        require(len(table.shape) == 2, f"get_rows: table must have two dimensions (n, d), it has shape {table.shape}")
        require(len(ids.shape) == 1, f"get_rows: ids must have one dimension, they have shape {ids.shape}")
        require_dtype("get_rows", FLOAT32, table=table)
        require_dtype("get_rows", UINT32, ids=ids)
        (n, d), (k,) = table.shape, ids.shape
        require(k > 0, "get_rows: no ids were given")
        out = self._gpu.empty((k, d)) if out is None else out
        require(out.shape == (k, d), f"get_rows: out has shape {out.shape}, {k} rows of {d} were asked for")
        require_dtype("get_rows", FLOAT32, out=out)
        self._gpu.run(self._function, k * 32, table, ids, out, self._gpu.constants("III", n, d, k))
        return out
