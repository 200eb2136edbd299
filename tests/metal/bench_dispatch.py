"""What a dispatch costs from Python to the device: an empty kernel with three buffers, queued and waited for. Bounds the engine's
step from below: its kernels times this. Run with `pytest tests/metal/bench_dispatch.py --benchmark-only`."""

from __future__ import annotations

import numpy as np
import pytest

EMPTY = """
kernel void f(device float *a [[buffer(0)]], device float *b [[buffer(1)]], device float *c [[buffer(2)]]) {}
kernel void mark(device float *a [[buffer(0)]], device float *b [[buffer(1)]], constant float &c [[buffer(2)]],
                 uint i [[thread_position_in_grid]]) { if (i == 0) a[0] += b[0] + c; }
"""
QUEUED = 100


@pytest.fixture(scope="module")
def kernel(device):
    return device.kernel(EMPTY)


@pytest.fixture
def buffers(device, kernel):
    """Three buffers, and a check afterwards that runs still do their work in order: a queue that lost any would be fast too."""
    made = [device.buffer(np.float32([value])) for value in (0, 1, 2)]
    yield made
    runs = [kernel.function("mark")(1, *made) for _ in range(10)]
    runs.clear()
    assert np.frombuffer(made[0], np.float32)[0] == 30


def wait_for(runs):
    last = runs.pop()
    del last


def test_one_dispatch_waited_for(benchmark, kernel, buffers):
    f = kernel.function("f")
    benchmark(lambda: f(1, *buffers))


def test_one_of_a_hundred_queued_dispatches(benchmark, kernel, buffers):
    f = kernel.function("f")
    benchmark.extra_info["dispatches"] = QUEUED
    benchmark(lambda: wait_for([f(1, *buffers) for _ in range(QUEUED)]))


def test_one_of_a_hundred_replayed_dispatches(benchmark, device, kernel, buffers):
    recording, f = device.recording(), kernel.function("f")
    for _ in range(QUEUED):
        recording(f, 1, *buffers)
    benchmark.extra_info["dispatches"] = QUEUED
    benchmark(recording.replay)


def test_a_dispatch_with_bytes_to_copy(benchmark, kernel, buffers):
    g, n = kernel.function("mark"), np.float32([0])
    benchmark(lambda: g(1, buffers[1], buffers[1], n))
    np.frombuffer(buffers[1], np.float32)[0] = 1


@pytest.mark.parametrize("grid", [(64, 16), (60, 15)], ids=["whole threadgroups", "with edges"])
def test_a_dispatch_in_two_dimensions(benchmark, kernel, buffers, grid):
    f = kernel.function("f")
    benchmark(lambda: f.dispatch(grid=grid, threadgroup=(32, 8), buffers=buffers))


def test_a_compiled_program_loaded_from_the_disk(benchmark, device, kernel):
    benchmark(lambda: device.kernel(EMPTY))
