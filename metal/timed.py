"""A Gpu that says how long each kernel took."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from metal.tensor import Gpu

EMPTIES = 200


class TimedGpu(Gpu):
    """Waits for every run and notes how long it took, while `timing` is set. Slower than a Gpu that queues.

    `calls` holds each run as (file, seconds), in order: ("m2/rms_norm", 0.0001). Whoever reads it may empty it. `heard`, where
    it is set, is told the arguments of each such run.
    """

    def __init__(self, **options: Any):
        super().__init__(**options)
        self.timing = True
        self.calls: list[tuple[str, float]] = []
        self.heard: Callable[[tuple[Any, ...]], None] | None = None

    @classmethod
    def telling(cls, progress: Callable[[str, int, int], None]) -> TimedGpu:
        """One that tells of kernels being compiled, as the engine's own does."""
        return cls(compiling=lambda done: progress("preparing kernels", done, 0), waiting=lambda: progress("", 0, 0))

    def run(self, function: Any, threads: int, *arguments: Any) -> None:
        if not self.timing or self._recording is not None:
            return super().run(function, threads, *arguments)
        began = time.perf_counter()
        super().run(function, threads, *arguments)
        self.sync()
        self.calls.append((self.named(function), time.perf_counter() - began))
        if self.heard is not None:
            self.heard(arguments)
        return None

    def measured(self, queue: Callable[[], Any], *, apart: bool) -> tuple[float, list[tuple[str, float]]]:
        """(seconds that what `queue()` runs takes until it is done, each run by itself). With `apart` each run is waited for;
        without it nothing is, and there are no single ones."""
        self.sync()
        self.timing = apart
        self.calls.clear()
        began = time.perf_counter()
        try:
            queue()
            self.sync()
            return time.perf_counter() - began, list(self.calls)
        finally:
            self.timing = False

    @property
    def replays(self) -> bool:
        return not self.timing

    @property
    def seconds(self) -> dict[str, float]:
        """How long the runs of each file took together."""
        found: dict[str, float] = defaultdict(float)
        for file, taken in self.calls:
            found[file] += taken
        return found


def medians(passes: Sequence[Sequence[tuple[str, float]]], waited: float = 0.0) -> list[tuple[str, float]]:
    """Several times the same runs → each run's median, less what an empty one takes that is `waited` for.

    >>> medians([[("add", 5.0)], [("add", 4.0)], [("add", 9.0)]], 1.0)
    [('add', 4.0)]
    """
    return [
        (calls[0][0], max(0.0, statistics.median(seconds for _, seconds in calls) - waited))
        for calls in zip(*passes, strict=True)
    ]


def empty_runs(gpu: Gpu) -> tuple[float, float]:
    """What an empty run costs: (queued and waited for, only queued), medians of several."""
    kernel = gpu.device.kernel("kernel void empty(device float *a [[buffer(0)]]) {}").function("empty")
    room = gpu.empty((1,))

    def timed(what: Callable[[], None], n: int) -> float:
        began = time.perf_counter()
        what()
        return (time.perf_counter() - began) / n

    def many() -> None:
        for _ in range(EMPTIES):
            gpu.run(kernel, 1, room)
        gpu.sync()

    def one() -> None:
        gpu.run(kernel, 1, room)
        gpu.sync()

    many()
    return statistics.median(timed(one, 1) for _ in range(EMPTIES)), statistics.median(timed(many, EMPTIES) for _ in range(5))
