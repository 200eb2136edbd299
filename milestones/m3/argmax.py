"""Host side of argmax.metal."""

from __future__ import annotations

from metal.tensor import FLOAT32, UINT32, Gpu, Tensor, require, require_dtype

NOTHING = 0xFFFFFFFF  # what a row without a finite value gives


class Argmax:
    """The largest logit's column in each row. See reference/argmax.py for the rule and argmax.metal for the contract."""

    def __init__(self, gpu: Gpu):
        self._gpu, self._function = gpu, gpu.kernel("m3", "argmax")

    def __call__(self, logits: Tensor, out: Tensor | None = None) -> Tensor:
        """logits (rows, n) float32 → out (rows,) uint32. Queues one kernel. Raises ValueError on a misfit.

        Ties go to the lower column. NaN and ±∞ never win; a row without a finite value gives `NOTHING`.
        """
        require(len(logits.shape) == 2, f"argmax: logits must have two dimensions (rows, n), they have shape {logits.shape}")
        rows, n = logits.shape
        require(min(rows, n) > 0, f"argmax: there is nothing to choose from in logits of shape {logits.shape}")
        require_dtype("argmax", FLOAT32, logits=logits)
        out = self._gpu.empty((rows,), "uint32") if out is None else out
        require(out.shape == (rows,), f"argmax: out has shape {out.shape}, logits have {rows} rows")
        require_dtype("argmax", UINT32, out=out)
        self._gpu.run(self._function, rows * 32, logits, out, self._gpu.constants("II", rows, n))
        return out
