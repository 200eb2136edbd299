"""Which OpenCL device serves: the runtime that pip installed, or the one FIRSTLIGHT_OPENCL names. A refusal has its reason.

The runtime comes from PyPI (`intel-opencl-rt`) and is found through the installed package's own file list, so neither a system
package nor an environment variable is needed. Drivers of the system are loaded only if FIRSTLIGHT_OPENCL is set.
"""

from __future__ import annotations

import importlib.metadata
import os
import sys
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from .errors import error

VARIABLE = "FIRSTLIGHT_OPENCL"
MEND = "pip install intel-opencl-rt (Linux x86-64), and unset FIRSTLIGHT_OPENCL"
_LIBRARY = "libintelocl.so"
_SYSTEM = Path("/etc/OpenCL/vendors")
_NEEDED = {
    "cl_intel_required_subgroup_size": "SIMD width on request",
    "cl_khr_fp16": "half precision",
    "cl_khr_subgroup_non_uniform_arithmetic": "reductions over a SIMD-group's active lanes",
    "cl_khr_subgroup_shuffle": "SIMD-group shuffles",
}
_TRIAL = "template <typename T> T same(T x) { return x; }\n\
__kernel __attribute__((intel_reqd_sub_group_size(32))) void trial(__global float *x) { x[0] = same(1.0f); }"


@dataclass
class Candidate:
    """An OpenCL device that is here, and why it cannot serve (no reasons: it can)."""

    name: str
    device: Any
    reasons: list[str]


def choose(cl) -> Any:
    """The device that serves. Raises `metal.error` that says why each one here was refused and what mends it."""
    wanted = os.environ.get(VARIABLE, "").strip()
    seen = candidates(cl, wanted)
    for candidate in seen:
        if not candidate.reasons:
            return candidate.device
    what = f"no OpenCL device whose name contains {wanted!r} can serve" if wanted else "no OpenCL device can serve"
    why = "; ".join(f"{c.name}: {', '.join(c.reasons)}" for c in seen) or "there is none"
    hint = "" if wanted else "; if this program imported pyopencl before metal, import metal first"
    raise error(f"{what} ({why}). {MEND}{hint}")


def candidates(cl, wanted: str = "") -> list[Candidate]:
    """Every OpenCL device there is, with the reasons against it; one whose name lacks `wanted` has that reason alone."""
    found = []
    for platform in cl.get_platforms():
        try:
            devices = platform.get_devices()
        except cl.Error:  # a driver without a device
            devices = []
        for device in devices:
            name = " / ".join(part.strip() for part in (platform.name, device.name))
            if wanted.lower() not in name.lower():
                reasons = [f"its name does not contain {wanted!r}"]
            else:
                reasons = refusals(cl, device) or _trial(cl, device)
            found.append(Candidate(name, device, reasons))
    return found


def refusals(cl, device) -> list[str]:
    """What the device lacks of what every kernel here needs, by its own account."""
    extensions = device.extensions.split()
    lacks = [f"no {what} ({name})" for name, what in _NEEDED.items() if name not in extensions]
    try:
        shared = device.svm_capabilities & cl.device_svm_capabilities.FINE_GRAIN_SYSTEM
    except (cl.Error, AttributeError):  # OpenCL 1.x has no such question
        shared = 0
    if not shared:
        lacks.append("its memory is not the host's (fine-grained system SVM)")
    if device.max_work_group_size < 1024:
        lacks.append(f"threadgroups of {device.max_work_group_size} threads at most, 1024 needed")
    if device.local_mem_size < 32768:
        lacks.append(f"{device.local_mem_size} bytes of threadgroup memory, 32768 needed")
    return lacks


def _trial(cl, device) -> list[str]:
    """Whether it compiles C++ for OpenCL, for SIMD-groups of 32. The pip-installed runtime is known to."""
    if not os.environ.get(VARIABLE):
        return []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            cl._cl._Program(cl.Context([device]), _TRIAL)._build(b"-cl-std=CLC++2021", [device])
    except cl.Error:
        return ["it does not compile C++ for OpenCL with a SIMD width of 32"]
    return []


def open_loader():
    """Import pyopencl with its loader pointed at the drivers wanted, leaving the environment as it was."""
    before, everything = os.environ.get("OCL_ICD_VENDORS"), bool(os.environ.get(VARIABLE))
    with tempfile.TemporaryDirectory(prefix="firstlight-icd-") as folder:
        if "pyopencl" not in sys.modules:
            drivers = _drivers(before) if everything else [_library_path()]
            for number, driver in enumerate(drivers):
                Path(folder, f"{number:03}.icd").write_text(f"{driver}\n")
            os.environ["OCL_ICD_VENDORS"] = folder
        uncached = "PYOPENCL_NO_CACHE" not in os.environ and not _writable(platformdirs.user_cache_dir("pytools", "pytools"))
        if uncached:  # pyopencl keeps something there, and would fail at its first kernel
            os.environ["PYOPENCL_NO_CACHE"] = "1"
        try:
            import pyopencl

            pyopencl.get_platforms()  # the loader reads the folder now, once
        except Exception as problem:
            raise error(f"no OpenCL runtime could be loaded ({problem}): {MEND}") from problem
        finally:
            if uncached:
                os.environ.pop("PYOPENCL_NO_CACHE")
            if before is None:
                os.environ.pop("OCL_ICD_VENDORS", None)
            else:
                os.environ["OCL_ICD_VENDORS"] = before
    return pyopencl


def _writable(folder: str) -> bool:
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


def _drivers(vendors: str | None) -> list[str | Path]:
    """Driver libraries: pip's first, then those that the loader would have found by itself."""
    place = Path(vendors) if vendors else _SYSTEM
    files = sorted(place.glob("*.icd")) if place.is_dir() else [place] if place.is_file() else []
    found: list[str | Path] = [text for file in files if (text := file.read_text().strip())]
    try:
        return [_library_path(), *found]
    except error:
        return found


def _library_path() -> Path:
    try:
        files = importlib.metadata.files("intel-opencl-rt") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == _LIBRARY:
            return Path(str(file.locate())).resolve()
    raise error(f"no OpenCL runtime: the portable Metal device needs the package intel-opencl-rt: {MEND}")


def report() -> list[str]:
    """A line for each OpenCL device here, drivers of the system included: serves, or refused and why. For a fresh process."""
    wanted = os.environ.get(VARIABLE, "").strip()
    os.environ[VARIABLE] = wanted or " "  # load every driver
    seen = candidates(open_loader(), wanted)
    serving = next((c for c in seen if not c.reasons), None)
    state = lambda c: "serves" if c is serving else "could serve" if not c.reasons else f"refused: {'; '.join(c.reasons)}"  # noqa: E731
    return [f"{c.name}: {state(c)}" for c in seen]
