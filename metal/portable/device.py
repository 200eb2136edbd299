"""metalcompute's API over OpenCL: Device, Kernel, Function, Buffer and the run handle.

Same names, arguments and behaviour as metalcompute 0.2.9; what differs is written in metal/README.md. Three things are ours,
for kernels written for other hosts, and not there on a Mac: `Function.dispatch`, `Device.recording` and function constants.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Collection
from dataclasses import asdict, replace
from functools import cache
from typing import Any

from . import cache as disk
from . import opencl
from .buffers import Buffer
from .checked import chosen
from .errors import error
from .function import Function, Part
from .library import INCLUDE
from .lowered import VERSIONS, Constant, KernelInfo, Lowered, ThreadgroupArgument
from .lowered import Buffer as BufferParameter
from .recording import Recording

MANY = 4  # kernels: a source with more is compiled function by function
LIBRARY = 16  # kernels: of a source with more, only one instantiation of each template is checked before it is asked for

DeviceInfo = namedtuple("DeviceInfo", "deviceName recommendedWorkingSetSize maxTransferRate hasUnifiedMemory")


def get_devices() -> tuple[DeviceInfo, ...]:
    """The devices there are, as metalcompute lists them: one, the portable Metal device."""
    device = opencl.runtime().device
    return (DeviceInfo(f"portable Metal device ({device.name.strip()})", int(device.global_mem_size), 0, True),)


class Device:
    """The portable Metal device. `Device()` and `Device(0)` are the same; another index raises `metal.error`.

    `checks` is ours: "default", "all", or names of checks (metal.portable.checked.CHECKS). Every dispatch is then waited for,
    and raises KernelFault with what its kernel did wrong.
    """

    def __init__(self, index: int = -1, *, checks: str | Collection[str] = "off"):
        if index not in (-1, 0):
            raise error("Device not found")
        self.checks = chosen(checks)
        self._runtime = opencl.runtime()

    def __str__(self) -> str:
        return f"metal.portable.Device({self._runtime.device.name.strip()})"

    def kernel(self, source: str, *, std: str = "2.3") -> Kernel:
        """Compile Metal source. Raises `metal.error` with file, line, column and the line itself.

        `std` is ours: the language's version, one of 2.3 (what metalcompute compiles as), 2.4, 3.0 and 3.1.
        """
        if not isinstance(source, str):
            raise TypeError(f"kernel source must be str, not {type(source).__name__}")
        if any("\ud800" <= letter <= "\udfff" for letter in ("" if source.isascii() else source)):
            raise error("kernel source must be text that UTF-8 can hold: it has half of a surrogate pair")
        if std not in VERSIONS:
            raise error(f"Metal {std} is not a version that is known here: {', '.join(VERSIONS)}")
        if self.checks:
            from .checked.kernel import CheckedKernel

            return CheckedKernel(self, source, VERSIONS[std])
        return Kernel(self, source, VERSIONS[std])

    def buffer(self, length_or_data) -> Buffer:
        """A buffer of so many zero bytes, or holding a copy of a bytes-like object."""
        return Buffer(self._runtime, length_or_data)

    def recording(self) -> Recording:
        """Ours, not metalcompute's: an empty recording of dispatches, to be replayed as often as one likes."""
        return Recording(self._runtime)


class Kernel:
    """A compiled Metal source: one or more kernel functions.

    Of a source with many kernels every function is compiled on its own when it is asked for. One with very many, a library of
    instantiations, is read whole, but of each template only one instantiation is checked at once.
    """

    def __init__(self, device: Device, source: str, version: int):
        self._device, self._source, self._version = device, source, version
        self._programs: dict[tuple, Any] = {}
        self._places: dict[tuple, Any] = {}  # what the numbers in an instrumented program mean
        self._lowered: Lowered | None = None
        self._kernels: dict[str, KernelInfo] = {}
        self._constants: dict[str, Constant] = {}
        self._refuses = False  # whether a kernel of it cannot run here
        whole = Part((), "", False)
        if not self._load(whole):
            self._read()
            if self._many():
                disk.write(self._key(whole), self._description(self._kernels), b"")
            else:
                self._build(whole)

    def __str__(self) -> str:
        return "metal.portable.Kernel"

    @property
    def names(self) -> list[str]:
        """Ours, not metalcompute's: the names of its kernel functions."""
        return list(self._kernels)

    def function(self, name: str, constants: dict[int | str, Any] | None = None) -> Function:
        """A kernel function by name (or by its `host_name`). Raises `metal.error` if there is none.

        `constants` (ours, not metalcompute's) gives values to `[[function_constant(n)]]`, by index or by name: a bool, a
        number, or a sequence of numbers for a vector. One without a value is not defined, and 0.
        """
        if name not in self._kernels and self._lowered is None and self._refuses:
            self._read()
        if self._lowered is not None and name in self._lowered.refused:
            raise self._lowered.refused[name]
        if name not in self._kernels:
            known = ", ".join(sorted(self._kernels)) or "none"
            raise error(f"Failed to find function '{name}'; this source has: {known}")
        if constants and not self._constants:
            raise error(f"'{name}' takes no function constants, {len(constants)} given")
        values = self._spelled(constants) if constants else {}
        if not self._many() and not values:
            return self._function(self._present(self._kernels[name], values), Part((), "", False))
        part = Part((name,), "; ".join(f"{n} = {v}" for n, v in values.items()), False, tuple(values.items()))
        self._program(part)
        return self._function(self._present(self._kernels[name], values), part)

    def _spelled(self, constants: dict[int | str, Any]) -> dict[str, str]:
        from .constants import spelled

        return spelled(self._constants, constants)

    def _function(self, info: KernelInfo, part: Part) -> Function:
        return Function(self, info, part)

    def _many(self) -> bool:
        return len(self._kernels) > MANY

    def _present(self, info: KernelInfo, values: dict[str, str]) -> KernelInfo:
        """The kernel without the buffers that are there only for a function constant which is false."""
        off = [b for b in info.buffers if b.when is not None and values.get(b.when, "false") in ("false", "(bool)(0)")]
        if not off:
            return info
        return replace(info, buffers=[b for b in info.buffers if b not in off], absent=[b.position for b in off])

    def _program(self, part: Part) -> Any:
        """The OpenCL program of a part, from the disk or made now."""
        with self._device._runtime.lock:
            if part not in self._programs and not self._load(part):
                self._build(part)
            return self._programs[part]

    def _key(self, part: Part) -> str:
        marks = (str(self._version), *part.names, part.values, "shaped" if part.shaped else "", *self._marks())
        return disk.key(self._source, self._device._runtime.fingerprint, *opencl.OPTIONS, *opencl.FAST, *marks)

    def _marks(self) -> tuple[str, ...]:
        return ()

    def _load(self, part: Part) -> bool:
        """Whether the disk has the part; an entry without a binary is a library's table of contents."""
        entry = disk.read(self._key(part))
        if entry is None:
            return False
        try:
            if entry[1]:
                self._programs[part] = self._device._runtime.load(entry[1])
                self._places[part] = entry[0]["places"]
            if not self._kernels:
                self._kernels = {name: _info(fields) for name, fields in entry[0]["kernels"].items()}
                self._constants = {name: Constant(**fields) for name, fields in entry[0]["constants"].items()}
                self._refuses = entry[0]["refuses"]
        except Exception:  # an entry that this driver cannot use is made again
            return False
        return bool(entry[1]) or part == Part((), "", False)

    def _read(self) -> Lowered:
        """Translate and check the source. Raises SourceError."""
        if self._lowered is None:
            from . import frontend, translate  # here, as wherever a program is made: most programs are made already

            lowered = translate.lower(self._source, version=self._version)
            self._kernels, self._constants = lowered.kernels, lowered.constants
            frontend.check(lowered.only(_one_of_each(lowered.kernels)) if len(lowered.kernels) > LIBRARY else lowered)
            self._lowered, self._refuses = lowered, bool(lowered.refused)
        return self._lowered

    def _build(self, part: Part) -> None:
        run, lowered = self._device._runtime, self._read()
        if part.names:
            lowered = self._alone(lowered, part)
            self._kernels |= lowered.kernels
        binary = self._compiled(lowered, part)
        self._programs[part] = run.load(binary)
        described = {**self._description(lowered.kernels), "places": self._places.get(part)}
        disk.write(self._key(part), described, binary)

    def _compiled(self, lowered: Lowered, part: Part) -> bytes:
        return self._device._runtime.build(lowered, _shaped() if part.shaped else "")

    def _alone(self, whole: Lowered, part: Part) -> Lowered:
        """A function with what it needs of the source; with all of it, should what it needs be told wrong."""
        from . import frontend

        for bare in (True, False):
            lowered = whole.only(part.names, dict(part.given), bare=bare)
            try:
                frontend.check(lowered)
                break
            except error:
                if not bare:
                    raise
        return lowered

    def _description(self, kernels: dict[str, KernelInfo]) -> dict[str, Any]:
        constants = {name: asdict(constant) for name, constant in self._constants.items()}
        infos = {name: asdict(info) for name, info in kernels.items()}
        return {"kernels": infos, "constants": constants, "refuses": self._refuses}


def _one_of_each(kernels: dict[str, KernelInfo]) -> list[str]:
    """The kernels that are no instantiations, and one instantiation of each template."""
    seen: set[str] = set()
    found = []
    for name, info in kernels.items():
        if info.template is None or info.template not in seen:
            found.append(name)
        seen.add(info.template or "")
    return found


@cache
def _shaped() -> str:
    return (INCLUDE / "grid.h").read_text(encoding="utf-8")


def _info(fields: dict) -> KernelInfo:
    lists = {
        "buffers": [BufferParameter(**b) for b in fields["buffers"]],
        "threadgroups": [ThreadgroupArgument(**t) for t in fields["threadgroups"]],
    }
    return KernelInfo(**{**fields, **lists})
