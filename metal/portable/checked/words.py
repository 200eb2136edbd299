"""Findings in words: from a record that a checked kernel left to what a reader is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..lowered import SIMD_WIDTH, KernelInfo
from .findings import Finding, position

if TYPE_CHECKING:
    from .dispatch import Dispatch, Program

CHECKS = {
    "OUT_READ": "bounds", "OUT_WRITE": "bounds", "MISALIGNED": "bounds", "INDEX": "bounds",
    "UNWRITTEN": "unwritten", "PRIVATE": "unwritten",
    "WRITE_WRITE": "races", "WRITE_READ": "races", "READ_WRITE": "races",
    "DIVERGED": "divergence", "SIMD_DIVERGED": "divergence", "LANE_OFF": "divergence", "ZERO": "time",
    "OVERFLOW": "limits", "NOT_ATOMIC": "limits", "STRANGE": "fast-math", "ASKED": "fast-math",
}  # fmt: skip
_NO_MEMORY = {w for w, check in CHECKS.items() if check in ("divergence", "time", "limits", "fast-math")} | {"INDEX", "PRIVATE"}
_STRANGE = {1: "infinity", 2: "NaN"}
_RACES = {"WRITE_WRITE": ("writes", "wrote"), "WRITE_READ": ("reads", "wrote"), "READ_WRITE": ("writes", "read")}


def found(dispatch: Dispatch, info: KernelInfo, program: Program, what: str, record: np.void, count: int) -> Finding:
    """The finding that a record stands for."""
    site = program.sites[int(record["site"])]
    group, number = int(record["group"]) & 0xFFFFFFFF, int(record["group"]) >> 32
    buffer, name, offset, length, space = _memory(dispatch, info, program, site.root, int(record["address"]), what, record)
    memory = f"{space} '{name}'" if space else ""
    index, other = int(record["index"]), int(record["other"])
    if what in ("OUT_READ", "OUT_WRITE"):
        does = "reads" if what == "OUT_READ" else "writes"
        if buffer >= 0 and not space:
            message = f"{does} {_bytes(other)}, but buffer({buffer}) '{name}' has nothing bound: {site.text}"
        elif not space:
            message = f"{does} {_bytes(other)} at an address that is in no buffer: {site.text}"
        else:
            assert offset is not None
            end = f"{-offset:,} before it begins" if offset < 0 else f"it ends at byte {length:,}"
            message = f"{does} {_bytes(other)} outside {memory}, at byte {offset:,}: {end}"
    elif what == "MISALIGNED":
        message = f"byte {offset:,} of {memory} is no multiple of {other}, the alignment of what is accessed there"
    elif what == "INDEX":
        message = f"index {_signed(record):,} of an array of {index}: {site.text}"
    elif what == "UNWRITTEN":
        whose = "in this threadgroup" if space == "threadgroup variable" else "neither host nor device"
        message = f"reads byte {offset:,} of {memory}, which nobody has written ({whose})"
    elif what == "PRIVATE":
        message = f"reads {site.text}, which this thread has not written"
    elif what in _RACES:
        does, did = _RACES[what]
        at = program.sites[int(record["other_site"])]
        theirs = dispatch.threadgroup(other >> 32 & 0xFFFFFF)
        self = theirs == _threadgroup(dispatch, number, group)
        who = f"thread {other >> 22 & 0x3FF}" + ("" if self else f" of threadgroup {position(theirs)}")
        where = f"in line {at.line}" if at.line != site.line else "here"
        why = "no barrier between" if self else "threadgroups run in no order"
        if what == "WRITE_WRITE" and at is site:
            why += (
                f": several {'threads' if self else 'threadgroups'} write that one place; should each have a place of its own?"
            )
        message = f"{does} byte {offset:,} of {memory}, which {who} {did} {where}, {why}"
    elif what == "DIVERGED":
        message = f"not every thread of the threadgroup reaches the threadgroup_barrier that hangs on {site.text}"
    elif what == "SIMD_DIVERGED":
        message = f"not every thread of the SIMD-group reaches {site.text} (active lanes {other:#010x})"
    elif what == "LANE_OFF":
        message = f"reads lane {index}, which is not active here (active lanes {other:#010x}): {site.text}"
    elif what == "ZERO":
        message = f"an integer is divided by 0, which may never end here: {site.text}"
    elif what == "OVERFLOW":
        message = f"{site.text} is {_signed(record):,}, more than its 32 bits hold: {index:,} is used"
    elif what == "NOT_ATOMIC":
        message = f"atomic operations on what is not declared atomic: {site.text}"
    elif what == "STRANGE":
        message = f"{_STRANGE[index]} out of finite numbers, which fast math does not allow: {site.text}"
    else:
        message = f"under fast math the answer to {site.text} is undefined: it is asked about {_STRANGE[index]}"
    thread = _thread(dispatch, number, group, int(record["who"]))
    if not space:
        offset = None
    place = (site.file, site.line, site.column, site.source)
    return Finding(CHECKS[what], info.name, *place, message, buffer, name, offset, thread, count)


def endless(dispatch: Dispatch, info: KernelInfo, program: Program) -> Finding:
    """The finding that a kernel was stopped."""
    site = program.sites[int(dispatch.arena.control[0]["stopped_at"])]
    message = f"does not end: stopped after {dispatch.limit:g} s in this loop"
    return Finding("time", info.name, site.file, site.line, site.column, site.source, message)


def left_out(info: KernelInfo, program: Program, index: int, at: int, missing: int) -> Finding:
    """The finding that an output, asked to be complete, is not. It stands at the kernel's name."""
    name = next(b.name for b in info.buffers if b.index == index)
    message = f"leaves {missing:,} bytes of buffer({index}) '{name}' unwritten, the first at byte {at:,}"
    file, line, column, source = program.place
    return Finding("unwritten", info.name, file, line, column, source, message, index, name, at)


def differing(
    dispatch: Dispatch, info: KernelInfo, program: Program, check: str, how: int, slot: int, at: int, site: int
) -> Finding:
    """The finding that byte `at` of a slot comes out otherwise in another order (1 or 2), or at another width."""
    place = program.sites[min(site, len(program.sites) - 1)]
    address = dispatch.arena.slot(slot) + at
    buffer, name, offset, _, space = _memory(dispatch, info, program, "", address, check)
    other = f"threadgroups of {how} threads"
    if check == "order":
        other = "threadgroups in descending order" if how == 1 else "threadgroups shuffled, SIMD-groups backwards"
    message = f"byte {offset:,} of {space} '{name}', written here last, is another with {other}"
    where = (place.file, place.line, place.column, place.source)
    return Finding(check, info.name, *where, message, buffer, name, offset)


def _signed(record: np.void) -> int:
    """What a record has for an address, where it is a number."""
    return int(record["address"].astype("<i8"))


def _bytes(n: int) -> str:
    return f"{n} byte{'s' if n != 1 else ''}"


def _memory(
    dispatch: Dispatch, info: KernelInfo, program: Program, root: str, address: int, what: str, record: Any = None
) -> tuple[int, str, int | None, int, str]:
    """(buffer index, name, byte offset, length, what it is) of an address that a kernel went to."""
    if what in _NO_MEMORY:
        return -1, "", None, 0, ""
    a = dispatch.arena
    named = next((n for n, array in enumerate(program.arrays) if array.name == root), None)
    array = a.shared(address)
    if named is not None and what in ("OUT_READ", "OUT_WRITE"):
        array = named, address - a.array(int(record["other_site"]), named)
    if array is not None:
        n, offset = array
        if n < len(program.arrays):
            return -1, program.arrays[n].name, offset, dispatch.sizes[n], "threadgroup variable"
        return -1, "", None, 0, ""
    slot, offset = a.place(address)
    for parameter in info.buffers:
        place = dispatch.places.get(parameter.index)
        if place is not None and (parameter.name == root if root else place.slot == slot):
            offset = address - a.slot(place.slot) - place.offset
            return parameter.index, parameter.name, offset, place.length - place.offset, f"buffer({parameter.index})"
    # of null, and an index: if the access does not show whose, there may be only one that it can be
    nothing = [b for b in info.buffers if b.index not in dispatch.places and (not root or b.name == root)]
    if len(nothing) == 1:
        return nothing[0].index, nothing[0].name, None, 0, ""
    return -1, "", None, 0, ""


def _threadgroup(dispatch: Dispatch, number: int, group: int) -> tuple[int, ...]:
    box = dispatch.boxes[number]
    x, y, _ = box.boxes
    return group % x + box.origin[0], group // x % y + box.origin[1], group // (x * y) + box.origin[2]


def _thread(dispatch: Dispatch, number: int, group: int, index: int) -> dict[str, Any]:
    at = _threadgroup(dispatch, number, group)
    w, h, _ = dispatch.boxes[number].wide
    local = (index % w, index // w % h, index // (w * h))
    grid = tuple(g * f + t for g, f, t in zip(at, dispatch.full, local, strict=True))
    lanes = {"simdgroup": index // SIMD_WIDTH, "lane": index % SIMD_WIDTH}
    return {"grid": grid, "threadgroup": at, "index": index, **lanes}
