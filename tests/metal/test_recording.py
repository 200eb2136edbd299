"""Recordings, ours: dispatches written down once and replayed, the same to the bit as one by one."""

from __future__ import annotations

import gc

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

import metal
from conftest import examples

STEPS = """
#include <metal_stdlib>
using namespace metal;
kernel void mix3(device float *x [[buffer(0)]], device const float *y [[buffer(1)]], constant float &k [[buffer(2)]],
                 uint i [[thread_position_in_grid]]) { x[i] = x[i] * k + y[(i * 7 + 3) % 2048]; }
kernel void tiles(device float *x [[buffer(0)]], threadgroup float *t [[threadgroup(0)]], uint2 at [[thread_position_in_grid]],
                  uint2 n [[threads_per_grid]], uint j [[thread_index_in_threadgroup]], uint2 w [[threads_per_threadgroup]]) {
    t[j] = x[at.y * n.x + at.x];
    threadgroup_barrier(mem_flags::mem_threadgroup);
    x[at.y * n.x + at.x] = t[w.x * w.y - 1 - j] + 1;
}
"""
NAMES = st.sampled_from(["mix", "back", "tiles", "part"])


@pytest.fixture(scope="module")
def steps(device):
    kernel = device.kernel(STEPS)
    mix, tiles = kernel.function("mix3"), kernel.function("tiles")

    def step(name, x, y):
        """(function, how) of one step over two buffers: a call's arguments or a dispatch's."""
        if name == "tiles":  # smaller threadgroups at both edges
            return tiles, {"grid": (50, 40), "threadgroup": (8, 6), "buffers": [x], "threadgroup_memory": [256]}
        if name == "part":
            places = [(x, 1024), y, np.float32([0.25])]
            return mix, {"grid": 700, "threadgroup": 96, "buffers": places}
        return mix, (2000, *((x, y) if name == "mix" else (y, x)), np.float32([0.5]))

    return step


def start(device, seed):
    data = np.random.default_rng(seed).standard_normal((2, 2048)).astype(np.float32)
    return [device.buffer(row) for row in data]


def one_by_one(steps, names, x, y, times):
    for name in names * times:
        function, how = steps(name, x, y)
        run = function.dispatch(**how) if isinstance(how, dict) else function(*how)
        del run


def recorded(device, steps, names, x, y):
    made = device.recording()
    for name in names:
        function, how = steps(name, x, y)
        made.dispatch(function, **how) if isinstance(how, dict) else made(function, *how)
    return made


@examples(15)
@given(names=st.lists(NAMES, min_size=1, max_size=12), times=st.integers(1, 4), seed=st.integers(0, 99))
def compare(device, steps, names, times, seed):
    wanted, got = start(device, seed), start(device, seed)
    before = bytes(wanted[0]), bytes(wanted[1])
    one_by_one(steps, names, *wanted, times)
    made = recorded(device, steps, names, *got)
    assert len(made) == len(names) and (bytes(got[0]), bytes(got[1])) == before, "recording runs nothing"
    runs = [made.replay() for _ in range(times)]  # queued one behind the other
    last = runs.pop()
    del last
    assert [bytes(b) for b in got] == [bytes(b) for b in wanted] != list(before)


def test_a_replay_is_the_same_to_the_bit_as_one_by_one(device, steps):
    """Each step reads what the one before wrote, so order matters; edges, offsets and threadgroup memory among them."""
    compare(device, steps)


def test_replays_stand_in_the_queue_with_everything_else(device, steps):
    wanted, got = start(device, 1), start(device, 1)
    made = recorded(device, steps, ["mix", "tiles"], *got)
    mix, how = steps("back", *got)
    handles = [made.replay(), mix(*how), made.replay(), mix(*how)]
    handles.clear()
    one_by_one(steps, ["mix", "tiles", "back"], *wanted, 2)
    assert [bytes(b) for b in got] == [bytes(b) for b in wanted]


def test_a_recording_keeps_what_it_needs_and_bytes_as_they_were(device):
    kernel = device.kernel(STEPS)
    buffers, k = start(device, 2), np.float32([0.5])
    view, expected = np.frombuffer(buffers[0], np.float32), start(device, 2)
    made = device.recording()
    made(kernel.function("mix3"), 2048, *buffers, k)
    k[0] = 100  # copied when it was recorded
    del kernel, buffers
    gc.collect()
    run = made.replay()
    del made
    del run
    once = device.kernel(STEPS).function("mix3")(2048, *expected, np.float32([0.5]))
    del once
    assert (view == np.frombuffer(expected[0], np.float32)).all()


def test_an_empty_recording_and_empty_dispatches_run_nothing(device, steps):
    run = device.recording().replay()
    del run
    x, y = start(device, 3)
    before, made = bytes(x), device.recording()
    made(steps("mix", x, y)[0], 0, x, y, np.float32([1]))
    run = made.replay()
    del run
    assert len(made) == 1 and bytes(x) == before


def test_wrong_recordings_are_refused_in_words(device, steps):
    x, y = start(device, 4)
    made = device.recording()
    mix, how = steps("mix", x, y)
    with pytest.raises(metal.error, match=r"reads buffer\(1\)"):
        made(mix, 1, x)
    with pytest.raises(metal.error, match=r"either grid= .* or threadgroups="):
        made.dispatch(mix, threadgroup=1, buffers=[x, y, b"1234"])
    assert len(made) == 0, "what was refused is not in it"
    made(mix, *how)
    run = made.replay()
    del run
    with pytest.raises(metal.error, match="takes no more dispatches"):
        made(mix, *how)


def test_replays_keep_no_memory(device, steps):
    """A program that decodes for hours replays each of its steps' dispatches each time."""
    made = recorded(device, steps, ["mix", "back"] * 10, *start(device, 5))
    held = []
    for _ in range(2):  # what is made once is there after the first
        for _ in range(400):
            run = made.replay()
            del run
        held.append(psutil.Process().memory_info().rss)
    assert held[1] - held[0] < 3 << 20, f"400 replays of 20 dispatches keep {held[1] - held[0]:,} bytes"
