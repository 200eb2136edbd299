"""Host side of embed_token.metal."""

from __future__ import annotations

from metal.tensor import FLOAT32, UINT32, Gpu, Tensor, require, require_dtype
from milestones.m5.repack import Packed
from milestones.m6.prepared import require_packed, require_prepared
from milestones.m6.tuning import tuned


class EmbedToken:
    """A token's row of a packed embedding, prepared. See reference/embed_token.py and embed_token.metal."""

    def __init__(self, gpu: Gpu):
        self._gpu = gpu

    def __call__(self, table: Packed, state: Tensor, norm: Tensor, x: Tensor, out: Tensor, *, nibbles: int) -> None:
        """Row state[0] of table (n, width) → x (width), and out, prepared: times norm (width), for nibbles or not.

        The id lies on the device: whoever writes it there checks it. Queues one kernel. Raises ValueError on a misfit.
        """
        n, width = table.shape
        require_packed("embed_token", "table", table, (n, width))
        require_prepared("embed_token", width, out=out)
        fits = x.shape == norm.shape == (width,)
        require(fits, f"embed_token: rows of table have {width} values, x has shape {x.shape}, norm {norm.shape}")
        require(state.shape == (2,), f"embed_token: state must have shape (2,), it has {state.shape}")
        require_dtype("embed_token", UINT32, state=state)
        require_dtype("embed_token", FLOAT32, norm=norm, x=x)
        name = f"embed_token_{table.kind.lower()}"
        function = tuned(self._gpu, "embed_token", name)
        self._gpu.run(function, width, table.data, state, norm, x, out, self._gpu.constants("II", width, nibbles))
