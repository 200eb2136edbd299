"""A device, and a helper that runs one kernel over NumPy arrays."""

from __future__ import annotations

import numpy as np
import pytest

import metal
from conftest import missing_device

HEAD = "#include <metal_stdlib>\nusing namespace metal;\n"


@pytest.fixture(scope="session")
def device():
    reason = missing_device()
    if reason:
        pytest.skip(f"not run here: {reason}")
    return metal.Device()


@pytest.fixture(scope="session")
def run(device):
    """run(body, threads, *arrays, name="f") → arrays after the run. The first arrays are copied into device buffers."""

    def go(source: str, threads: int, *arrays: np.ndarray, name: str = "f", std: str = "2.3") -> list[np.ndarray]:
        buffers = [device.buffer(np.ascontiguousarray(a).reshape(-1).view(np.uint8)) for a in arrays]
        handle = device.kernel(HEAD + source, std=std).function(name)(threads, *buffers)
        del handle
        return [np.frombuffer(b, a.dtype, a.size).reshape(a.shape) for a, b in zip(arrays, buffers, strict=True)]

    return go
