"""Two warm processes that work through many jobs while the tests that asked for them wait, each for its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from queue import SimpleQueue
from typing import Any

from milestones.course.spec_process import SpecProcess
from tests.strength.trial import spec_process

PROCESSES = 2


class Farm:
    """Runs `jobs` (name → what to do with a process) in processes started with `arguments`. Use it as a context.

    A job that is not `in_time` is not begun, and comes to None.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        jobs: Mapping[str, Callable[[SpecProcess], Any]],
        processes: int = PROCESSES,
        in_time: Callable[[], bool] = lambda: True,
    ):
        self._in_time = in_time
        self._processes = [spec_process(arguments) for _ in range(min(processes, len(jobs)))]
        self._free: SimpleQueue[SpecProcess] = SimpleQueue()
        for process in self._processes:
            self._free.put(process)
        self._pool = ThreadPoolExecutor(processes)
        self._futures = {name: self._pool.submit(self._do, job) for name, job in jobs.items()}

    def _do(self, job: Callable[[SpecProcess], Any]) -> Any:
        process = self._free.get()
        try:
            return job(process) if self._in_time() else None
        finally:
            self._free.put(process)

    def __getitem__(self, name: str) -> Any:
        """What a job came to; waits for it."""
        return self._futures[name].result()

    def as_they_end(self) -> Iterator[tuple[str, Any]]:
        """Every job's name and what it came to."""
        names = {future: name for name, future in self._futures.items()}
        for future in as_completed(names):
            yield names[future], future.result()

    def __enter__(self) -> Farm:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in self._processes:
            process.close()
