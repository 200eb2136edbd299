"""A model file's weights on the device, each dequantized there when it is first asked for."""

from __future__ import annotations

import numpy as np

from metal.tensor import Gpu, Tensor
from milestones.errors import UserError
from milestones.m1.config import LlamaConfig, check_tensors, read_config
from milestones.m1.dequantize import KINDS, Dequantize
from milestones.m1.gguf_file import GgufFile
from milestones.m1.gguf_values import quoted

__all__ = ["LlamaConfig", "Weights"]

QUEUED_BYTES = 1 << 26  # so many undigested bytes may wait on the device before their memory is wanted back


class Weights:
    """The tensors of a Llama-type GGUF file as float32 on the device. Raises UserError if the file is of another kind."""

    def __init__(self, gpu: Gpu, file: GgufFile):
        self.file, self.config = file, read_config(file)
        self._gpu, self._dequantize = gpu, Dequantize(gpu)
        self._held: dict[str, Tensor] = {}
        self._queued = 0

    def __contains__(self, name: str) -> bool:
        return name in self.file.tensors

    def check(self) -> None:
        """Raises UserError unless every tensor that the architecture implies is there, fits, and has a supported type."""
        check_tensors(self.file, self.config)

    def tensor(self, name: str) -> Tensor:
        """The tensor as float32. The first call queues its dequantization, later ones return the same Tensor.

        Raises UserError if the file has no such tensor or its type is not supported.
        """
        if name not in self._held:
            raw = self.file.raw(name)
            info = self.file.tensors[name]
            if info.type not in KINDS:
                path = quoted(self.file.path)
                raise UserError(f"{path}: tensor {name} has type {info.type}; only {', '.join(KINDS)} are supported")
            data = self._gpu.tensor(np.frombuffer(raw, np.uint8))
            self._held[name] = self._dequantize(data, info.type, info.shape)
            self._queued += info.nbytes
            if self._queued > QUEUED_BYTES:
                self._gpu.sync()
                self._queued = 0
        return self._held[name]
