"""The macOS path cannot rot unseen: the whole engine on exactly metalcompute's surface."""

from __future__ import annotations

import numpy as np
import pytest

from metal.tensor import Gpu
from milestones.m7.engine import Engine
from tests.metalcompute_surface import Device

PROMPT = "The capital of France is"


def test_the_whole_engine_runs_on_metalcomputes_surface_alone(model_path, engine):
    """Load, tokenize, prefill, decode, stop: on a device that offers nothing but what metalcompute does."""
    restricted = Engine(model_path, gpu=Gpu(Device()))
    ids = [token.id for token in restricted.generate(PROMPT, max_tokens=8)]
    assert ids == [token.id for token in engine.generate(PROMPT, max_tokens=8)]
    assert [token.id for token in restricted.generate(PROMPT, max_tokens=3, cached=False)] == ids[:3]


def test_the_surface_is_metalcomputes_and_no_more():
    """The wrapper must refuse what the portable device has and metalcompute has not; else the test above proves nothing."""
    device = Device()
    buffer = device.buffer(np.arange(4, dtype=np.float32))
    kernel = device.kernel("kernel void f(device float *x [[buffer(0)]]) { x[0] = 7; }")
    run = kernel.function("f")(1, buffer)
    hidden = [(device, ("_runtime", "name")), (kernel, ("_kernels",)), (run, ("_event", "wait")), (buffer, ("_memory", "size"))]
    for thing, names in hidden:
        for name in names:
            with pytest.raises(AttributeError, match="has no attribute"):
                getattr(thing, name)
    for misuse in (lambda: len(buffer), lambda: buffer[0], lambda: list(buffer)):
        with pytest.raises(TypeError, match="no length and no items"):
            misuse()
    with pytest.raises(TypeError):
        device.kernel(source="")
    kernel.function("f")(1, buffer)  # runs in order, and the handle is dropped here: waits for both
    assert np.frombuffer(buffer, np.float32).tolist() == [7, 1, 2, 3]
    assert memoryview(buffer).nbytes == 16
