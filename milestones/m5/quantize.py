"""Host side of quantize.metal."""

from __future__ import annotations

from metal.tensor import FLOAT32, Gpu, Tensor, require, require_dtype

BLOCK = 32  # values
BYTES = {"Q8_0": 34, "Q4_0": 18, "Q4_1": 20, "Q5_0": 22, "Q5_1": 24}  # of a block
VALUES_PER_SIMDGROUP = 512


class Quantize:
    """Floats to packed blocks. See reference/quantize.py for the formulas, quantize.metal for the contract.

    The bytes are the `gguf` package's, wherever its method has one result: every quotient and product is rounded as float32
    without fast math would round it.
    """

    def __init__(self, gpu: Gpu):
        self._gpu = gpu

    def __call__(self, x: Tensor, kind: str, out: Tensor | None = None) -> Tensor:
        """x (…, n) float32, finite, n a multiple of 32 → (bytes) uint8, as a GGUF file holds them. Queues one kernel.

        Raises ValueError on a misfit. Values are not looked at: see m3's `nonfinite` for that.
        """
        require(kind in BYTES, f"quantize: kind must be one of {', '.join(BYTES)}, got {kind}")
        require_dtype("quantize", FLOAT32, x=x)
        last = (x.shape or (1,))[-1]
        require(x.size > 0 and last % BLOCK == 0, f"quantize: rows of {last} values are not whole blocks of {BLOCK}")
        needed = x.size // BLOCK * BYTES[kind]
        out = self._gpu.empty((needed,), "uint8") if out is None else out
        require(out.dtype == "uint8" and out.shape == (needed,), f"quantize: out must be ({needed},) bytes, it is {out}")
        function = self._gpu.kernel("m5", "quantize", f"quantize_{kind.lower()}")
        threads = -(-x.size // VALUES_PER_SIMDGROUP) * 32
        self._gpu.run(function, threads, x, out, self._gpu.constants("Q", x.size))
        return out
