"""Host side of dequantize.metal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from metal.tensor import Gpu, Tensor, require

# kind → values in a block, bytes of a block
KINDS = {"F32": (1, 4), "F16": (1, 2), "BF16": (1, 2), "Q8_0": (32, 34), "Q4_0": (32, 18), "Q4_1": (32, 20)}
VALUES_PER_SIMDGROUP = 512


class Dequantize:
    """The bytes of a tensor → float32. See reference/dequantize.py for the formats, dequantize.metal for the contract.

    Exact: for every finite input the result equals the `gguf` package's, bit for bit. Fast math may fuse d·q + m into one
    operation, which rounds once where two operations round twice; but the product never rounds (11 significant bits times
    at most 8 fit float32's 24; its exponents lie between −24 and 22), so both round the same exact sum, once.
    """

    def __init__(self, gpu: Gpu):
        self._gpu = gpu

    def __call__(self, raw: Tensor, kind: str, shape: Sequence[int], out: Tensor | None = None) -> Tensor:
        """raw (bytes) uint8 as in the file, kind one of KINDS, shape row-major → float32 of that shape. Queues one kernel.

        Raises ValueError if the kind is unknown or the bytes are not those of such a tensor.
        """
        shape = tuple(shape)
        count = require_stored("dequantize", raw, kind, shape)
        out = self._gpu.empty(shape) if out is None else out
        require(out.shape == shape, f"dequantize: out has shape {out.shape}, asked for {shape}")
        require(out.dtype == "float32", f"dequantize: out must be float32, it is {out.dtype}")
        function = self._gpu.kernel("m1", "dequantize", f"dequantize_{kind.lower()}")
        threads = -(-count // VALUES_PER_SIMDGROUP) * 32
        self._gpu.run(function, threads, raw, out, self._gpu.constants("Q", count))
        return out


def require_stored(op: str, raw: Tensor, kind: str, shape: Sequence[int], kinds: Mapping[str, tuple[int, int]] = KINDS) -> int:
    """The number of values. Raises ValueError unless `raw` is the bytes of such a tensor of a kind among `kinds`."""
    shape = tuple(shape)
    require(kind in kinds, f"{op}: kind must be one of {', '.join(kinds)}, got {kind}")
    block, size = kinds[kind]
    count = math.prod(shape)
    require(count > 0 and min(shape, default=1) > 0, f"{op}: shape {shape} has no elements")
    require((shape or (1,))[-1] % block == 0, f"{op}: rows of shape {shape} are not whole {kind} blocks of {block}")
    require(raw.dtype == "uint8", f"{op}: raw must be uint8, it is {raw.dtype}")
    needed = count // block * size
    require(raw.size == needed, f"{op}: {kind} of shape {shape} is {needed} bytes, raw has {raw.size}")
    return count
