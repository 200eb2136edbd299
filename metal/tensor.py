"""Tensor = a device buffer with a shape and a dtype; Gpu = a device with its kernels and the runs of the step in flight."""

from __future__ import annotations

import math
import struct
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import metal
from metal import source

POISON_BYTE = 0xCD
NAN_BITS = {2: 0x7ECD, 4: 0x7FCDCDCD, 8: 0x7FFDCDCDCDCDCDCD}  # NaNs that no kernel computes: told by their bits


class Tensor:
    """A row-major array that lives on the device. `tensor.numpy()` is a view of the same memory: call `gpu.sync()` first."""

    def __init__(self, buffer: Any, shape: Sequence[int], dtype: Any):
        self.buffer, self.shape, self.dtype = buffer, tuple(int(n) for n in shape), np.dtype(dtype)
        if memoryview(buffer).nbytes < self.nbytes:
            raise ValueError(
                f"a tensor of shape {self.shape} and {self.dtype} needs {self.nbytes} bytes; the buffer is smaller"
            )

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    def numpy(self) -> np.ndarray:
        """The device's memory as a NumPy array, without a copy. Valid after the Tensor is gone."""
        return np.frombuffer(self.buffer, self.dtype, self.size).reshape(self.shape)

    def reshape(self, *shape: int) -> Tensor:
        """The same memory under another shape of as many elements. Raises ValueError otherwise."""
        if math.prod(shape) != self.size:
            raise ValueError(f"cannot reshape {self.shape} to {shape}: {self.size} elements are not {math.prod(shape)}")
        return Tensor(self.buffer, shape, self.dtype)

    def __repr__(self) -> str:
        return f"Tensor(shape={self.shape}, dtype={self.dtype})"


class Gpu:
    """A device with compiled kernels, and the run handles of the step in flight (a dropped handle waits, so they are kept).

    `width` bounds every kernel's threadgroup (specs run at several). With `poison`, a new tensor is filled with NaN
    (integers: 0xCD bytes), so that a kernel which writes nothing cannot pass for one that does. `compiling` is told how many
    kernels are ready whenever another one is about to be made: the first time, each takes a third of a second or more.
    `waiting` is called between the runs that `sync` waits for, and may raise: Ctrl-C must not wait for the last one.
    """

    def __init__(
        self,
        device: Any = None,
        *,
        width: int | None = None,
        poison: bool = False,
        compiling: Callable[[int], None] | None = None,
        waiting: Callable[[], None] | None = None,
    ):
        self.device = metal.Device() if device is None else device
        self._compiling, self._waiting = compiling or (lambda done: None), waiting or (lambda: None)
        self.width, self.poison = width, poison
        self._programs: dict[str, Any] = {}  # by their text
        self._functions: dict[tuple[Any, str, int | None], Any] = {}
        self._files: dict[int, str] = {}  # of each kernel function, by its id()
        self._constants: dict[bytes, Any] = {}
        self._runs: deque[Any] = deque()
        self._recording: Recorded | None = None  # being made
        self.syncs = 0  # how often everything queued was waited for

    @property
    def replays(self) -> bool:
        """Whether recordings are replayed whole; else one by one."""
        return True

    @property
    def portable(self) -> bool:
        """Whether the device is the portable one, which wants other shapes of work than a GPU with thousands of lanes."""
        return type(self.device).__module__.startswith("metal.portable")

    def kernel(self, milestone: str, file: str, name: str | None = None, *, width: int | None = None) -> Any:
        """The kernel function `name` (default: as the file) of `milestone/file.metal`, compiled on first use.

        `width` bounds its threadgroup where this Gpu has no bound of its own.
        """
        width = self.width or width
        key = (source.find(milestone, f"{file}.metal"), name or file, width)
        if key not in self._functions:
            self._compiling(len(self._functions))
            text = source.read(milestone, file, width)
            if text not in self._programs:  # a megabyte each on the portable device
                self._programs[text] = self.device.kernel(text)
            self._functions[key] = self._programs[text].function(name or file)
            self._files[id(self._functions[key])] = f"{milestone}/{file}"
        return self._functions[key]

    def named(self, function: Any) -> str:
        """The file that a kernel function is from: "m2/rms_norm"."""
        return self._files.get(id(function), "?")

    def run(self, function: Any, threads: int, *arguments: Any) -> None:
        """Queue one dispatch of at least `threads` threads; tensors and buffers bind to indices 0, 1, 2, …"""
        if self._recording is not None:
            self._recording.add(function, threads, arguments)
        else:
            self._runs.append(function(threads, *map(_buffer, arguments)))

    def record(self, queue: Callable[[], None]) -> Recorded:
        """What `queue()` would run, written down instead: its `replay()` queues it, as often as one likes, with the same
        buffers.

        One call where the device has recordings; elsewhere the same dispatches one by one. The results are the same to the bit.
        """
        made = self._recording = Recorded(self)
        try:
            queue()
        finally:
            self._recording = None
        return made

    def sync(self) -> None:
        """Wait until everything queued is done."""
        while self._runs:
            self._runs.popleft()  # a dropped handle waits
            self._waiting()
        self.syncs += 1

    def constants(self, layout: str, *values: float) -> Any:
        """A small device buffer holding `values` packed as `struct.pack("<" + layout)`: a kernel's `constant Args &args`."""
        data = struct.pack("<" + layout, *values)
        if data not in self._constants:
            if len(self._constants) > 4096:  # queued runs keep their own buffers alive
                self._constants.clear()
            self._constants[data] = self.device.buffer(data)
        return self._constants[data]

    def tensor(self, array: Any, dtype: Any = None) -> Tensor:
        """A tensor holding a copy of `array` (anything NumPy understands)."""
        host = np.ascontiguousarray(array, dtype)
        if host.size == 0:
            raise ValueError(f"cannot put an empty array of shape {host.shape} on the device")
        return Tensor(self.device.buffer(host.reshape(-1).view(np.uint8)), np.shape(array), host.dtype)

    def empty(self, shape: Sequence[int], dtype: Any = np.float32) -> Tensor:
        """A tensor that nobody has written: poisoned if this Gpu poisons, zero otherwise."""
        made = np.dtype(dtype)
        tensor = Tensor(self.device.buffer(max(1, math.prod(shape)) * made.itemsize), shape, made)
        if self.poison:
            poison(tensor)
        return tensor


class Recorded:
    """Dispatches written down by `Gpu.record`."""

    def __init__(self, gpu: Gpu):
        self._gpu, self._calls = gpu, []  # type: ignore[var-annotated]
        self._recording = gpu.device.recording() if hasattr(gpu.device, "recording") else None

    def __len__(self) -> int:
        """How many dispatches there are."""
        return len(self._calls)

    def add(self, function: Any, threads: int, arguments: Sequence[Any]) -> None:
        self._calls.append((function, threads, arguments))
        if self._recording is not None:
            self._recording(function, threads, *map(_buffer, arguments))

    def replay(self) -> None:
        """Queue them all; `Gpu.sync` waits for them."""
        if self._recording is not None and self._gpu.replays:
            self._gpu._runs.append(self._recording.replay())
        else:
            self.one_by_one()

    def one_by_one(self) -> None:
        """The same, a dispatch at a time."""
        for function, threads, arguments in self._calls:
            self._gpu.run(function, threads, *arguments)


def _buffer(argument: Any) -> Any:
    return argument.buffer if isinstance(argument, Tensor) else argument


def poison(tensor: Tensor) -> None:
    """Fill a tensor with a NaN of its own (integers: 0xCD bytes): what a kernel leaves unwritten then shows."""
    if tensor.dtype.kind == "f":
        tensor.numpy().view(f"u{tensor.dtype.itemsize}").fill(NAN_BITS[tensor.dtype.itemsize])
    else:
        np.frombuffer(tensor.buffer, np.uint8)[: tensor.nbytes] = POISON_BYTE


def require(condition: bool, message: str) -> None:
    """Hosts validate before launch, in words: raises ValueError(message) unless `condition`."""
    if not condition:
        raise ValueError(message)


FLOAT32, UINT32 = np.dtype(np.float32), np.dtype(np.uint32)


def require_dtype(op: str, dtype: np.dtype, **tensors: Tensor) -> None:
    """Raises ValueError naming the first of `tensors` that is not of `dtype`. Its words are made only when needed."""
    for name, tensor in tensors.items():
        if tensor.dtype != dtype:
            raise ValueError(f"{op}: {name} must be {dtype}, got {tensor.dtype}")
