"""Host side of swiglu.metal."""

from __future__ import annotations

from metal.tensor import FLOAT32, Gpu, Tensor, require, require_dtype


class SwiGlu:
    """gate · sigmoid(gate) · up. See reference/swiglu.py for the formula and swiglu.metal for the contract."""

    def __init__(self, gpu: Gpu):
        self._gpu, self._function = gpu, gpu.kernel("m2", "swiglu")

    def __call__(self, gate: Tensor, up: Tensor, out: Tensor | None = None) -> Tensor:
        """gate and up (rows, n), float32 → out (rows, n), which may be gate or up. Queues one kernel.

        Raises ValueError on a misfit.
        """
        require(len(gate.shape) == 2, f"swiglu: gate must have two dimensions (rows, n), it has shape {gate.shape}")
        require(up.shape == gate.shape, f"swiglu: up has shape {up.shape}, gate has {gate.shape}")
        require(0 < gate.size < 2**32, f"swiglu: gate of shape {gate.shape} must have from 1 to 2³² − 1 elements")
        out = self._gpu.empty(gate.shape) if out is None else out
        require(out.shape == gate.shape, f"swiglu: out has shape {out.shape}, gate has {gate.shape}")
        require_dtype("swiglu", FLOAT32, gate=gate, up=up, out=out)
        self._gpu.run(self._function, gate.size, gate, up, out, self._gpu.constants("I", gate.size))
        return out
