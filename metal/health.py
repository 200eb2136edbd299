"""Whether the device works, and which packages it stands on: what `firstlight doctor` and the specs' header report."""

from __future__ import annotations

from importlib import metadata

import numpy as np

import metal

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


def packages() -> dict[str, str]:
    """name → version of the packages under the device that are installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
