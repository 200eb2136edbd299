"""A checked dispatch: buffers into the arena, the instrumented kernel over them, what it did into findings, results back."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import error
from ..function import Prepared
from ..grid import Three
from ..lowered import KernelInfo
from .arena import ARRAYS, GROUPS, SLOTS, WHATS, arena
from .edits import Site
from .findings import Finding
from .instrument import Array
from .words import differing, endless, found, left_out

LARGE = 1 << 20  # bytes: what is larger is given back to the system after each dispatch
UNWRITTEN = (1 << 56) - 1  # in a note: nobody, in this dispatch's serial


@dataclass
class Program:
    """An instrumented kernel as the disk keeps it: what its numbers mean, and whether it may hang on the order of threads."""

    sites: list[Site]
    arrays: list[Array]
    unordered: bool
    place: tuple[str, int, int, str]  # the kernel's name in the source: file, line, column, the line


@dataclass(frozen=True)
class Box:
    """Threadgroups of one shape: whole ones, or those at the far edges of a grid."""

    origin: tuple[int, int, int]
    boxes: tuple[int, int, int]
    wide: tuple[int, int, int]


@dataclass
class Bound:
    """A buffer as a dispatch has it: its slot, where it begins there, and its length."""

    slot: int
    offset: int
    length: int


def boxes(grid: tuple[int, int, int], full: tuple[int, int, int]) -> Iterator[Box]:
    """How a grid falls into threadgroups, smaller ones at its far edges."""
    axes = []
    for whole, length in zip(grid, full, strict=True):
        parts = [(0, whole // length, length)] if whole >= length else []
        axes.append(parts + ([(whole // length, 1, whole % length)] if whole % length else []))
    for z in axes[2]:
        for y in axes[1]:
            for x in axes[0]:
                yield Box((x[0], y[0], z[0]), (x[1], y[1], z[1]), (x[2], y[2], z[2]))


def _coprime(n: int) -> int:
    """A factor that shuffles 0 … n − 1."""
    return next(f for f in range(int(n * 0.618) + 1, 2 * n + 2) if math.gcd(f, n) == 1)


class Dispatch:
    """One dispatch of one kernel. `run()` raises KernelFault; the buffers hold what the kernel made of them all the same."""

    def __init__(self, run: Any, entry: Any, info: KernelInfo, program: Program, limit: float):
        self._run, self._kernel, self._info, self._program, self.limit = run, entry, info, program, limit
        self.arena = arena()

    def run(self, what: Prepared, checks: frozenset[str], widths: Sequence[int] = ()) -> list[Finding]:
        """Do it; what was found, of these checks. `widths` are others that a threadgroup may have. Under the runtime's lock."""
        self.grid = what.grid
        self.sizes = what.lengths + [a.size for a in self._program.arrays[len(what.lengths) :]]
        self._place(what.bound)
        try:
            findings = self._pass(what.group) + self._left_out(what.complete)
            findings = [f for f in findings if f.check in checks]
            if not findings and not self._program.unordered and not self.arena.control[0]["stop"]:
                findings = self._others(what, checks, widths)
            return findings
        finally:
            self._end()

    def _left_out(self, complete: Sequence[int]) -> list[Finding]:
        """Buffers that should have been written whole, and were not."""
        found = []
        for index in complete:
            place = self.places.get(index)
            if place is None or place.slot not in self._written:
                raise error(f"complete=[{index}]: '{self._info.name}' writes no buffer({index})")
            first = -(-place.offset // 4)
            records = self.arena.notes(place.slot, place.length)[first:, 0]
            missing = (records >> 56 != self.arena.serial) | ((records & UNWRITTEN) == UNWRITTEN)
            if missing.any():
                found.append(left_out(self._info, self._program, index, int(missing.argmax()) * 4, int(missing.sum()) * 4))
        return found

    def _pass(self, full: Three, order: int = 0) -> list[Finding]:
        self.full = full
        self._begin()
        self._launch_all(order)
        return self._collect()

    def _others(self, what: Prepared, checks: frozenset[str], widths: Sequence[int]) -> list[Finding]:
        """The same dispatch in other orders and widths: what comes out must be the same."""
        a, found = self.arena, []
        written = {slot: len(owner.view()) for slot, owner in self._owners.items() if slot in self._written}
        first = {slot: a.bytes(slot, n).copy() for slot, n in written.items()}
        passes = [("order", what.group, order) for order in (1, 2) if "order" in checks]
        passes += [("width", (width, 1, 1), 0) for width in widths if "width" in checks and width != what.group[0]]
        for check, full, order in passes:
            if check == "width":  # rounded up to whole threadgroups, as the call is
                self.grid = (-(-what.grid[0] // full[0]) * full[0], 1, 1)
            self._pass(full, order)
            for slot, before in first.items():
                at = self._differs(slot, before, a.bytes(slot, len(before)))
                if at is not None:
                    site = int(a.notes(slot, len(before))[at // 4, 3] & 0xFFFF)
                    found.append(differing(self, self._info, self._program, check, order or full[0], slot, at, site))
            if found:
                break
        for slot, before in first.items():
            a.bytes(slot, len(before))[:] = before
        return found

    def _differs(self, slot: int, before: np.ndarray, now: np.ndarray) -> int | None:
        """The first byte that is another. Floats may differ by what sums in another order round otherwise."""
        kinds = {b.floats for b in self._info.buffers if b.index in self.places and self.places[b.index].slot == slot}
        size, close = {"float": (4, 1e-4), "half": (2, 1e-2)}.get(kinds.pop() if len(kinds) == 1 else "", (1, 0))
        if close and len(before) % size == 0:
            old, new = (x.view(f"<f{size}").astype(np.float32) for x in (before, now))
            scale = np.abs(old[np.isfinite(old)]).max(initial=0)
            differs = ~(np.isclose(old, new, rtol=close, atol=close * scale, equal_nan=True))
        else:
            size, differs = 1, before != now
        return int(differs.argmax()) * size if differs.any() else None

    # --- memory -------------------------------------------------------------------------------------------------
    def _place(self, bound: list) -> None:
        """Give every buffer that is bound a slot; one that is bound twice has one slot."""
        slots: dict[int, int] = {}
        self.places: dict[int, Bound] = {}
        self._owners: dict[int, Any] = {}
        self._written: set[int] = set()
        writable = {b.index for b in self._info.buffers if b.writable}
        for index, given in enumerate(bound):
            if given is None:
                continue
            owner = given.owner
            slot = slots.setdefault(id(owner), len(slots))
            if slot >= SLOTS:
                raise error(f"a checked dispatch takes {SLOTS} buffers at most")
            self._owners[slot] = owner
            self.places[index] = Bound(slot, given.offset, len(owner.view()))
            if index in writable:
                self._written.add(slot)

    def _begin(self) -> None:
        a = self.arena
        control = a.control[0]
        a.serial = a.serial % 255 + 1
        if a.serial == 1:
            self._forget_notes()
        control["stop"] = control["found"] = 0
        control["lengths"] = 0
        for slot, owner in self._owners.items():
            bytes_, tracked = owner.view(), slot in self._written
            control["lengths"][slot] = len(bytes_) << 2 | tracked
            if tracked and owner.untouched():
                a.bytes(slot, len(bytes_))[:] = 0
                a.notes(slot, len(bytes_))[:, 0] = a.serial << 56 | UNWRITTEN
            else:
                a.bytes(slot, len(bytes_))[:] = bytes_
        if len(self.sizes) > ARRAYS:
            raise error(f"'{self._info.name}' has {len(self.sizes)} threadgroup variables; checked mode takes {ARRAYS} at most")
        control["arrays"] = 0
        for n, size in enumerate(self.sizes):
            control["arrays"][n] = size << 2 | 1
        a.times[: len(self._program.sites)] = 0
        for buffer in self._info.buffers:
            place = self.places.get(buffer.index)
            control["bounds"][buffer.index] = (0, 0)  # of a null pointer: every access is looked at
            memory = None
            if place is not None:
                length = place.length << 2 | (place.slot in self._written)
                control["bounds"][buffer.index] = a.slot(place.slot), length
                memory = self._run.shared(a.slot(place.slot) + place.offset, 1)
            self._kernel.set_arg(buffer.position, memory)
        for position in self._info.absent:
            self._kernel.set_arg(position, None)
        for argument in self._info.threadgroups:
            self._kernel.set_arg(argument.position, self._run.cl.LocalMemory(16))

    def _forget_notes(self) -> None:
        for slot in range(SLOTS):
            self.arena.forget(slot, 1 << 30)
        self.arena.forget_shared()

    def _end(self) -> None:
        for slot, owner in self._owners.items():
            bytes_ = owner.view()
            if slot in self._written:
                bytes_[:] = self.arena.bytes(slot, len(bytes_))
            if len(bytes_) > LARGE:
                self.arena.forget(slot, len(bytes_))

    # --- launches ---------------------------------------------------------------------------------------------------
    def _launch_all(self, order: int) -> None:
        """Every threadgroup; in ascending order, descending (1), or shuffled with SIMD-groups backwards (2)."""
        box = self.arena.control[0]["box"]
        box["grid"], box["full"] = self.grid, self.full
        box["groups"] = [-(-g // f) for g, f in zip(self.grid, self.full, strict=True)]
        self.boxes = list(boxes(self.grid, self.full))
        self._deadline = time.monotonic() + self.limit
        for number, part in enumerate(self.boxes):
            box["number"], box["origin"], box["boxes"], box["wide"] = number, part.origin, part.boxes, part.wide
            count = part.boxes[0] * part.boxes[1] * part.boxes[2]
            threads = part.wide[0] * part.wide[1] * part.wide[2]
            times = (1, count - 1 or 1, _coprime(count))[order]
            box["descending"] = order == 2 or (order == 1 and count == 1)
            for first in range(0, count, GROUPS):
                groups = min(GROUPS, count - first)
                states = self.arena.states[:groups]
                states["group"] = (np.arange(first, first + groups) * times + (count - 1 if order else 0)) % count
                states["who"] = (self._in_grid(part, states["group"]) & 0xFFFFFF) << 32 | self.arena.serial << 56
                states["rest"] = 0
                self._launch(groups * threads, threads)
                if self.arena.control[0]["stop"]:
                    return

    def _in_grid(self, part: Box, numbers: np.ndarray) -> np.ndarray:
        """The numbers in the whole grid of threadgroups that are numbered within a box; `threadgroup` is the way back."""
        n, (x, y, _), groups = numbers.astype("<u8"), part.boxes, self.arena.control[0]["box"]["groups"]
        at = n % x + part.origin[0], n // x % y + part.origin[1], n // (x * y) + part.origin[2]
        return (at[2] * int(groups[1]) + at[1]) * int(groups[0]) + at[0]

    def _launch(self, size: int, threads: int) -> None:
        event = self._run.cl.enqueue_nd_range_kernel(self._run.queue, self._kernel, (size,), (threads,))
        self._run.queue.flush()
        if self._run.forked:  # in a child nobody works but who waits
            event.wait()
            return
        try:
            self._wait(event)
        except BaseException:  # Ctrl-C: the kernel must not outlive its dispatch
            self.arena.control[0]["stop"] = 1
            event.wait()
            raise

    def _wait(self, event: Any) -> None:
        done, pause = self._run.cl.command_execution_status.COMPLETE, 0.0
        while (status := event.command_execution_status) > done:
            if time.monotonic() > self._deadline:
                self.arena.control[0]["stop"] = 1
                event.wait()
                return
            time.sleep(pause)
            pause = min(pause + 2e-5, 1e-3)
        if status < 0:
            raise error(f"'{self._info.name}' failed (OpenCL error {status})")

    # --- findings ---------------------------------------------------------------------------------------------------
    def threadgroup(self, n: int) -> tuple[int, int, int]:
        """The position of the threadgroup that notes call n."""
        x, y = (int(g) for g in self.arena.control[0]["box"]["groups"][:2])
        return n % x, n // x % y, n // (x * y)

    def _collect(self) -> list[Finding]:
        a, program = self.arena, self._program
        made: dict[tuple, Finding] = {}
        records = a.records[: min(int(a.control[0]["found"]), len(a.records))]
        # what is read before another thread writes it is a race, and told as one
        raced = {int(r["other_site"]) for r in records if WHATS[int(r["what"])] == "READ_WRITE"}
        astray = False  # threads were sent on together, though not all would have gone: what they then do tells nothing
        for record in records:
            key = (int(record["site"]), int(record["what"]))
            if WHATS[key[1]] == "DIVERGED":
                astray = True
            elif astray or (WHATS[key[1]] == "UNWRITTEN" and key[0] in raced):
                continue
            if key not in made:
                count = int(a.times[key])
                made[key] = found(self, self._info, program, WHATS[key[1]], record, count)
        findings = [made[key] for key in sorted(made)]
        return findings + ([endless(self, self._info, program)] if a.control[0]["stop"] else [])
