"""A model file's weights on the device, each dequantized there when it is first asked for."""

from __future__ import annotations

import numpy as np

from metal.tensor import Gpu, Tensor
from milestones.m1.dequantize import Dequantize
from milestones.m1.model_file import ModelFile, check_kind, check_tensors

QUEUED_BYTES = 1 << 26  # so many undigested bytes may wait on the device before their memory is wanted back


class Weights:
    """The tensors of a Llama-type model on the device. Raises UserError if the file's model is of another kind."""

    def __init__(self, gpu: Gpu, file: ModelFile):
        self.file, self.config = file, file.config()
        self._gpu, self._dequantize = gpu, Dequantize(gpu)
        self._held: dict[str, Tensor] = {}
        self._queued = 0

    def check(self) -> None:
        """Raises UserError unless every tensor that the architecture implies is there, fits, and has a supported type."""
        check_tensors(self.file, self.config)

    def tensor(self, name: str) -> Tensor:
        """The tensor as float32. The first call queues its dequantization, later ones return the same Tensor.

        Raises UserError if the file has no such tensor or its type is not supported.
        """
        if name not in self._held:
            data, kind, shape = self.stored(name)
            self._held[name] = self._dequantize(data, kind, shape)
            self._queued += data.nbytes
            if self._queued > QUEUED_BYTES:
                self._gpu.sync()
                self._queued = 0
        return self._held[name]

    def stored(self, name: str) -> tuple[Tensor, str, tuple[int, ...]]:
        """The tensor's bytes as the file holds them, uint8, with their kind and shape: for kernels that read those.

        Raises UserError like `tensor`.
        """
        raw = self.file.raw(name)
        info = self.file.tensors[name]
        check_kind(self.file, info)
        return self._gpu.tensor(np.frombuffer(raw, np.uint8)), info.type, info.shape
