"""What the kernels that sample share on the host: sampling.h's settings, recordings that are replayed with others, a choice."""

from __future__ import annotations

import struct
from collections.abc import Callable, Hashable

import numpy as np

from metal.tensor import UINT32, Gpu, Recorded, Tensor, require

ARGS = "IIfffIIIIIf"  # sampling.h
STEP, STEP_AT = struct.Struct("<Q"), struct.calcsize("<IIfffII")  # step_low and step_high
RESULT = struct.Struct("<IfII")  # what a kernel that chooses leaves
KEPT = 8  # recordings: a loop has one or two tensors of logits


def settings_bytes(
    op: str,
    n: int,
    top_k: int,
    *,
    top_p: float,
    min_p: float,
    temperature: float,
    seed: int,
    step: int,
    filtered: int = 0,
) -> bytes:
    """sampling.h's Args. Raises ValueError naming the setting that is out of range."""
    require(temperature > 0, f"{op}: the temperature must be above 0, got {temperature}")
    require(0 < top_p <= 1, f"{op}: top_p must be above 0 and at most 1, got {top_p}")
    require(0 <= min_p <= 1, f"{op}: min_p must be from 0 to 1, got {min_p}")
    require(0 <= seed < 2**64 and 0 <= step < 2**64, f"{op}: seed {seed} or step {step} is not from 0 to 2⁶⁴ − 1")
    low = 0xFFFFFFFF
    draw = (seed & low, seed >> 32, step & low, step >> 32)
    return struct.pack("<" + ARGS, n, top_k, top_p, min_p, 1 / temperature, *draw, filtered, 1.0)


class Chosen(Tensor):
    """A choice that was queued, (4) uint32; valid after `gpu.sync()`."""

    def __init__(self, gpu: Gpu, most: int):
        super().__init__(gpu.empty((4,), UINT32).buffer, (4,), UINT32)
        self._most = most

    def _result(self) -> tuple[int, float, int, int]:
        """Not through NumPy: nothing of the host is in a cache after a step, and the device waits meanwhile."""
        return RESULT.unpack_from(self.buffer)

    @property
    def id(self) -> int:
        return self._result()[0]

    @property
    def own(self) -> float:
        """The id's probability in the model's own distribution, at temperature 1."""
        return self._result()[1]

    @property
    def nonfinite(self) -> int:
        return self._result()[2]

    @property
    def told(self) -> bool:
        """Whether the kernel could tell. If not, only `nonfinite` is valid."""
        return self._result()[3] <= self._most


class Replayed:
    """Dispatches recorded once, replayed with other settings, which lie in a tensor of their own: `args`.

    One call of the host a step instead of four to six: the host shares its processor's cores with the kernels.
    """

    def __init__(self, gpu: Gpu):
        self._gpu, self.args = gpu, gpu.tensor(np.zeros(struct.calcsize(ARGS) // 4, np.uint32))
        self._recorded: dict[Hashable, Recorded] = {}
        self._last: tuple[Hashable, Recorded] | None = None  # what was asked for last, and what was replayed for it
        self._syncs = -1

    def again(self, asked: Hashable, step: int) -> bool:
        """Queue what was queued last, for another step, if the same was asked for last; else do nothing. Whether it did."""
        if self._last is None or self._last[0] != asked or not 0 <= step < 2**64:
            return False
        self._rest()
        STEP.pack_into(self.args.buffer, STEP_AT, step)
        self._replay(self._last[1])
        return True

    def __call__(self, asked: Hashable, key: Hashable, settings: bytes, queue: Callable[[], None]) -> None:
        """Queue what `queue()` queues; it is called once for each `key`. `asked`: what they are made of, but the step."""
        self._rest()
        if key not in self._recorded:
            if len(self._recorded) == KEPT:
                self._recorded.clear()
            self._recorded[key] = self._gpu.record(queue)
        self._last = asked, self._recorded[key]
        self.args.numpy().view(np.uint8)[:] = np.frombuffer(settings, np.uint8)
        self._replay(self._recorded[key])

    def _rest(self) -> None:
        """Wait, if the settings of the call before are still read."""
        if self._syncs == self._gpu.syncs:
            self._gpu.sync()

    def _replay(self, recorded: Recorded) -> None:
        recorded.replay()
        self._syncs = self._gpu.syncs
