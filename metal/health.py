"""Whether the device works, and which packages it stands on: what `firstlight doctor` and the specs' header report."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from typing import Any

import numpy as np

import metal
from metal.tensor import Gpu

PACKAGES = ("metalcompute", "pyopencl", "intel-opencl-rt", "intel-cmplr-lib-rt", "libclang")
_PROBE = """
#include <metal_stdlib>
using namespace metal;
kernel void probe(device uint *out [[buffer(0)]], uint lane [[thread_index_in_simdgroup]]) { out[lane] = simd_sum(lane); }
"""


def missing_device() -> str | None:
    """None if a device runs a SIMD-group reduction as every kernel here needs; else why not."""
    try:
        device = metal.Device()
        out = device.buffer(4 * 32)
        run = device.kernel(_PROBE).function("probe")(32, out)
        del run
    except metal.error as problem:
        return f"no device: {problem}"
    sums = np.frombuffer(out, np.uint32)
    return None if (sums == 32 * 31 // 2).all() else "this GPU lacks SIMD-group reductions of 32 lanes"


def device_name() -> str:
    """The device's own name, or "none" with the reason."""
    try:
        return metal.get_devices()[0].deviceName
    except (metal.error, IndexError) as problem:
        return f"none ({problem})"


def opencl_devices() -> list[str]:
    """Every OpenCL device here with what was decided about it, asked in a process of its own: a bad driver may crash."""
    if sys.platform == "darwin":
        return []
    from metal.portable import apart

    try:
        done = apart.python("from metal.portable.choice import report; print(*report(), sep=chr(10))", 60)
    except subprocess.TimeoutExpired:
        return ["the OpenCL drivers do not answer"]
    if done.returncode != 0:
        return [(done.stderr.decode().strip().splitlines() or ["the OpenCL drivers crashed"])[-1]]
    return [line for line in done.stdout.decode().splitlines() if line]


def packages() -> dict[str, str]:
    """name → version of the packages under the device that are installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


spec_checks = "default"  # pytest's --checks: what the device of a spec looks for
dispatched: set[str] = set()  # "m2/rms_norm" of every kernel file that a SpecGpu ran; whoever reads it empties it


def tells_a_finding(text: str) -> bool:
    """Whether a report has a finding of checked mode in it: "races: …"."""
    if sys.platform == "darwin":
        return False
    from metal.portable.checked import DEFAULT

    return any(f"{check}: " in f"{text} " for check in DEFAULT)


class SpecGpu(Gpu):
    """The device as specs use it: outputs poisoned, kernels checked where they can be (metalcompute has no checks)."""

    def __init__(self, width: int | None = None, checks: str | None = None):
        device = metal.Device() if sys.platform == "darwin" else metal.Device(checks=checks or spec_checks)
        super().__init__(device, width=width, poison=True)

    def run(self, function: Any, threads: int, *arguments: Any) -> None:
        dispatched.add(self.named(function))
        super().run(function, threads, *arguments)


def spec_gpu(width: int | None = None, checks: str | None = None) -> Gpu:
    """A device for a spec, of this width. `checks`: "off" for a whole model's run, whose kernels their own specs check."""
    return SpecGpu(width, checks)
