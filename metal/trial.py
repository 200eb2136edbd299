"""A kernel run as comments in its file say, with checks on: `firstlight check --run`, and the specs of checked mode.

// run: grid 100, threadgroup 64, memory 256   numbers, or x y z; or: threads 100, which is metalcompute's call
// buffer 0: float 100 ramp                     type, length, then: ramp, zeros, empty (nobody wrote it), nothing, or values
// buffer 1: same 0 at 128                      buffer 0 again, from byte 128 on
// constants: 0 7                               a function constant's index or name and its value, and more such pairs
// complete: 1                                  buffers that must be written whole
// kernel: softmax                              if there are several
// checks: all                                  default where nothing is said
// time: 0.5                                    seconds until it is stopped
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

TYPES = {"float": "f4", "half": "f2", "uint": "u4", "int": "i4", "uchar": "u1", "ushort": "u2", "short": "i2", "ulong": "u8"}
TYPES |= {"char": "i1", "long": "i8"}
_SHAPES = ("threads", "grid", "threadgroups", "threadgroup", "memory")
_FORM = "// run: grid 100, threadgroup 64"


@dataclass
class Trial:
    """How a file's kernel is to be run."""

    path: Path
    source: str
    shape: dict[str, list[int]] = field(default_factory=dict)
    buffers: list[list[str]] = field(default_factory=list)
    kernel: str = ""
    constants: dict[int | str, Any] = field(default_factory=dict)
    complete: list[int] = field(default_factory=list)
    checks: str = "default"
    time: float | None = None

    def run(self, checks: str | None = None) -> tuple[Any, ...]:
        """The findings of one run. Raises ValueError or `metal.error` where it cannot be run so."""
        from metal.portable import Device, KernelFault, error

        device = Device(checks=checks or self.checks)
        kernel = device.kernel(f'#line 1 "{self.path}"\n{self.source}')
        if not self.kernel and len(kernel.names) != 1:
            raise ValueError(f"{self.path} has {len(kernel.names)} kernels: name one with a comment '// kernel: NAME'")
        function: Any = kernel.function(self.kernel or kernel.names[0], self.constants)
        if self.time is not None:
            function.time_limit = self.time
        bound: list[Any] = []
        for words in self.buffers:
            bound.append((bound[int(words[1])], int(words[3])) if words[0] == "same" else _buffer(device, *words))
        try:
            if "threads" in self.shape:
                function(self.shape["threads"][0], *bound)
            else:
                given = {name: numbers for name, numbers in self.shape.items() if name != "memory"}
                memory = self.shape.get("memory", [])
                function.dispatch(**given, buffers=bound, threadgroup_memory=memory, complete=self.complete)
        except KernelFault as fault:
            return fault.findings
        except error as problem:
            raise ValueError(f"{self.path} cannot be run as its comments say: {problem}") from None
        return ()


def _buffer(device: Any, kind: str, length: str, *contents: str) -> Any:
    dtype, count = np.dtype(TYPES[kind]), int(length)
    if contents == ("nothing",):
        return None
    if contents == ("empty",):
        return device.buffer(count * dtype.itemsize)
    if contents == ("ramp",):
        values = np.arange(count) % 100 / (8 if dtype.kind == "f" else 1)
    else:
        values = np.resize([0.0 if c == "zeros" else float(c) for c in contents], count)
    if dtype.kind != "f" and (values != values.astype(dtype)).any():
        raise ValueError(f"'{' '.join(contents)}' are no values of {kind}")
    return device.buffer(values.astype(dtype))


def read(path: Path) -> Trial:
    """The trial that a file's comments describe. Raises ValueError that says what is missing or wrong, and OSError."""
    trial = Trial(path, path.read_text(encoding="utf-8"))
    for number, line in enumerate(trial.source.splitlines(), 1):
        found = re.match(r"// (run|kernel|checks|time|constants|complete|buffer)\b ?(\d*): (.*)$", line)
        if found:
            try:
                _take(trial, found[1], found[2], found[3].strip())
            except ValueError as problem:
                raise ValueError(f"{path}:{number}: {problem}") from None
    if not trial.shape:
        raise ValueError(
            f"{path} does not say how to run it: give it comments like '{_FORM}' and '// buffer 0: float 100 ramp'"
        )
    return trial


def _take(trial: Trial, what: str, index: str, text: str) -> None:
    """One line of a header. Raises ValueError for what it cannot mean."""
    words = text.split()
    if what == "run":
        trial.shape = {name: _numbers(numbers) for name, *numbers in (part.split() or [""] for part in text.split(","))}
        ways = [name for name in ("threads", "grid", "threadgroups") if name in trial.shape]
        whole = len(ways) == 1 and ("threadgroup" in trial.shape) == (ways != ["threads"])
        if not whole or not set(trial.shape) <= set(_SHAPES) or not all(trial.shape.values()):
            raise ValueError(f"'{text}' is no way to run a kernel; it is like '{_FORM}'")
    elif what == "buffer":
        same = len(words) == 4 and words[0] == "same" and words[2] == "at" and all(w.isdigit() for w in words[1::2])
        if index != str(len(trial.buffers)) or (same and int(words[1]) >= len(trial.buffers)):
            raise ValueError(f"buffer {len(trial.buffers)} was expected here, and 'same' is for one before it")
        plain = len(words) > 2 and words[0] in TYPES and words[1].isdigit() and int(words[1]) > 0
        if plain and words[2] not in ("ramp", "zeros", "empty", "nothing"):
            _numbers(words[2:], float)
        if not (same or plain):
            raise ValueError(f"'{text}' is no buffer: a type ({', '.join(TYPES)}), a length, and ramp, zeros, empty or values")
        trial.buffers.append(words)
    elif what == "constants":
        if len(words) % 2:
            raise ValueError(f"'{text}' should be pairs of a function constant and its value")
        for name, value in zip(words[::2], words[1::2], strict=True):
            known = {"true": True, "false": False}.get(value)
            number = known if known is not None else _numbers([value], float if "." in value else int)[0]
            trial.constants[int(name) if name.isdigit() else name] = number
    elif what == "complete":
        trial.complete = _numbers(words)
    elif what == "time":
        (trial.time,) = _numbers(words[:1] or [""], float)
        if not trial.time > 0:
            raise ValueError(f"'{text}' should be seconds, more than 0")
    else:
        setattr(trial, what, text)


def _numbers(words: Sequence[str], kind: Any = int) -> list:
    try:
        return [kind(word) for word in words]
    except ValueError:
        raise ValueError(f"'{' '.join(words)}' should be numbers") from None


def run_file(path: Path, checks: str | None = None) -> tuple[Any, ...]:
    """The findings of running a file's kernel as its comments say. Raises ValueError, OSError and `metal.error`."""
    return read(path).run(checks)
