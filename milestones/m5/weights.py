"""A model file's weights on the device, of every type that m1 reads and those of `dequantize_k`."""

from __future__ import annotations

import numpy as np

from metal.tensor import Gpu, Tensor
from milestones.m1 import weights
from milestones.m1.dequantize import KINDS
from milestones.m1.model_file import ModelFile
from milestones.m5.dequantize_k import K_KINDS, DequantizeK

LOADED = (*KINDS, *K_KINDS)  # types of tensors that the engine runs


class Weights(weights.Weights):
    """m1's `Weights`, with more types."""

    kinds = LOADED

    def __init__(self, gpu: Gpu, file: ModelFile):
        super().__init__(gpu, file)
        self._dequantize_k = DequantizeK(gpu)

    def stored(self, name: str) -> tuple[Tensor, str, tuple[int, ...]]:
        """As m1's, for `get_rows`: a type that it does not read is handed over as the bytes of floats, dequantized whole."""
        data, kind, shape = self.raw(name)
        if kind in KINDS:
            return data, kind, shape
        made = self.tensor(name)
        return Tensor(made.buffer, (made.nbytes,), np.uint8), "F32", shape

    def dequantized(self, data: Tensor, kind: str, shape: tuple[int, ...]) -> Tensor:
        """A tensor's bytes as float32. Queues one kernel, none for those that are floats already."""
        if kind == "F32":
            return Tensor(data.buffer, shape, np.float32)
        return (self._dequantize_k if kind in K_KINDS else self._dequantize)(data, kind, shape)
