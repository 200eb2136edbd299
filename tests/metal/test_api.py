"""metalcompute's behaviour, point by point. Source: metalcompute 0.2.9's README and its observable behaviour."""

from __future__ import annotations

import array
import gc
import os
import threading

import numpy as np
import pytest

import metal

ADD = "kernel void add(device float *x [[buffer(0)]], constant float &n [[buffer(1)]], uint i [[thread_position_in_grid]]) { x[i] += n; }"
COUNT = """
kernel void count(device uint *x [[buffer(0)]], uint i [[thread_position_in_grid]], uint n [[threads_per_grid]],
                  uint w [[threads_per_threadgroup]]) { x[i] = i + 1; if (i == 0) { x[n] = n; x[n + 1] = w; } }
"""


def floats(buffer):
    return np.frombuffer(buffer, np.float32)


@pytest.fixture(scope="module")
def add(device):
    return device.kernel(ADD).function("add")


# --- buffers ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("length", [1, 3, 4, 127, 4096, 1 << 20])
def test_a_buffer_of_a_length_is_zero_and_of_that_length(device, length):
    view = memoryview(device.buffer(length))
    assert (view.nbytes, view.itemsize, view.readonly) == (length, 1, False)
    assert not np.frombuffer(view, np.uint8).any()


@pytest.mark.parametrize(
    "data",
    [
        b"x",
        b"hello",
        bytearray(b"\1\2\3"),
        array.array("f", [1.5, -2]),
        np.arange(12, dtype=np.int16).reshape(3, 4),
        memoryview(b"abc"),
    ],
    ids=lambda d: type(d).__name__ + str(len(d)),
)
def test_a_buffer_of_bytes_like_data_holds_a_copy(device, data):
    buffer = device.buffer(data)
    assert bytes(memoryview(buffer)) == memoryview(data).tobytes()
    if isinstance(data, bytearray):
        data[0] = 99
        assert memoryview(buffer)[0] == 1, "the buffer must be a copy"


@pytest.mark.parametrize("bad", [None, "text", [1, 2], 1.5j, object()], ids=lambda b: type(b).__name__)
def test_what_is_neither_length_nor_bytes_is_refused(device, bad):
    with pytest.raises(metal.error):
        device.buffer(bad)


@pytest.mark.parametrize("length", [0, -1, 1 << 62])
def test_a_length_that_cannot_be_is_refused(device, length):
    with pytest.raises(metal.error):
        device.buffer(length)


def test_data_that_is_not_contiguous_is_refused(device):
    with pytest.raises(metal.error, match="contiguous"):
        device.buffer(np.arange(16, dtype=np.float32)[::2])


def test_host_and_device_share_a_buffers_memory(device, add):
    """Zero copy in both directions: what the host writes the kernel reads, and the other way round, with no call between."""
    buffer = device.buffer(1024 * 4)
    view = floats(buffer)
    view[:] = np.arange(1024)
    run = add(1024, buffer, np.float32([0.5]))
    del run
    assert (view == np.arange(1024) + 0.5).all()
    view[0] = 100
    run = add(1024, buffer, np.float32([1]))
    del run
    assert (view[0], view[1]) == (101, 2.5)


def test_a_view_outlives_its_buffer(device):
    buffer = device.buffer(np.arange(1000, dtype=np.float32))
    view = floats(buffer)
    del buffer
    gc.collect()
    assert (view == np.arange(1000)).all()


def test_a_dropped_buffers_memory_is_given_back_without_the_garbage_collector(device, add):
    """No reference cycles: else a long run would hold gigabytes between collections."""

    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096

    gc.disable()
    try:
        before = resident()
        for _ in range(40):
            buffer = device.buffer(16 << 20)
            floats(buffer).fill(1)
            run = add(1024, buffer, np.float32([1]))
            del run, buffer
        assert resident() - before < 100 << 20
    finally:
        gc.enable()


# --- runs -------------------------------------------------------------------------------------------------------------
def test_bytes_like_arguments_are_copied_at_the_call(device, add):
    buffer, n = device.buffer(4096), np.float32([1])
    runs = []
    for value in (1, 2, 4):
        n[0] = value
        runs.append(add(1024, buffer, n))
    n[0] = 1000
    runs.clear()
    assert (floats(buffer) == 7).all()


def test_runs_complete_in_order_and_dropping_the_last_handle_waits_for_all_before(device):
    source = """
    kernel void twice(device float *x [[buffer(0)]], uint i [[thread_position_in_grid]]) { x[i] = x[i] * 2; }
    kernel void more(device float *x [[buffer(0)]], uint i [[thread_position_in_grid]]) { x[i] = x[i] + 1; }
    """
    kernel, buffer = device.kernel(source), device.buffer(4096)
    twice, more = kernel.function("twice"), kernel.function("more")
    runs = [f(1024, buffer) for _ in range(10) for f in (more, twice)]
    last = runs.pop()
    del last
    assert (floats(buffer) == 2046).all()  # x → 2(x + 1), ten times


def test_a_handle_keeps_its_buffers_alive(device, add):
    view = floats(buffer := device.buffer(4 << 20))
    run = add(1 << 20, buffer, np.float32([3]))
    del buffer
    gc.collect()
    del run
    assert (view == 3).all()


@pytest.mark.parametrize(("count", "runs"), [(0, 0), (1, 1024), (1024, 1024), (1025, 2048), (5000, 5120)])
def test_the_count_is_rounded_up_to_whole_threadgroups_and_the_tail_runs(device, count, runs):
    buffer = device.buffer((5120 + 2) * 4)
    run = device.kernel(COUNT).function("count")(count, buffer)
    del run
    seen = np.frombuffer(buffer, np.uint32)
    assert (seen[:runs] == np.arange(1, runs + 1)).all()
    assert seen[runs:].tolist()[:2] == ([runs, 1024] if runs else [0, 0])
    assert not seen[runs + 2 :].any()


@pytest.mark.parametrize(
    ("asked", "width"), [(32, 32), (64, 64), (100, 96), (448, 448), (832, 832), (1000, 992), (1024, 1024), (1, 32)]
)
def test_the_width_is_the_largest_multiple_of_32_within_the_attribute(device, asked, width):
    source = COUNT.replace("kernel void", f"[[max_total_threads_per_threadgroup({asked})]] kernel void")
    buffer = device.buffer((1024 + 2) * 4)
    run = device.kernel(source).function("count")(1, buffer)
    del run
    assert np.frombuffer(buffer, np.uint32)[width : width + 2].tolist() == [width, width]


def test_buffers_bind_to_indices_in_order_whatever_the_parameters_order(device):
    source = """
    kernel void f(device float *a [[buffer(2)]], device float *b [[buffer(0)]], device float *c [[buffer(1)]],
                  uint i [[thread_position_in_grid]]) { if (i == 0) { a[0] = 2; b[0] = 10; c[0] = 1; } }
    """
    buffers = [device.buffer(4) for _ in range(3)]
    run = device.kernel(source).function("f")(1, *buffers)
    del run
    assert [floats(b)[0] for b in buffers] == [10, 1, 2]


def test_parameters_without_an_index_take_the_free_ones_in_order(device):
    source = "kernel void f(device float *a, device float *b, uint i [[thread_position_in_grid]]) { if (i == 0) { a[0] = 5; b[0] = 6; } }"
    buffers = [device.buffer(4) for _ in range(2)]
    run = device.kernel(source).function("f")(1, *buffers)
    del run
    assert [floats(b)[0] for b in buffers] == [5, 6]


def test_more_buffers_than_the_kernel_reads_are_allowed(device, add):
    buffer = device.buffer(4096)
    run = add(4, buffer, np.float32([1]), device.buffer(4), b"more")
    del run
    assert floats(buffer)[0] == 1


# --- refusals ---------------------------------------------------------------------------------------------------------
def test_wrong_calls_are_refused_in_words(device, add):
    buffer = device.buffer(4096)
    with pytest.raises(metal.error, match="count"):
        add("many", buffer, b"1234")
    with pytest.raises(metal.error, match="negative"):
        add(-1, buffer, b"1234")
    with pytest.raises(metal.error, match=r"reads buffer\(1\) \('n'\), but only 1 were given"):
        add(1, buffer)
    with pytest.raises(metal.error):
        add(1)
    with pytest.raises(metal.error):
        add(1, buffer, None)
    with pytest.raises(metal.error, match="Failed to find function 'ad'; this source has: add"):
        device.kernel(ADD).function("ad")
    with pytest.raises(metal.error, match="Device not found"):
        metal.Device(7)


def test_too_much_threadgroup_memory_fails_at_the_call_not_before(device):
    source = "kernel void f(device float *x [[buffer(0)]], uint t [[thread_position_in_threadgroup]]) { threadgroup float a[8193]; a[t] = 1; x[t] = a[t]; }"
    function = device.kernel(source).function("f")
    with pytest.raises(metal.error, match="32772 bytes of threadgroup memory, the limit is 32768"):
        function(1, device.buffer(4096))
    run = device.kernel(source.replace("8193", "8192")).function("f")(1, device.buffer(4096))
    del run


def test_the_list_of_devices_has_metalcomputes_fields():
    (only,) = metal.get_devices()
    assert only._fields == ("deviceName", "recommendedWorkingSetSize", "maxTransferRate", "hasUnifiedMemory")
    assert "portable" in only.deviceName, "emulation is labelled so"
    assert str(metal.Device(0)).startswith("metal.portable.Device(") and "portable" in str(metal.Device().kernel(ADD))


# --- processes and threads --------------------------------------------------------------------------------------------
def test_the_device_works_in_a_forked_child(device, add):
    buffer = device.buffer(4096)
    child = os.fork()
    if child == 0:
        ok = 1
        try:
            mine = metal.Device()
            here = mine.buffer(4096)
            run = mine.kernel(ADD).function("add")(1024, here, np.float32([2]))
            del run
            ok = 0 if (floats(here) == 2).all() else 1
        finally:
            os._exit(ok)
    assert os.waitpid(child, 0)[1] == 0
    run = add(1024, buffer, np.float32([1]))
    del run
    assert (floats(buffer) == 1).all()


def wrong_sums_of_four_threads(device, function_of_thread) -> list[int]:
    """Four threads add their own number into buffers of their own, many times over; the numbers that came out wrong."""
    wrong: list[int] = []

    def work(value):
        function = function_of_thread()
        for _ in range(80):
            buffer = device.buffer(4096)
            run = function(1024, buffer, np.float32([value]))
            del run
            if not (floats(buffer) == value).all():
                wrong.append(value)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return wrong


def test_several_threads_share_one_device(device):
    assert not wrong_sums_of_four_threads(device, lambda: device.kernel(ADD).function("add"))


def test_one_function_called_from_several_threads_keeps_its_arguments_apart(device, add):
    assert not wrong_sums_of_four_threads(device, lambda: add)
