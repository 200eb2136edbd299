"""Kernels and functions of a device with checks: compiled with the checks in, every dispatch looked through at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import cache

from metal.source import WIDTHS

from .. import frontend
from ..device import Kernel
from ..function import Function, Part, Prepared, Run
from ..library import INCLUDE
from ..lowered import KernelInfo, Lowered
from .arena import SITES, arena, constants
from .dispatch import Dispatch, Program
from .edits import Site
from .findings import KernelFault
from .instrument import Array, Instrument

TIME_LIMIT = 10.0  # seconds


class CheckedKernel(Kernel):
    """A source whose kernels are instrumented."""

    def _function(self, info: KernelInfo, part: Part) -> Function:
        return CheckedFunction(self, info, part)

    def _marks(self) -> tuple[str, ...]:
        return ("checked", *sorted(self._device.checks & {"limits", "fast-math"}))

    def _compiled(self, lowered: Lowered, part: Part) -> bytes:
        arena()  # refused in words where it is not to be had
        copy = lowered.only(lowered.kernels)
        found = Instrument(copy, frontend.check(copy), frontend.FILE, self._device.checks)
        self._places[part] = {
            "sites": [asdict(s) for s in found.sites[:SITES]],
            "unordered": found.unordered,
            "kernels": {name: lowered.where.locate(info.at) for name, info in lowered.kernels.items()},
            "arrays": {name: [asdict(a) for a in arrays] for name, arrays in found.arrays.items()},
        }
        return self._device._runtime.build(copy, _before(), fast=False)


class CheckedFunction(Function):
    """A kernel function whose every dispatch is waited for; raises KernelFault for what the kernel did."""

    checked = True

    def __init__(self, kernel: CheckedKernel, info: KernelInfo, part: Part):
        super().__init__(kernel, info, part)
        places = kernel._places[part]
        arrays = [Array(**a) for a in places["arrays"][info.name]]
        self._places = Program(
            [Site(**s) for s in places["sites"]], arrays, places["unordered"], tuple(places["kernels"][info.name])
        )
        self.time_limit = TIME_LIMIT

    def __call__(self, count: int, *buffers) -> Run:
        widths = [w for w in WIDTHS if w <= self._info.most]
        return self._queue(self._prepared(count, buffers), widths)

    def _queue(self, what: Prepared, widths: Sequence[int] = ()) -> Run:
        with self._run.lock:
            self._run.queue.finish()
            dispatch = Dispatch(self._run, self._plain.kernel, self._info, self._places, self.time_limit)
            findings = dispatch.run(what, self._kernel._device.checks, widths)
        if findings:
            raise KernelFault(findings)
        return Run(None, what.bound)


@cache
def _before() -> str:
    return constants() + (INCLUDE / "checked.h").read_text(encoding="utf-8")
