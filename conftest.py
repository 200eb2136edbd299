"""pytest's setting for the whole repository: the device, its widths, three states in the summary."""

from __future__ import annotations

import platform

import numpy
import pytest

from metal.tensor import Gpu

# A multiple of 32 up to 1024; 448 and 832 are what Apple's compiler gives kernels that need many registers.
WIDTHS = [32, 64, 256, 448, 832, 1024]


@pytest.fixture(scope="session")
def gpus():
    """width → Gpu with poisoned outputs; kernels are compiled once a session for each width."""
    made: dict[int, Gpu] = {}

    def get(width: int) -> Gpu:
        if width not in made:
            made[width] = Gpu(width=width, poison=True)
        return made[width]

    return get


@pytest.fixture(params=WIDTHS, ids=lambda width: f"width{width}")
def gpu(request, gpus) -> Gpu:
    """The device at each threadgroup width in turn: no kernel may depend on one."""
    return gpus(request.param)


def pytest_report_header(config) -> list[str]:
    import metal

    try:
        device = metal.get_devices()[0].deviceName
    except Exception as problem:  # the header must come out even where no device does
        device = f"none ({problem})"
    return [f"device: {device}; Python {platform.python_version()}, NumPy {numpy.__version__}"]


def pytest_terminal_summary(terminalreporter) -> None:
    """Three states, never two: a skip is never a pass."""
    stats = {name: len(terminalreporter.stats.get(name, [])) for name in ("passed", "failed", "error", "skipped")}
    terminalreporter.write_line(
        f"three states: {stats['passed']} passed, {stats['failed'] + stats['error']} failed, {stats['skipped']} not run here"
    )
