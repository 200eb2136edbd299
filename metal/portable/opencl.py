"""The OpenCL runtime under the portable device: found, opened once, asked to build programs, its binaries kept on disk.

The runtime comes from PyPI (`intel-opencl-rt`) and is found through the installed package's own file list, so neither a
system package nor an environment variable is needed.
"""

from __future__ import annotations

import atexit
import hashlib
import importlib.metadata
import json
import os
import re
import sys
import tempfile
import threading
import warnings
from functools import cache
from pathlib import Path

from metal.paths import cache_dir

from .errors import SourceError, error
from .frontend import EPILOGUE, HEADER, PROLOGUE
from .lowered import Lowered

# Metal's fast math: reassociation, no NaN, no infinity. Not -cl-fast-relaxed-math, which would also take sin and cos (precise::
# ones too) to 2500 ulp and leave out the rounding of float(half(x)).
OPTIONS = ["-cl-std=CLC++2021", "-cl-unsafe-math-optimizations", "-cl-finite-math-only"]
_LIBRARY = "libintelocl.so"


def _library_path() -> Path:
    try:
        files = importlib.metadata.files("intel-opencl-rt") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == _LIBRARY:
            return Path(str(file.locate())).resolve()
    raise error(
        "no OpenCL runtime: the portable Metal device needs the package intel-opencl-rt (Linux x86-64): "
        "pip install intel-opencl-rt"
    )


class Runtime:
    """One OpenCL device with its context and its in-order queue."""

    def __init__(self) -> None:
        cl = _import_pyopencl()
        self.cl = cl
        devices = [d for p in cl.get_platforms() for d in p.get_devices() if _fits(d)]
        if not devices:
            raise error(
                "the OpenCL runtime offers no device with sub-groups of 32 and half precision; if this program imported "
                "pyopencl before metal, import metal first"
            )
        self.device = devices[0]
        self.context = cl.Context([self.device])
        self.queue = cl.CommandQueue(self.context)
        self.lock = threading.RLock()
        atexit.register(self.queue.finish)  # kernels must not outlive the memory they work on
        self.fingerprint = f"{self.device.name} {self.device.version} {self.device.driver_version} {_cpu_flags()}"

    def build(self, lowered: Lowered):
        """Compile a lowered program, or load its binary from the cache. Raises SourceError with the compiler's findings."""
        cl, text = self.cl, HEADER.read_text() + PROLOGUE + lowered.text + EPILOGUE
        with self.lock, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = cl._cl._Program(self.context, text)
            try:
                program._build(" ".join(OPTIONS).encode(), [self.device])
            except cl.RuntimeError as problem:
                log = program.get_build_info(self.device, cl.program_build_info.LOG)
                raise _findings(log, lowered, text) from problem
        return program

    def load(self, binary: bytes):
        cl = self.cl
        with self.lock, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = cl._cl._Program(self.context, [self.device], [binary])
            program._build(b"", [self.device])
        return program


def _findings(log: str, lowered: Lowered, text: str) -> error:
    """The device compiler's own errors, at the Metal source's lines. Rare: libclang has read the program before."""
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    begin = text.rindex(PROLOGUE + lowered.text[:40]) + len(PROLOGUE)
    found = []
    for match in re.finditer(r"^\d+:(\d+):(\d+): (?:fatal )?error: (.*)$", log, re.MULTILINE):
        offset = starts[int(match.group(1)) - 1] + int(match.group(2)) - 1 - begin
        found.append((lowered.origin(max(0, offset)), match.group(3)))
    return SourceError(lowered.where, found) if found else error("the device's compiler failed:\n" + log.strip())


@cache
def _cpu_flags() -> str:
    """A short mark of the processor: a binary made for one with AVX-512 must not be loaded where there is none."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return ""
    flags = re.search(r"^flags\s*:(.*)$", text, re.MULTILINE)
    return hashlib.sha256(flags.group(1).encode()).hexdigest()[:8] if flags else ""


def _fits(device) -> bool:
    needed = ("cl_intel_required_subgroup_size", "cl_khr_fp16", "cl_khr_subgroup_non_uniform_arithmetic")
    return all(name in device.extensions for name in needed)


def _import_pyopencl():
    """Import pyopencl with its loader pointed at the runtime that pip installed, leaving the environment as it was."""
    before = os.environ.get("OCL_ICD_VENDORS")
    with tempfile.TemporaryDirectory(prefix="firstlight-icd-") as folder:
        if "pyopencl" not in sys.modules:
            Path(folder, "intel.icd").write_text(f"{_library_path()}\n")
            os.environ["OCL_ICD_VENDORS"] = folder
        try:
            import pyopencl

            pyopencl.get_platforms()  # the loader reads the folder now, once
        except Exception as problem:
            raise error(f"the OpenCL runtime could not be loaded: {problem}") from problem
        finally:
            if before is None:
                os.environ.pop("OCL_ICD_VENDORS", None)
            else:
                os.environ["OCL_ICD_VENDORS"] = before
    return pyopencl


@cache
def runtime() -> Runtime:
    """The process's one runtime, opened on first use."""
    return Runtime()


# --- the cache on disk ------------------------------------------------------------------------------------------------
@cache
def _translator_mark() -> str:
    """Changes whenever the translator does, so that an entry made by another version is never used."""
    digest = hashlib.sha256()
    for path in sorted([*Path(__file__).parent.glob("*.py"), *HEADER.parent.glob("*.h")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def cache_key(source: str, fingerprint: str) -> str:
    parts = (source, fingerprint, _translator_mark(), " ".join(OPTIONS))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def read_entry(key: str) -> tuple[dict, bytes] | None:
    """(description, binary) of a cached program; None if there is none or it is damaged (it is then made again)."""
    try:
        blob = (cache_dir() / "programs" / key[:2] / key).read_bytes()
        digest, rest = blob[:32], blob[32:]
        if hashlib.sha256(rest).digest() != digest:
            return None
        head, binary = rest.split(b"\n", 1)
        return json.loads(head), binary
    except (OSError, ValueError):
        return None


def write_entry(key: str, description: dict, binary: bytes) -> None:
    """Keep a compiled program. Moved into place whole; a folder that cannot be written means only a slower next start."""
    rest = json.dumps(description).encode() + b"\n" + binary
    folder = cache_dir() / "programs" / key[:2]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=folder)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.sha256(rest).digest() + rest)
            os.replace(name, folder / key)
        except OSError:
            os.unlink(name)
    except OSError:
        pass
