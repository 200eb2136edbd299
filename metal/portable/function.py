"""A kernel function and the handle of a run: metalcompute's call, and a dispatch of any shape, which is ours."""

from __future__ import annotations

import operator
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

from .buffers import Buffer, argument, place
from .errors import error
from .grid import Launch, Shape, Three, extent, launches
from .lowered import MAX_THREADS, KernelInfo
from .opencl import Runtime

THREADGROUP_MEMORY = 32768  # bytes, the limit of every Apple GPU that MSL 2.3 knows
_NONE: list[int] = []  # no threadgroup arguments


class Part(NamedTuple):
    """What is compiled together: kernels by name (none: all of the source), for values of function constants."""

    names: tuple[str, ...]
    values: str
    shaped: bool  # positions are worked out (grid.py)
    given: tuple[tuple[str, str], ...] = ()


class Run:
    """A queued run. Dropping it waits until the run is done; it keeps the run's buffers alive until then."""

    __slots__ = ("_buffers", "_event")

    def __init__(self, event: Any, buffers: Any):
        self._event, self._buffers = event, buffers

    def __del__(self) -> None:
        event = getattr(self, "_event", None)
        if event is not None and not sys.is_finalizing():
            event.wait()


class Entry:
    """An OpenCL kernel, and what it was last given: an argument that has not changed is not set again."""

    def __init__(self, run: Runtime, program: Any, info: KernelInfo):
        self.kernel = run.cl.Kernel(program, info.entry)
        self._local_memory = run.cl.LocalMemory
        self._buffers = [(n, b.index, b.position) for n, b in enumerate(info.buffers)]
        self._local = [t.position for t in info.threadgroups]
        self._given: list[Any] = [()] * len(self._buffers)  # nothing yet: None is a null pointer
        self._lengths: list[int] = []
        for position in info.absent:
            self.kernel.set_arg(position, None)

    def give(self, bound: list, lengths: list[int]) -> None:
        """Set the arguments: the buffers, by index, and the threadgroup arguments' lengths, in parameter order."""
        given = self._given
        for n, index, position in self._buffers:
            memory = None if bound[index] is None else bound[index]._memory
            if given[n] is not memory:
                self.kernel.set_arg(position, memory)
                given[n] = memory
        if lengths != self._lengths:
            for position, length in zip(self._local, lengths, strict=True):
                self.kernel.set_arg(position, self._local_memory(length))
            self._lengths = lengths


class Prepared(NamedTuple):
    """A dispatch, its arguments checked: its grid in threads, its threadgroup, buffers, and threadgroup arguments' lengths."""

    grid: Three
    group: Three
    bound: list
    lengths: list[int]
    complete: tuple[int, ...] = ()  # indices of buffers that a checked dispatch must write whole


class Function:
    """A kernel function, ready to run: `function(count, *buffers)` queues it and returns a run handle at once."""

    checked = False

    def __init__(self, kernel: Any, info: KernelInfo, part: Part):
        self._kernel, self._info, self._part = kernel, info, part
        self._run: Runtime = kernel._device._runtime
        self._group = (info.width,)
        self._writable = {b.index for b in info.buffers if b.writable}
        self._align = {b.index: b.align for b in info.buffers}
        self._reads = max((b.index for b in info.buffers), default=-1) + 1
        self._plain = Entry(self._run, kernel._program(part), info)
        self._shaped: Entry | None = None
        self._enqueue = self._run.cl.enqueue_nd_range_kernel

    def __str__(self) -> str:
        return f"metal.portable.Function({self._info.name})"

    def __call__(self, count: int, *buffers) -> Run:
        """Queue `count` threads, rounded up to whole threadgroups, over `buffers` at indices 0, 1, 2, …

        A buffer is a Buffer of this device or any bytes-like object, which is copied. Raises `metal.error` where
        metalcompute does, and also where it would run with an index left unbound (undefined on a GPU).
        """
        bound, size = self._called(count, buffers)
        if not size:
            return Run(None, bound)
        run, entry = self._run, self._plain  # written out, not through _queue: this is every kernel's way
        with run.lock:
            entry.give(bound, _NONE)
            run.starting = bound
            made = Run(self._enqueue(run.queue, entry.kernel, (size,), self._group), bound)
            run.starting = None
        return made

    def dispatch(
        self,
        *,
        threadgroup: Shape,
        grid: Shape | None = None,
        threadgroups: Shape | None = None,
        buffers: Sequence[Any] = (),
        threadgroup_memory: Sequence[int] = (),
        complete: Sequence[int] = (),
    ) -> Run:
        """Ours, not metalcompute's: what a Metal host can ask for beyond metalcompute's call. Queues and returns a handle.

        `grid` counts threads (dispatchThreads: threadgroups at the far edges are smaller), `threadgroups` whole threadgroups
        (dispatchThreadgroups); either is a number or (x, y, z), as is `threadgroup`. An entry of `buffers` is a Buffer, a
        bytes-like object (copied), (Buffer, byte offset) or None: nothing at that index, a null pointer that the kernel may
        test. If it reads through that all the same, the process ends; with checks, a finding says where.
        `threadgroup_memory` has the bytes for each `[[threadgroup(n)]]`; `complete` the indices of buffers that must be written
        whole, which a checked device looks at. Raises `metal.error` for what a Metal device would not take, for an index that
        is missing at the end, and for None where a reference is declared.
        """
        what = self._dispatched(threadgroup, grid, threadgroups, buffers, threadgroup_memory)
        return self._queue(what._replace(complete=tuple(complete)))

    def _queue(self, what: Prepared) -> Run:
        run, event = self._run, None
        with run.lock:
            entry, found = self._ready(what)
            run.starting = what.bound
            for offset, size, group in found:
                event = self._enqueue(run.queue, entry.kernel, size, group, offset)
            made = Run(event, what.bound)
            run.starting = None
        return made

    def _ready(self, what: Prepared) -> tuple[Entry, tuple[Launch, ...]]:
        """The OpenCL kernel with its arguments set, and its launches. Called, and used, under the runtime's lock."""
        shaped, found = launches(what.grid, what.group)
        entry = self._shaped if shaped else self._plain
        if entry is None:
            entry = self._shaped = Entry(self._run, self._kernel._program(self._part._replace(shaped=True)), self._info)
        entry.give(what.bound, what.lengths)
        return entry, found

    def _called(self, count: int, buffers: tuple) -> tuple[list, int]:
        """A call's arguments, checked: what the buffers are to the device, and how many threads run."""
        info, run = self._info, self._run
        if not buffers:
            raise error("Buffer not found")
        try:
            threads = operator.index(count)
        except TypeError:
            raise error("First argument should be an integer kernel count") from None
        if threads < 0:
            raise error(f"kernel count must not be negative, got {threads}")
        if threads >= 1 << 32:
            raise error(f"kernel count must be below 4,294,967,296, as a thread's position has 32 bits, got {threads:,}")
        if info.threadgroups:
            first = info.threadgroups[0]
            raise error(
                f"'{info.name}' takes threadgroup({first.index}) ('{first.name}'), whose length this call cannot give: "
                "use dispatch(…, threadgroup_memory=[…]), which is ours (metalcompute has none)"
            )
        bound = [b if type(b) is Buffer else argument(run, b, n in self._writable) for n, b in enumerate(buffers)]
        if len(bound) < self._reads or info.threadgroup_bytes > THREADGROUP_MEMORY or info.most > MAX_THREADS:
            self._check(bound, 0)
        width = self._group[0]
        return bound, -(-threads // width) * width

    def _prepared(self, count: int, buffers: tuple) -> Prepared:
        """A call as a dispatch."""
        bound, size = self._called(count, buffers)
        return Prepared((size, 1, 1), (self._group[0], 1, 1), bound, _NONE)

    def _dispatched(self, threadgroup, grid, threadgroups, buffers, threadgroup_memory) -> Prepared:
        info = self._info
        whole, group = extent(grid, threadgroups, threadgroup, info.most)
        bound: list[Any] = []
        for n, given in enumerate(buffers):
            if isinstance(given, tuple) and len(given) == 2:
                bound.append(place(given, self._align.get(n, 1), f"buffer({n})"))
            else:
                bound.append(None if given is None else argument(self._run, given, n in self._writable))
        lengths: list[int] = []
        for wanted in info.threadgroups:
            length = threadgroup_memory[wanted.index] if wanted.index < len(threadgroup_memory) else None
            if not isinstance(length, int) or length <= 0 or length % 16:
                raise error(
                    f"'{info.name}' takes threadgroup({wanted.index}) ('{wanted.name}'): threadgroup_memory must give its "
                    f"length in bytes there, a multiple of 16, got {length!r}"
                )
            lengths.append(length)
        self._check(bound, sum(lengths))
        return Prepared(whole, group, bound, lengths)

    def _check(self, bound: list, dynamic: int) -> None:
        """Raises `metal.error` unless every index has something, or None in so many words, and threadgroup memory suffices."""
        info = self._info
        for parameter in info.buffers:
            what = f"'{info.name}' reads buffer({parameter.index}) ('{parameter.name}')"
            if parameter.index >= len(bound):
                raise error(f"{what}, but only {len(bound)} were given")
            if parameter.reference and bound[parameter.index] is None:
                raise error(f"{what}, a reference, which cannot be to nothing, but None was given")
        if info.most > MAX_THREADS:
            raise error(
                f"Cannot create pipeline state: '{info.name}' has max_total_threads_per_threadgroup({info.most}), "
                f"the limit is {MAX_THREADS}"
            )
        used = -(-info.threadgroup_bytes // 16) * 16 + dynamic if dynamic else info.threadgroup_bytes
        if used > THREADGROUP_MEMORY:
            raise error(
                f"Cannot create pipeline state: '{info.name}' uses {used} bytes of threadgroup memory, "
                f"the limit is {THREADGROUP_MEMORY}"
            )
