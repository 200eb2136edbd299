"""The one thread that owns the device. Requests wait in a queue; a newer one of a page and kind replaces an older one."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from milestones.diagrams.device import Device

WAITING = 16  # requests at most


class ReplacedError(Exception):
    """A newer request of the same page has taken this one's place."""


class BusyError(Exception):
    """Too many requests wait."""


class Job:
    """One request. `put` is called in the worker's thread: with ("item", value) for each answer, at last with ("end", None) or
    ("error", exception).
    """

    def __init__(self, key: str, run: Callable[[Device], Any], put: Callable[[str, Any], None]):
        self.key, self.run, self.put = key, run, put
        self.cancelled = False


class Worker:
    """Runs jobs one after the other, in its own thread. The device is made there, at the first job that needs it."""

    def __init__(self, make: Callable[[], Device]):
        self._make, self._jobs, self._changed = make, deque[Job](), threading.Condition()
        self._device: Device | None = None
        self._running: Job | None = None
        self._thread = threading.Thread(target=self._work, name="device", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def warm(self, part: str) -> None:
        """Make a part of the device now, by its name: a page's first answer need not wait for it. Nobody hears how it went."""
        with suppress(BusyError):
            self.submit(Job(f"warm {part}", lambda device: getattr(device, part) and None, lambda kind, value: None))

    def submit(self, job: Job) -> None:
        """Queue a job; those of its key that wait already end with ReplacedError, one that runs stops at its next line.

        Raises BusyError if too many wait.
        """
        with self._changed:
            replaced = [other for other in self._jobs if other.key == job.key]
            for other in replaced:
                self._jobs.remove(other)
            full = len(self._jobs) >= WAITING
            if not full:
                self._jobs.append(job)
            if self._running is not None and self._running.key == job.key:
                self._running.cancelled = True
            self._changed.notify()
        for other in replaced:
            other.put("error", ReplacedError())
        if full:
            raise BusyError

    def cancel(self, job: Job) -> None:
        """Nobody waits for its answer any more."""
        with self._changed:
            job.cancelled = True
            with suppress(ValueError):
                self._jobs.remove(job)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._running = None
                while not self._jobs:
                    self._changed.wait()
                job = self._running = self._jobs.popleft()
            try:
                self._do(job)
            except BaseException as problem:  # whatever it is, the page must hear of it, and the next job has its turn
                job.put("error", problem)

    def _do(self, job: Job) -> None:
        if self._device is None:
            self._device = self._make()
        answer = job.run(self._device)
        for item in answer if isinstance(answer, Iterator) else (answer,):
            job.put("item", item)
            if job.cancelled and isinstance(answer, Iterator):
                raise ReplacedError
        job.put("end", None)
