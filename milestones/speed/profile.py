"""Where the time of a decode step goes: each kernel by itself, block by block, and what is not kernels at all."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from metal.timed import TimedGpu, empty_runs, medians
from milestones.m3.sampler import GREEDY, Settings
from milestones.m7.engine import Engine, Progress
from milestones.m7.loop import Loop
from milestones.speed.flame import Frame

WARM, STEPS = 3, 9


@dataclass(frozen=True)
class Profile:
    """A decode step, seconds, medians over several steps.

    `runs`: (file, seconds) of every kernel run in order, each waited for, less what an empty run takes. `step`: the same step
    as the engine does it, nothing waited for in between. `dispatch`: what queueing an empty run costs.
    """

    runs: tuple[tuple[str, float], ...]
    step: float
    dispatch: float
    context: int
    blocks: int

    @property
    def kernels(self) -> float:
        """Seconds in kernels."""
        return sum(seconds for _, seconds in self.runs)

    def shares(self) -> dict[str, float]:
        """The step's parts, from 0 to 1: kernels, dispatch (runs times an empty one's cost), host (the rest).

        Kernels that are waited for one by one may take longer together than the step did: then their share is all of it.
        """
        kernels = min(1.0, self.kernels / self.step)
        dispatch = min(1.0 - kernels, len(self.runs) * self.dispatch / self.step)
        return {"kernels": kernels, "dispatch": dispatch, "host": 1.0 - kernels - dispatch}

    def by_kernel(self) -> list[tuple[str, int, float]]:
        """(file, runs, seconds together), the longest first."""
        counts = Counter(file for file, _ in self.runs)
        seconds = {file: sum(s for name, s in self.runs if name == file) for file in counts}
        return [(file, counts[file], seconds[file]) for file in sorted(counts, key=lambda file: -seconds[file])]

    def frame(self) -> Frame:
        """The step as a tree: before the blocks, each block, after them."""
        names = [file for file, _ in self.runs]
        first, length = cycle(names, self.blocks)
        leaves = [Frame(file, seconds) for file, seconds in self.runs]
        end = first + length * self.blocks
        inner = [Frame.of(f"block {b}", leaves[first + b * length : first + (b + 1) * length]) for b in range(self.blocks)]
        return Frame.of("decode step", [*leaves[:first], *(inner if length else []), *leaves[end:]])


def cycle(names: Sequence[str], times: int) -> tuple[int, int]:
    """(start, length) of the longest stretch that stands `times` times in a row; length 0 if there is none.

    >>> cycle(["embed", "a", "b", "a", "b", "head"], 2)
    (1, 2)
    """
    for length in range(len(names) // times, 0, -1):
        for start in range(len(names) - length * times + 1):
            if all(names[i] == names[i + length] for i in range(start, start + length * (times - 1))):
                return start, length
    return 0, 0


def measure(
    path: Path, prompt: str | bytes, progress: Progress, *, kernels: str = "fast", settings: Settings = GREEDY
) -> Profile:
    """Profile decode steps after a prompt, chosen by `settings`. Raises UserError like the engine."""
    gpu = TimedGpu.telling(progress)
    gpu.timing = False
    engine = Engine(path, gpu=gpu, progress=progress, kernels=kernels)
    ids = engine.encode(prompt)
    engine.check_length(ids)
    steps = WARM + 2 * STEPS
    room = min(engine.model.config.context, len(ids) + steps + 1)
    loop = Loop(gpu, engine.model, settings=settings, capacity=room)
    following = loop.prefill(ids)

    def once() -> None:
        nonlocal following
        following = loop.step([following.id])

    def measured(*, apart: bool) -> tuple[float, list[tuple[str, float]]]:
        found = gpu.measured(once, apart=apart)
        loop.rewind(len(ids))  # so that every step does the same work
        return found

    for _ in range(WARM):
        measured(apart=False)
    whole, apart = [], []
    for _ in range(STEPS):  # by turns: what disturbs the machine disturbs both
        whole.append(measured(apart=False)[0])
        apart.append(measured(apart=True)[1])
    waited, queued = empty_runs(gpu)
    runs = tuple(medians(apart, waited))
    return Profile(runs, statistics.median(whole), queued, len(ids), engine.model.config.blocks)
