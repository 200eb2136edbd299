"""A kernel run as comments in its file say, with checks on: `firstlight check --run`, and the specs of checked mode.

// run: grid 100, threadgroup 64, memory 256      numbers, or x y z; or: threads 100, which is metalcompute's call
// buffer 0: float 100 ramp                        type, length, then: ramp, zeros, empty (nobody wrote it), or values
// kernel: softmax                                 if there are several
// constant 3: true                                a function constant's value
// checks: all                                     default where nothing is said
// time: 0.5                                       seconds until it is stopped
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

TYPES = {"float": "f4", "half": "f2", "uint": "u4", "int": "i4", "uchar": "u1", "ushort": "u2", "short": "i2", "ulong": "u8"}
TYPES |= {"char": "i1", "long": "i8"}
_SHAPES = ("threads", "grid", "threadgroups", "threadgroup", "memory")
_FORM = "// run: grid 100, threadgroup 64"


@dataclass
class Buffer:
    """What a `// buffer` line says: an element type, how many, and what is in it."""

    kind: str
    length: int
    contents: list[str]

    def make(self, device: Any) -> Any:
        """The buffer on a device."""
        dtype = np.dtype(TYPES[self.kind])
        if self.contents == ["empty"]:
            return device.buffer(self.length * dtype.itemsize)
        if self.contents == ["ramp"]:
            values = np.arange(self.length) % 100 / (8 if dtype.kind == "f" else 1)
        else:
            values = np.resize([0.0 if c == "zeros" else float(c) for c in self.contents], self.length)
        return device.buffer(values.astype(dtype))


@dataclass
class Trial:
    """How a file's kernel is to be run."""

    path: Path
    source: str
    shape: dict[str, list[int]] = field(default_factory=dict)
    buffers: list[Buffer] = field(default_factory=list)
    kernel: str = ""
    constants: dict[int | str, Any] = field(default_factory=dict)
    checks: str = "default"
    time: float | None = None

    def _name(self, names: list[str]) -> str:
        if not self.kernel and len(names) != 1:
            raise ValueError(f"{self.path} has {len(names)} kernels: name one with a comment '// kernel: NAME'")
        return self.kernel or names[0]

    def run(self, checks: str | None = None) -> tuple[Any, ...]:
        """The findings of one run. Raises ValueError or `metal.error` where it cannot be run so."""
        from metal.portable import Device, KernelFault

        device = Device(checks=checks or self.checks)
        kernel = device.kernel(f'#line 1 "{self.path}"\n{self.source}')
        function: Any = kernel.function(self._name(kernel.names), self.constants)
        if self.time is not None:
            function.time_limit = self.time
        bound = [buffer.make(device) for buffer in self.buffers]
        try:
            if "threads" in self.shape:
                function(self.shape["threads"][0], *bound)
            else:
                given = {name: numbers for name, numbers in self.shape.items() if name != "memory"}
                function.dispatch(**given, buffers=bound, threadgroup_memory=self.shape.get("memory", []))
        except KernelFault as fault:
            return fault.findings
        return ()


def read(path: Path) -> Trial:
    """The trial that a file's comments describe. Raises ValueError that says what is missing or wrong, and OSError."""
    source = path.read_text(encoding="utf-8")
    trial = Trial(path, source)
    for number, line in enumerate(source.splitlines(), 1):
        found = re.match(r"// (run|kernel|checks|time|buffer \d+|constant \w+): (.*)$", line)
        if found:
            try:
                _take(trial, found[1].split(), found[2].strip())
            except (ValueError, KeyError, IndexError) as problem:
                raise ValueError(f"{path}:{number}: {problem}") from None
    if not trial.shape:
        raise ValueError(
            f"{path} does not say how to run it: give it comments like '{_FORM}' and '// buffer 0: float 100 ramp'"
        )
    return trial


def _take(trial: Trial, what: list[str], text: str) -> None:
    if what == ["run"]:
        parts = [part.split() for part in text.split(",")]
        trial.shape = {name: [int(n) for n in numbers] for name, *numbers in parts}
        unknown = [name for name in trial.shape if name not in _SHAPES]
        if unknown or not all(trial.shape.values()):
            raise ValueError(f"'{text}' is no way to run a kernel; it is like '{_FORM}'")
    elif what[0] == "buffer":
        kind, length, *contents = text.split()
        if int(what[1]) != len(trial.buffers):
            raise ValueError(f"buffer {what[1]} where buffer {len(trial.buffers)} was expected")
        if kind not in TYPES or not contents:
            raise ValueError(f"'{text}' is no buffer: a type ({', '.join(TYPES)}), a length, and ramp, zeros, empty or values")
        trial.buffers.append(Buffer(kind, int(length), contents))
    elif what[0] == "constant":
        value: Any = text == "true" if text in ("true", "false") else float(text) if "." in text else int(text)
        trial.constants[int(what[1]) if what[1].isdigit() else what[1]] = value
    elif what == ["time"]:
        trial.time = float(text)
    else:
        setattr(trial, what[0], text)


def run_file(path: Path, checks: str | None = None) -> tuple[Any, ...]:
    """The findings of running a file's kernel as its comments say. Raises ValueError, OSError and `metal.error`."""
    return read(path).run(checks)
