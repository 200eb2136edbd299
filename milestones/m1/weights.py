"""A model file's weights on the device, each dequantized there when it is first asked for."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from metal.tensor import Gpu, Tensor
from milestones.m1.dequantize import KINDS, Dequantize
from milestones.m1.model_file import ModelFile, check_kind, check_tensors

QUEUED_BYTES = 1 << 26  # so many undigested bytes may wait on the device before their memory is wanted back


class Weights:
    """The tensors of a Llama-type model on the device. Raises UserError if the file's model is of another kind.

    m5's `Weights` reads more types of tensors.
    """

    kinds: Collection[str] = KINDS

    def __init__(self, gpu: Gpu, file: ModelFile):
        self.file, self.config = file, file.config()
        self.gpu, self._dequantize = gpu, Dequantize(gpu)
        self._held: dict[str, Tensor] = {}
        self._queued = 0

    def check(self) -> None:
        """Raises UserError unless every tensor that the architecture implies is there, fits, and has a supported type."""
        check_tensors(self.file, self.config, self.kinds)

    def tensor(self, name: str) -> Tensor:
        """The tensor as float32. The first call queues its dequantization, later ones return the same Tensor.

        Raises UserError if the file has no such tensor or its type is not supported.
        """
        if name not in self._held:
            data, kind, shape = self.raw(name)
            self._held[name] = self.dequantized(data, kind, shape)
            self._queued += data.nbytes
            if self._queued > QUEUED_BYTES:
                self.gpu.sync()
                self._queued = 0
        return self._held[name]

    def kind(self, name: str) -> str:
        """How the file holds the tensor: "Q4_1". Raises UserError like `tensor`."""
        self.file.raw(name)
        return self.file.tensors[name].type

    def stored(self, name: str) -> tuple[Tensor, str, tuple[int, ...]]:
        """The tensor's bytes as the file holds them, uint8, with their kind and shape: for `get_rows`.

        Raises UserError like `tensor`.
        """
        return self.raw(name)

    def raw(self, name: str) -> tuple[Tensor, str, tuple[int, ...]]:
        """The tensor's bytes as the file holds them, uint8, with their kind, one of `kinds`, and shape."""
        raw = self.file.raw(name)
        info = self.file.tensors[name]
        check_kind(self.file, info, self.kinds)
        return self.gpu.tensor(np.frombuffer(raw, np.uint8)), info.type, info.shape

    def dequantized(self, data: Tensor, kind: str, shape: tuple[int, ...]) -> Tensor:
        """A tensor's bytes as float32. Queues one kernel."""
        return self._dequantize(data, kind, shape)
