"""Small kernels with a header that says how they are run, and what checked mode must say of them.

// run: grid 100, threadgroup 64 [, memory 256] [, constants 0 7]     numbers or x y z; or: threads 100 (metalcompute's call)
// buffer 0: float 100 ramp                          type, length, and ramp, zeros, empty (nobody wrote it), nothing, or the values
// buffer 1: same 0 at 128                           buffer 0 again, from byte 128 on
// finds bounds: reads 4 bytes outside buffer(0)     a check and words; the line that it stands at is marked // HERE
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from metal.portable import Device, Finding, KernelFault

_TYPES = {"float": "f4", "half": "f2", "uint": "u4", "int": "i4", "uchar": "u1", "ushort": "u2", "ulong": "u8"}


@dataclass
class Case:
    """A kernel of tests/metal/faults or tests/metal/right."""

    path: Path
    source: str
    how: dict[str, list[int]]
    buffers: list[tuple[str, int, list[str]]]
    finds: list[tuple[str, str]]
    checks: str = "default"
    lines: list[int] = field(default_factory=list)


def read(path: Path) -> Case:
    """The kernel and its header. Raises ValueError where the header does not say how to run it."""
    source = path.read_text(encoding="utf-8")
    run = re.search(r"^// run: (.*)$", source, re.MULTILINE)
    if not run:
        raise ValueError(f"{path}: no line '// run: …'")
    how = {part.split()[0]: [int(n) for n in part.split()[1:]] for part in run[1].split(",")}
    buffers: list[tuple[str, int, list[str]]] = []
    for n, (index, kind, length, rest) in enumerate(re.findall(r"^// buffer (\d+): (\w+) (\d+) (.*)$", source, re.MULTILINE)):
        if int(index) != n:
            raise ValueError(f"{path}: buffer {index} where {n} was expected")
        buffers.append((kind, int(length), rest.split()))
    finds = re.findall(r"^// finds ([\w-]+): (.*)$", source, re.MULTILINE)
    checks = re.search(r"^// checks: (.*)$", source, re.MULTILINE)
    lines = [n for n, line in enumerate(source.splitlines(), 1) if line.rstrip().endswith("// HERE")]
    return Case(path, source, how, buffers, finds, checks[1] if checks else "default", lines)


def run(case: Case, device: Device, time_limit: float | None = None) -> tuple[Finding, ...]:
    """What checked mode finds when the case's kernel is run as its header says."""
    kernel = device.kernel(case.source)
    (name,) = kernel._kernels
    constants = case.how.get("constants", [])
    function: Any = kernel.function(name, dict(zip(constants[::2], constants[1::2], strict=True)))
    if time_limit is not None:
        function.time_limit = time_limit
    bound: list[Any] = []
    for kind, length, what in case.buffers:
        bound.append((bound[length], int(what[1])) if kind == "same" else _buffer(device, kind, length, what))
    try:
        if "threads" in case.how:
            function(case.how["threads"][0], *bound)
        else:
            memory = case.how.get("memory", [])
            function.dispatch(
                grid=case.how["grid"], threadgroup=case.how["threadgroup"], buffers=bound, threadgroup_memory=memory
            )
    except KernelFault as fault:
        return fault.findings
    return ()


def _buffer(device: Device, kind: str, length: int, what: list[str]) -> Any:
    dtype = np.dtype(_TYPES[kind])
    if what == ["nothing"]:
        return None
    if what == ["empty"]:
        return device.buffer(length * dtype.itemsize)
    if what == ["ramp"]:
        values = np.arange(length) % 100 / (8 if dtype.kind == "f" else 1)
    else:
        values = np.resize([float(w) for w in what if w != "zeros"] or [0.0], length)
    return device.buffer(values.astype(dtype))
