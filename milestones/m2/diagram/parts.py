"""What attention and the FFN of every block add to the residual stream, by m2's kernels, from a pass that is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from metal.tensor import Gpu, Tensor
from milestones.diagrams.device import Device, Recent
from milestones.m2.add import Add
from milestones.m2.attention import Attention
from milestones.m2.diagram.passes import Pass
from milestones.m2.matmul import Matmul
from milestones.m2.model import Model
from milestones.m2.rms_norm import RmsNorm
from milestones.m2.swiglu import SwiGlu

_KEPT = 8  # passes


@dataclass(frozen=True)
class Parts:
    """Each (blocks, tokens, width): what attention adds, the stream after that, what the FFN adds then."""

    attention: np.ndarray
    between: np.ndarray
    ffn: np.ndarray


class Sublayers:
    """The two halves of a block on tensors (tokens, width), each from its norm's output on. Queues; nothing is waited for."""

    def __init__(self, gpu: Gpu, model: Model):
        self.gpu, self.model = gpu, model
        self.norm, self.add = RmsNorm(gpu), Add(gpu)
        self._matmul, self._attention, self._swiglu = Matmul(gpu), Attention(gpu), SwiGlu(gpu)

    def attention(self, layer: int, h: Tensor) -> Tensor:
        """What a block's attention adds for h, tokens from position 0 on."""
        q, k, v = self.heads(layer, h)
        self.model.turn(layer, q, 0)
        self.model.turn(layer, k, 0)
        return self.output(self.model.blocks[layer], self._attention(q, k, v))

    def heads(self, layer: int, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """A block's queries, keys and values of h, before RoPE."""
        return self.model.heads(self.model.blocks[layer], h, self._room)

    def output(self, w: Mapping[str, Tensor], mixed: Tensor) -> Tensor:
        """What is added of attention's own output (tokens, heads, d)."""
        return self.model.output(w, mixed, self._room)

    def _room(self, name: str, *shape: int) -> Tensor:
        return self.gpu.empty(shape)

    def ffn(self, w: Mapping[str, Tensor], h: Tensor) -> Tensor:
        """What the FFN adds for h."""
        gate, up = self._matmul(h, w["ffn_gate"]), self._matmul(h, w["ffn_up"])
        return self._matmul(self._swiglu(gate, up, gate), w["ffn_down"])


def sublayers(device: Device) -> Sublayers:
    """Those of the device's model, made once."""
    model = device.naive.model
    assert isinstance(model, Model)  # whose kernels these are
    return device.kept("sublayers", lambda: Sublayers(device.gpu, model))


def parts(device: Device, seen: Pass) -> Parts:
    """The parts of a pass, of all blocks and tokens; those of the last few passes are kept."""
    kept: Recent[tuple[int, ...], Parts] = device.kept("parts", lambda: Recent(_KEPT))
    return kept(seen.ids, lambda: _computed(sublayers(device), seen))


def _computed(run: Sublayers, seen: Pass) -> Parts:
    gpu, made = run.gpu, []
    for layer, w in enumerate(run.model.blocks):
        attention = run.output(w, gpu.tensor(seen.mixed[layer]))
        between = run.add(gpu.tensor(seen.stream[layer]), attention)
        ffn = run.ffn(w, run.norm(between, w["ffn_norm"], eps=run.model.config.eps))
        made.append((attention, between, ffn))
    gpu.sync()
    return Parts(*(np.stack([one.numpy() for one in each]) for each in zip(*made, strict=True)))
