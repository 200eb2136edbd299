"""Dispatches recorded once and replayed: an extension of the portable device, which metalcompute lacks.

A recording is an OpenCL command buffer (cl_khr_command_buffer) where the platform has them: a replay is then one call, and
Python is free again at once. Elsewhere it is a list that a replay queues one by one. The results are the same to the bit.
"""

from __future__ import annotations

import ctypes
import weakref
from functools import cache
from typing import Any, NamedTuple

from .errors import error
from .function import Function, Prepared, Run
from .grid import Launch
from .opencl import Runtime

_POINTER, _UINT, _INT = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int32
_CAPABILITIES, _FLAGS, _SIMULTANEOUS_USE, _CAN_SIMULTANEOUS = 0x12A9, 0x1293, 1, 4


class Recording:
    """Ours, not metalcompute's: dispatches written down once, then replayed together in that order.

    `recording(function, count, *buffers)` adds a call, `recording.dispatch(function, …)` a dispatch; both are checked as if
    they ran. Bytes-like arguments are copied when they are added. `recording.replay()` queues everything and returns a handle.
    """

    def __init__(self, run: Runtime):
        self._run, api = run, commands(run)
        self._list: CommandList | PlainList = PlainList(run) if api is None else CommandList(run, api)
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
                self._list.add(entry.kernel, launch)
        self._kept.append((function, entry, what.bound))

    def replay(self) -> Run:
        """Queue the whole recording, after all that was queued before."""
        self._replayed = True
        for function, what in self._checked:
            function._queue(what)
        if len(self._checked) == len(self._kept):
            return Run(None, self)
        with self._run.lock:
            self._run.starting = self
            run = Run(self._list.replay(), self)
            self._run.starting = None
        return run


class Commands(NamedTuple):
    """The functions of cl_khr_command_buffer."""

    create: Any
    launch: Any
    finish: Any
    enqueue: Any
    release: Any


@cache
def commands(run: Runtime) -> Commands | None:
    """The platform's command buffers; None if it has none, or none that may be queued again before they are done."""
    if "cl_khr_command_buffer" not in run.device.extensions.split():
        return None
    able = ctypes.c_uint64()
    ask = ctypes.CDLL(run.cl._cl.__file__).clGetDeviceInfo
    ask.argtypes = [_POINTER, _UINT, ctypes.c_size_t, _POINTER, _POINTER]
    if ask(run.device.int_ptr, _CAPABILITIES, 8, ctypes.byref(able), None) or not able.value & _CAN_SIMULTANEOUS:
        return None
    p, u, i = _POINTER, _UINT, _INT
    found = (
        run.extension("clCreateCommandBufferKHR", p, u, p, p, p),
        run.extension("clCommandNDRangeKernelKHR", i, p, p, p, p, u, p, p, p, u, p, p, p),
        run.extension("clFinalizeCommandBufferKHR", i, p),
        run.extension("clEnqueueCommandBufferKHR", i, u, p, p, u, p, p),
        run.extension("clReleaseCommandBufferKHR", i, p),
    )
    return Commands(*found) if all(found) else None


class CommandList:
    """Launches in a command buffer. The kernel's arguments are those it holds when a launch is added."""

    def __init__(self, run: Runtime, api: Commands):
        self._run, self._api, self._finished = run, api, False
        failed = _INT()
        flags = (ctypes.c_uint64 * 3)(_FLAGS, _SIMULTANEOUS_USE, 0)
        self._buffer = api.create(1, (_POINTER * 1)(run.queue.int_ptr), flags, ctypes.byref(failed))
        if failed.value:
            raise error(f"a recording could not be made (OpenCL error {failed.value})")
        weakref.finalize(self, api.release, self._buffer).atexit = False

    def add(self, kernel: Any, launch: Launch) -> None:
        dimensions = len(launch.size)
        sizes = [None if part is None else (ctypes.c_size_t * dimensions)(*part) for part in launch]
        _done(self._api.launch(self._buffer, None, None, kernel.int_ptr, dimensions, *sizes, 0, None, None, None))

    def replay(self) -> Any:
        """Queue everything. Returns the OpenCL event of its end."""
        if not self._finished:
            _done(self._api.finish(self._buffer))
            self._finished = True
        event = _POINTER()
        _done(self._api.enqueue(0, None, self._buffer, 0, None, ctypes.byref(event)))
        return self._run.cl.Event.from_int_ptr(event.value, retain=False)


class PlainList:
    """Launches in a Python list, for platforms without command buffers: each holds an OpenCL kernel of its own."""

    def __init__(self, run: Runtime):
        self._run, self._launches = run, []  # type: ignore[var-annotated]

    def add(self, kernel: Any, launch: Launch) -> None:
        self._launches.append((kernel.clone(), launch))

    def replay(self) -> Any:
        event = None
        for kernel, launch in self._launches:
            event = self._run.cl.enqueue_nd_range_kernel(
                self._run.queue, kernel, launch.size, launch.group, global_work_offset=launch.offset
            )
        return event


def _done(code: int) -> None:
    if code:
        raise error(f"the recording failed (OpenCL error {code})")
