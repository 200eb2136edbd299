"""m6's devices: without checks for the shipped kernels, unless --checks says so: some take half a minute to compile then."""

from __future__ import annotations

import pytest

from conftest import gpus_by_width
from tests.plugin import seam


@pytest.fixture(scope="session")
def gpus(pytestconfig):
    """width → Gpu with poisoned outputs; checked for a learner's kernels, and with `--checks=default`, a run of CI's own."""
    return gpus_by_width(pytestconfig, None if seam.checks_m6(pytestconfig) else "off")
