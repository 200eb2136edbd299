"""`firstlight doctor`: what is here, what is not, and the command that mends it."""

from __future__ import annotations

import platform
import re
import shutil
import tempfile
from importlib import metadata

import numpy as np
import psutil

from metal.health import device_name, missing_device, opencl_devices, packages
from metal.paths import cache_dir
from milestones.m1.fetch import cached_model

NEEDED = 1 << 30  # bytes of memory that `generate` takes with the default model, rounded up
ROOM = 300 << 20  # bytes of disk: the model, while it is fetched, and compiled kernels


def report() -> tuple[list[str], bool]:
    """Lines for a terminal, and whether all that `firstlight generate` needs is here."""
    device, cache, memory = _device(), _cache(), _memory()
    versions = f"firstlight {_version('firstlight')}, Python {platform.python_version()}, NumPy {np.__version__}"
    lines = [
        f"{versions}, {platform.platform()}",
        *device[0],
        *cache[0],
        *memory[0],
        *_model(),
        *_not_run_here(),
    ]
    return lines, device[1] and cache[1] and memory[1]


def _line(fine: bool, name: str, what: str, mend: str = "") -> str:
    return f"{'ok' if fine else 'MISSING':<8} {name:<8} {what}{'' if fine or not mend else f': {mend}'}"


def _skipped(what: str, mend: str) -> str:
    return f"{'skipped':<8} {'':<8} {what}: {mend}"


def _device() -> tuple[list[str], bool]:
    problem = missing_device()
    below = ", ".join(f"{name} {version}" for name, version in packages().items()) or "no runtime package"
    lines = [
        _line(not problem, "device", problem or device_name(), "pip install -e . (Linux x86-64, or macOS on Apple silicon)"),
        _line(bool(packages()), "runtime", below),
        *(f"    opencl       {line}" for line in opencl_devices()),
    ]
    return lines, not problem


def _cache() -> tuple[list[str], bool]:
    """Whether something can be written there, by writing it."""
    folder = cache_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x")
        free = shutil.disk_usage(folder).free
    except OSError as problem:
        mend = "set FIRSTLIGHT_CACHE to a folder you can write to"
        return [_line(False, "cache", f"{folder} cannot be used ({problem.strerror})", mend)], False
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    enough = free > ROOM or cached_model() is not None
    return [_line(enough, "cache", f"{folder}, {_mb(size)} used, {_mb(free)} free", f"make room for {_mb(ROOM)}")], enough


def _memory() -> tuple[list[str], bool]:
    free = psutil.virtual_memory().available
    return [_line(free > NEEDED, "memory", f"{_mb(free)} free, about {_mb(NEEDED)} needed", "close something")], free > NEEDED


def _model() -> list[str]:
    path = cached_model()
    return [_line(path is not None, "model", str(path) if path else "the default model is not here yet", "firstlight fetch")]


def _not_run_here() -> list[str]:
    """The checks that pytest would report as "not run here", or could not begin, with what mends each."""
    lines = []
    missing = [name for name in _test_packages() if _version(name) is None]
    if missing:
        lines.append(_line(False, "tests", f"not installed: {', '.join(missing)}", "pip install -e '.[test]'"))
    else:
        lines.append(_line(True, "tests", "every package of the test extra is installed"))
    if missing_device():
        lines.append(_skipped("every spec of a kernel is not run here", "see device"))
    if cached_model() is None:
        lines.append(_skipped("checks on the default model are not run here unless it can be fetched", "firstlight fetch"))
    if device_name().startswith("portable"):
        lines.append(_skipped("no spec is run on an Apple GPU here", "what passes here has passed on the portable device"))
    return lines


def _test_packages() -> list[str]:
    found = metadata.requires("firstlight") or []
    names = [re.match(r"[\w.-]+", line) for line in found if re.search(r"extra == ['\"]test['\"]", line)]
    return [match[0] for match in names if match]


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _mb(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"
