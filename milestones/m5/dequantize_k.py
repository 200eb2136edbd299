"""Host side of dequantize_k.metal."""

from __future__ import annotations

from collections.abc import Sequence

from metal.tensor import Gpu, Tensor, require
from milestones.m1.dequantize import VALUES_PER_SIMDGROUP, require_stored

# kind → values in a block, bytes of a block
K_KINDS = {"Q5_0": (32, 22), "Q5_1": (32, 24), "Q4_K": (256, 144), "Q5_K": (256, 176), "Q6_K": (256, 210)}


class DequantizeK:
    """The bytes of a tensor → float32, for the kinds that m1 leaves out. See reference/dequantize_k.py for the formats.

    Exact, as m1's: no product rounds, so what the `gguf` package computes comes out bit for bit.
    """

    def __init__(self, gpu: Gpu):
        self._gpu = gpu

    def __call__(self, raw: Tensor, kind: str, shape: Sequence[int], out: Tensor | None = None) -> Tensor:
        """raw (bytes) uint8 as in the file, kind one of K_KINDS, shape row-major → float32 of that shape. Queues one kernel.

        Raises ValueError if the kind is unknown or the bytes are not those of such a tensor.
        """
        shape, op = tuple(shape), "dequantize_k"
        count = require_stored(op, raw, kind, shape, K_KINDS)
        out = self._gpu.empty(shape) if out is None else out
        require(out.shape == shape, f"{op}: out has shape {out.shape}, asked for {shape}")
        require(out.dtype == "float32", f"{op}: out must be float32, it is {out.dtype}")
        function = self._gpu.kernel("m5", "dequantize_k", f"dequantize_{kind.lower()}")
        threads = -(-count // VALUES_PER_SIMDGROUP) * 32
        self._gpu.run(function, threads, raw, out, self._gpu.constants("Q", count))
        return out
