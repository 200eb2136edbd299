"""A Gpu that says how long each kernel took."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from metal.tensor import Gpu


class TimedGpu(Gpu):
    """Waits for every run and notes how long it took, while `timing` is set. Slower than a Gpu that queues.

    `calls` holds each run as (file, seconds), in order: ("m2/rms_norm", 0.0001). Whoever reads it may empty it.
    """

    def __init__(self, **options: Any):
        super().__init__(**options)
        self.timing = True
        self.calls: list[tuple[str, float]] = []

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
        return None

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
