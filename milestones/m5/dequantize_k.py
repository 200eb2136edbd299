"""Host side of dequantize_k.metal."""

from __future__ import annotations

import math
from collections.abc import Sequence

from metal.tensor import Gpu, Tensor, require

# kind → values in a block, bytes of a block
K_KINDS = {"Q5_0": (32, 22), "Q5_1": (32, 24), "Q4_K": (256, 144), "Q5_K": (256, 176), "Q6_K": (256, 210)}
VALUES_PER_SIMDGROUP = 512


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
        require(kind in K_KINDS, f"{op}: kind must be one of {', '.join(K_KINDS)}, got {kind}")
        block, size = K_KINDS[kind]
        count = math.prod(shape)
        require(count > 0 and min(shape, default=1) > 0, f"{op}: shape {shape} has no elements")
        require((shape or (1,))[-1] % block == 0, f"{op}: rows of shape {shape} are not whole {kind} blocks of {block}")
        require(raw.dtype == "uint8", f"{op}: raw must be uint8, it is {raw.dtype}")
        needed = count // block * size
        require(raw.size == needed, f"{op}: {kind} of shape {shape} is {needed} bytes, raw has {raw.size}")
        out = self._gpu.empty(shape) if out is None else out
        require(out.shape == shape, f"{op}: out has shape {out.shape}, asked for {shape}")
        require(out.dtype == "float32", f"{op}: out must be float32, it is {out.dtype}")
        function = self._gpu.kernel("m5", "dequantize_k", f"dequantize_{kind.lower()}")
        threads = -(-count // VALUES_PER_SIMDGROUP) * 32
        self._gpu.run(function, threads, raw, out, self._gpu.constants("Q", count))
        return out
