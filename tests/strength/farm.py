"""Two warm processes that work through many jobs while the tests that asked for them wait, each for its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

from milestones.course.spec_process import SpecProcess

PROCESSES = 2


class Farm:
    """Runs `jobs` (name → what to do with a process) in processes started with `arguments`. Use it as a context."""

    def __init__(self, arguments: Sequence[str], jobs: Mapping[str, Callable[[SpecProcess], Any]]):
        self._processes = [SpecProcess(arguments) for _ in range(min(PROCESSES, len(jobs)))]
        self._free: SimpleQueue[SpecProcess] = SimpleQueue()
        for process in self._processes:
            self._free.put(process)
        self._pool = ThreadPoolExecutor(PROCESSES)
        self._futures = {name: self._pool.submit(self._do, job) for name, job in jobs.items()}

    def _do(self, job: Callable[[SpecProcess], Any]) -> Any:
        process = self._free.get()
        try:
            return job(process)
        finally:
            self._free.put(process)

    def __getitem__(self, name: str) -> Any:
        """What a job came to; waits for it."""
        return self._futures[name].result()

    def __enter__(self) -> Farm:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in self._processes:
            process.close()
