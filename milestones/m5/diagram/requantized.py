"""The model with some of its weights put through a type and back: what that type makes of them is what it then runs on."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from metal.tensor import Gpu, Tensor
from milestones.m1.dequantize import Dequantize
from milestones.m2.model import Attend, Model
from milestones.m5.dequantize_k import K_KINDS, DequantizeK
from milestones.m5.quantize import BYTES, Quantize
from milestones.m5.weights import Weights

HEADS = ("token_embd", "output")  # tensors outside the blocks


def tensor_name(part: str, layer: int) -> str:
    """The file's name of "attn_q", say; the layer of a tensor outside the blocks does not matter."""
    return f"{part}.weight" if part in HEADS else f"blk.{layer}.{part}.weight"


class Through:
    """Floats → the floats that their blocks of `kind` mean. Results are kept by name, and written over by the next of it."""

    def __init__(self, gpu: Gpu, kind: str):
        self._gpu, self.kind, self._room = gpu, kind, dict[str, tuple[Tensor, Tensor]]()
        self._quantize, self._dequantize = Quantize(gpu), (DequantizeK if kind in K_KINDS else Dequantize)(gpu)

    def __call__(self, x: Tensor, name: str) -> Tensor:
        """x (rows, a multiple of 32) float32 → as much. Queues two kernels."""
        if name not in self._room:
            self._room[name] = self._gpu.empty((x.size // 32 * BYTES[self.kind],), np.uint8), self._gpu.empty(x.shape)
        raw, out = self._room[name]
        return self._dequantize(self._quantize(x, self.kind, raw), self.kind, x.shape, out)


class _Source:
    """The weights of a model that is there already; those outside the blocks as `made` gives them."""

    def __init__(self, base: Model, weights: Weights, names: Collection[str], through: Through):
        self.config, self._base, self._weights, self._names, self._through = base.config, base, weights, names, through

    def tensor(self, name: str) -> Tensor:
        first, *rest = name.removesuffix(".weight").split(".")
        if first == "blk":
            return self._base.blocks[int(rest[0])][".".join(rest[1:])]  # "attn_q", "attn_q.bias"
        if first == "output_norm":
            return self._base.norm
        is_head = first == "output" or self.config.tied
        floats = self._base.head if is_head else self._weights.tensor(name)
        return self._through(floats, name) if name in self._names else floats

    def stored(self, name: str) -> tuple[Tensor, str, tuple[int, ...]]:
        if name not in self._names:
            return self._weights.stored(name)
        made = self.tensor(name)
        return Tensor(made.buffer, (made.nbytes,), np.uint8), "F32", made.shape


class Requantized(Model):
    """m2's model on `base`'s weights, those called `names` put through `kind`. A block's are when a prompt comes to it: all
    blocks share the room of one.
    """

    def __init__(self, gpu: Gpu, base: Model, weights: Weights, kind: str, names: Collection[str]):
        self._through, self._names = Through(gpu, kind), names
        super().__init__(gpu, _Source(base, weights, names, self._through))

    def _block(self, layer: int, w: dict[str, Tensor], x: Tensor, attend: Attend, start: int) -> Tensor:
        made = {part: self._through(w[part], part) for part in w if tensor_name(part, layer) in self._names}
        return super()._block(layer, w | made, x, attend, start)
