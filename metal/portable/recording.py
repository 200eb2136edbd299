"""Dispatches recorded once and replayed: an extension of the portable device, which metalcompute lacks.

Each launch holds an OpenCL kernel of its own with its arguments set, so a replay only queues them. OpenCL's command buffers
(cl_khr_command_buffer) would be one call, but Intel's runtime 2026.2 keeps 1.9 KB for good for every command replayed: 280 KB
a decode step. And they were no faster.
"""

from __future__ import annotations

from typing import Any

from .errors import error
from .function import Function, Prepared, Run
from .grid import Launch
from .opencl import Runtime


class Recording:
    """Ours, not metalcompute's: dispatches written down once, then replayed together in that order.

    `recording(function, count, *buffers)` adds a call, `recording.dispatch(function, …)` a dispatch; both are checked as if
    they ran. Bytes-like arguments are copied when they are added. `recording.replay()` queues everything and returns a handle.
    """

    def __init__(self, run: Runtime):
        self._run = run
        self._launches: list[tuple[Any, Launch]] = []  # an OpenCL kernel that is this launch's own, and its sizes
        self._kept: list[Any] = []  # what the launches need: buffers, kernels and their programs
        self._checked: list[tuple[Function, Prepared]] = []
        self._replayed = False

    def __len__(self) -> int:
        """How many dispatches there are."""
        return len(self._kept)

    def __call__(self, function: Function, count: int, *buffers) -> None:
        """Add `function(count, *buffers)`."""
        self._add(function, function._prepared(count, buffers))

    def dispatch(
        self, function: Function, *, threadgroup, grid=None, threadgroups=None, buffers=(), threadgroup_memory=()
    ) -> None:
        """Add `function.dispatch(…)`."""
        self._add(function, function._dispatched(threadgroup, grid, threadgroups, buffers, threadgroup_memory))

    def _add(self, function: Function, what: Prepared) -> None:
        if self._replayed:
            raise error("a recording that was replayed takes no more dispatches")
        if function.checked:  # looked through one by one, when they are replayed
            self._checked.append((function, what))
            self._kept.append((function, what))
            return
        with self._run.lock:
            entry, found = function._ready(what)
            for launch in found:
                self._launches.append((entry.kernel.clone(), launch))
        self._kept.append((function, entry, what.bound))

    def replay(self) -> Run:
        """Queue the whole recording, after all that was queued before."""
        self._replayed, event = True, None
        for function, what in self._checked:
            function._queue(what)
        with self._run.lock:
            self._run.starting = self
            for kernel, (offset, size, group) in self._launches:
                event = self._run.cl.enqueue_nd_range_kernel(self._run.queue, kernel, size, group, offset)
            run = Run(event, self)
            self._run.starting = None
        return run
