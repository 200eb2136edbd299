"""metalcompute's API over OpenCL: Device, Kernel, Function, Buffer and the run handle.

Same names, arguments and behaviour as metalcompute 0.2.9; what differs is written in metal/README.md.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import operator
import sys
from collections import namedtuple
from dataclasses import asdict
from typing import Any

import numpy as np

from . import frontend, opencl
from .errors import error
from .lowered import Buffer as BufferParameter
from .lowered import KernelInfo
from .translate import lower

THREADGROUP_MEMORY = 32768  # bytes, the limit of every Apple GPU that MSL 2.3 knows

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
        return Buffer(self, length_or_data)


class Kernel:
    """A compiled Metal source: one or more kernel functions."""

    def __init__(self, device: Device, source: str):
        self._device = device
        run = device._runtime
        key = opencl.cache_key(source, run.fingerprint)
        entry = opencl.read_entry(key)
        if entry is not None:
            try:
                self._program = run.load(entry[1])
                self._kernels = {name: _info(fields) for name, fields in entry[0].items()}
                return
            except Exception:
                pass
        lowered = lower(source)
        frontend.check(lowered)
        self._program = run.build(lowered)
        self._kernels = lowered.kernels
        binary = self._program.get_info(run.cl.program_info.BINARIES)[0]
        opencl.write_entry(key, {name: asdict(info) for name, info in self._kernels.items()}, binary)

    def __str__(self) -> str:
        return "metal.portable.Kernel"

    def function(self, name: str) -> Function:
        """A kernel function by name (or by its `host_name`). Raises `metal.error` if there is none."""
        if name not in self._kernels:
            known = ", ".join(sorted(self._kernels)) or "none"
            raise error(f"Failed to find function '{name}'; this source has: {known}")
        return Function(self, self._kernels[name])


def _info(fields: dict) -> KernelInfo:
    return KernelInfo(**{**fields, "buffers": [BufferParameter(**b) for b in fields["buffers"]]})


class Function:
    """A kernel function, ready to run: `function(count, *buffers)` queues it and returns a run handle at once."""

    def __init__(self, kernel: Kernel, info: KernelInfo):
        self._kernel, self._info = kernel, info
        self._run = kernel._device._runtime
        self._cl_kernel = self._run.cl.Kernel(kernel._program, info.entry)

    def __str__(self) -> str:
        return f"metal.portable.Function({self._info.name})"

    def __call__(self, count: int, *buffers) -> Run:
        """Queue `count` threads, rounded up to whole threadgroups, over `buffers` at indices 0, 1, 2, …

        A buffer is a Buffer of this device or any bytes-like object, which is copied. Raises `metal.error` where
        metalcompute does, and also where it would run with an index left unbound (undefined on a GPU).
        """
        info, device = self._info, self._kernel._device
        if not buffers:
            raise error("Buffer not found")
        try:
            threads = operator.index(count)
        except TypeError:
            raise error("First argument should be an integer kernel count") from None
        if threads < 0:
            raise error(f"kernel count must not be negative, got {threads}")
        if info.threadgroup_bytes > THREADGROUP_MEMORY:
            raise error(
                f"Cannot create pipeline state: '{info.name}' uses {info.threadgroup_bytes} bytes of threadgroup memory, "
                f"the limit is {THREADGROUP_MEMORY}"
            )
        bound = [b if isinstance(b, Buffer) else Buffer(device, b) for b in buffers]
        for parameter in info.buffers:
            if parameter.index >= len(bound):
                raise error(
                    f"'{info.name}' reads buffer({parameter.index}) ('{parameter.name}'), but only {len(bound)} were given"
                )
        groups = -(-threads // info.width)
        if groups == 0:
            return Run(None, bound)
        run = self._run
        with run.lock:
            for position, parameter in enumerate(info.buffers):
                self._cl_kernel.set_arg(position, bound[parameter.index]._memory)
            event = run.cl.enqueue_nd_range_kernel(run.queue, self._cl_kernel, (groups * info.width,), (info.width,))
        return Run(event, bound)


class Run:
    """A queued run. Dropping it waits until the run is done; it keeps the run's buffers alive until then."""

    def __init__(self, event, buffers: list[Buffer]):
        self._event, self._buffers = event, buffers

    def __del__(self) -> None:
        event = getattr(self, "_event", None)
        if event is not None and not sys.is_finalizing():
            event.wait()


class Buffer(mmap.mmap):
    """Memory shared by host and device, zero copy in both directions, with the Python buffer protocol.

    It is an anonymous memory map: zeroed, page-aligned, and alive as long as the last view (NumPy's, say) of it.
    """

    _memory: Any
    _device: Device

    def __new__(cls, device: Device, length_or_data):
        data = None
        if not isinstance(length_or_data, int):
            with contextlib.suppress(TypeError):
                data = memoryview(length_or_data)
        if data is not None and not data.c_contiguous:
            raise error("Unsupported input format: the data must be C-contiguous")
        try:
            length = data.nbytes if data is not None else operator.index(length_or_data)
        except TypeError:
            raise error("Unsupported input format: give a length in bytes or a bytes-like object") from None
        if length <= 0:
            raise error(f"Could not make buffer of {length} bytes")
        try:
            self = super().__new__(cls, -1, length)
        except (OSError, OverflowError, ValueError, MemoryError):
            raise error(f"Could not make buffer of {length} bytes: not enough memory") from None
        if data is not None:
            np.frombuffer(self, np.uint8)[:] = np.frombuffer(data.cast("B") if data.ndim else bytes(data), np.uint8)
        run, address = device._runtime, ctypes.addressof(ctypes.c_char.from_buffer(self))
        flags = run.cl.mem_flags.READ_WRITE | run.cl.mem_flags.USE_HOST_PTR
        # from_address holds no reference to self: a cycle would keep the memory until the next garbage collection
        self._memory = run.cl.Buffer(run.context, flags, hostbuf=(ctypes.c_char * length).from_address(address))
        self._device = device
        return self

    def __str__(self) -> str:
        return f"metal.portable.Buffer(length={len(self)})"
