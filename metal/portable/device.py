"""metalcompute's API over OpenCL: Device, Kernel, Function, Buffer and the run handle.

Same names, arguments and behaviour as metalcompute 0.2.9; what differs is written in metal/README.md. Three things are ours,
for kernels written for other hosts, and not there on a Mac: `Function.dispatch`, `Device.recording` and function constants.
"""

from __future__ import annotations

from collections import namedtuple
from dataclasses import asdict
from functools import cache
from typing import Any

from . import cache as disk
from . import frontend, opencl
from .buffers import Buffer
from .errors import error
from .function import Function
from .library import INCLUDE
from .lowered import Buffer as BufferParameter
from .lowered import KernelInfo, ThreadgroupArgument
from .recording import Recording
from .translate import lower

DeviceInfo = namedtuple("DeviceInfo", "deviceName recommendedWorkingSetSize maxTransferRate hasUnifiedMemory")


def get_devices() -> tuple[DeviceInfo, ...]:
    """The devices there are, as metalcompute lists them: one, the portable Metal device."""
    device = opencl.runtime().device
    return (DeviceInfo(f"portable Metal device ({device.name.strip()})", int(device.global_mem_size), 0, True),)


class Device:
    """The portable Metal device. `Device()` and `Device(0)` are the same; another index raises `metal.error`."""

    def __init__(self, index: int = -1):
        if index not in (-1, 0):
            raise error("Device not found")
        self._runtime = opencl.runtime()

    def __str__(self) -> str:
        return f"metal.portable.Device({self._runtime.device.name.strip()})"

    def kernel(self, source: str) -> Kernel:
        """Compile Metal source. Raises `metal.error` with file, line, column and the line itself."""
        if not isinstance(source, str):
            raise TypeError(f"kernel source must be str, not {type(source).__name__}")
        return Kernel(self, source)

    def buffer(self, length_or_data) -> Buffer:
        """A buffer of so many zero bytes, or holding a copy of a bytes-like object."""
        return Buffer(self._runtime, length_or_data)

    def recording(self) -> Recording:
        """Ours, not metalcompute's: an empty recording of dispatches, to be replayed as often as one likes."""
        return Recording(self._runtime)


class Kernel:
    """A compiled Metal source: one or more kernel functions."""

    def __init__(self, device: Device, source: str):
        self._device, self._source = device, source
        self._programs: dict[bool, Any] = {}
        self._kernels: dict[str, KernelInfo] = {}
        self._program(False)

    def __str__(self) -> str:
        return "metal.portable.Kernel"

    def function(self, name: str, constants: dict[int | str, Any] | None = None) -> Function:
        """A kernel function by name (or by its `host_name`). Raises `metal.error` if there is none.

        `constants` (ours, not metalcompute's) will give values to `[[function_constant(n)]]` by index or name.
        """
        if constants:
            raise error("function constants are not supported yet")
        if name not in self._kernels:
            known = ", ".join(sorted(self._kernels)) or "none"
            raise error(f"Failed to find function '{name}'; this source has: {known}")
        return Function(self, self._kernels[name])

    def _program(self, shaped: bool) -> Any:
        """The OpenCL program, from the disk or made now; `shaped` for threadgroups whose rows are no whole SIMD-groups."""
        with self._device._runtime.lock:
            if shaped not in self._programs:
                self._programs[shaped] = self._load(shaped) or self._build(shaped)
            return self._programs[shaped]

    def _key(self, shaped: bool) -> str:
        return disk.key(self._source, self._device._runtime.fingerprint, *opencl.OPTIONS, "shaped" if shaped else "")

    def _load(self, shaped: bool) -> Any:
        entry = disk.read(self._key(shaped))
        if entry is None:
            return None
        try:
            program = self._device._runtime.load(entry[1])
            self._kernels = {name: _info(fields) for name, fields in entry[0].items()}
        except Exception:  # an entry that this driver cannot use is made again
            return None
        return program

    def _build(self, shaped: bool) -> Any:
        run, lowered = self._device._runtime, lower(self._source)
        frontend.check(lowered)
        program = run.build(lowered, _shaped() if shaped else "")
        self._kernels = lowered.kernels
        binary = program.get_info(run.cl.program_info.BINARIES)[0]
        disk.write(self._key(shaped), {name: asdict(info) for name, info in self._kernels.items()}, binary)
        return program


@cache
def _shaped() -> str:
    return (INCLUDE / "grid.h").read_text(encoding="utf-8")


def _info(fields: dict) -> KernelInfo:
    lists = {
        "buffers": [BufferParameter(**b) for b in fields["buffers"]],
        "threadgroups": [ThreadgroupArgument(**t) for t in fields["threadgroups"]],
    }
    return KernelInfo(**{**fields, **lists})
