"""Kernels and functions of a device with checks: compiled with the checks in, every dispatch looked through at once."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from typing import Any

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

    _sites: list[Site]
    _arrays: dict[str, list[Array]]

    def _function(self, info: KernelInfo, part: Part) -> Function:
        return CheckedFunction(self, info, part)

    def _marks(self) -> tuple[str, ...]:
        return ("checked",)

    def _compiled(self, lowered: Lowered, part: Part) -> Any:
        arena()  # refused in words where it is not to be had
        copy = lowered.only(lowered.kernels)
        found = Instrument(copy, frontend.check(copy), frontend.FILE)
        self._places[part] = {
            "sites": [asdict(s) for s in found.sites[:SITES]],
            "arrays": {name: [asdict(a) for a in arrays] for name, arrays in found.arrays.items()},
        }
        return self._device._runtime.build(copy, _before(), fast=False)


class CheckedFunction(Function):
    """A kernel function whose every dispatch is waited for; raises KernelFault for what the kernel did."""

    def __init__(self, kernel: CheckedKernel, info: KernelInfo, part: Part):
        super().__init__(kernel, info, part)
        places = kernel._places[part]
        arrays = [Array(**a) for a in places["arrays"][info.name]]
        self._places = Program([Site(**s) for s in places["sites"]], arrays)
        self.time_limit = TIME_LIMIT

    def __call__(self, count: int, *buffers) -> Run:
        return self._queue(self._prepared(count, buffers))

    def _queue(self, what: Prepared) -> Run:
        with self._run.lock:
            self._run.queue.finish()
            dispatch = Dispatch(self._run, self._plain.kernel, self._info, self._places, self.time_limit)
            findings = dispatch.run(what.grid, what.group, what.bound, what.lengths, self._kernel._device.checks)
        if findings:
            raise KernelFault(findings)
        return Run(None, what.bound)


@cache
def _before() -> str:
    return constants() + (INCLUDE / "checked.h").read_text(encoding="utf-8")
