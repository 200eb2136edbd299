"""m6's devices: without checks, unless --checks says so. With them its large kernels take half a minute each to compile."""

from __future__ import annotations

import pytest

from conftest import gpus_by_width


@pytest.fixture(scope="session")
def gpus(pytestconfig):
    """width → Gpu with poisoned outputs; checked with `--checks=default`, as CI does in a run of its own."""
    return gpus_by_width(pytestconfig, None if pytestconfig.getoption("checks") else "off")
