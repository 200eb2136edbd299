"""metalcompute's behaviour, point by point. Source: metalcompute 0.2.9's README and its observable behaviour."""

from __future__ import annotations

import array
import gc

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


def test_a_buffers_memory_may_be_cast_and_written_by_the_host(device):
    """The ways in which metalcompute's own examples use a buffer: memoryview(…).cast and NumPy, both writable."""
    buffer = device.buffer(8)
    numbers = memoryview(buffer).cast("f")
    numbers[1] = 1.5
    floats(buffer)[0] = -2
    assert numbers.tolist() == [-2, 1.5] and memoryview(buffer).cast("B").nbytes == 8
    one = device.buffer(1)
    memoryview(one).cast("b")[0] = -1
    assert bytes(one) == b"\xff"


@pytest.mark.parametrize(
    "data",
    [
        np.float32(2.5),
        np.array(7, np.uint16),
        np.zeros(3, [("a", "u1"), ("b", "<f4")]),
        np.array([1, 2], ">u4"),
        np.array([1 + 2j]),
    ],
    ids=["NumPy scalar", "no dimension", "structs", "big-endian", "complex"],
)
def test_data_of_any_shape_and_item_is_its_bytes(device, data):
    source = "kernel void f(device const uchar *x [[buffer(0)]], device uchar *y [[buffer(1)]], uint i [[thread_position_in_grid]]) { if (i < %d) y[i] = x[i]; }"
    assert bytes(device.buffer(data)) == data.tobytes()
    out = device.buffer(data.nbytes)
    run = device.kernel(source % data.nbytes).function("f")(1, data, out)
    del run
    assert bytes(out) == data.tobytes()


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


def test_what_a_kernel_writes_into_bytes_like_data_stays_with_the_device(device, add):
    """Bytes-like arguments are copies: outputs must be buffers of the device, as with metalcompute."""
    x = np.float32([5, 6])
    run = add(1, x, np.float32([1]))
    del run
    assert x.tolist() == [5, 6]


def test_vectors_in_bytes_like_arguments_stand_where_their_type_wants(device):
    """A copy may lie anywhere to Python; to the device it must be aligned, or a vector load faults."""
    source = "kernel void f(constant long4 *x [[buffer(0)]], device long *y [[buffer(1)]], uint i [[thread_position_in_grid]]) { if (i < 3) y[i] = x[i].w; }"
    function, out = device.kernel("#include <metal_stdlib>\nusing namespace metal;\n" + source).function("f"), device.buffer(24)
    for start in range(0, 64, 8):
        data = bytes(start) + np.arange(12, dtype=np.int64).tobytes()
        run = function(1, memoryview(data)[start:], out)
        del run
        assert np.frombuffer(out, np.int64).tolist() == [3, 7, 11]


def test_a_thousand_handles_may_be_held_and_dropped_in_any_order(device, add):
    buffer = device.buffer(4096)
    runs = [add(1024, buffer, np.float32([1])) for _ in range(1000)]
    for n in np.random.default_rng(0).permutation(1000):
        runs[n] = None
    assert (floats(buffer) == 1000).all()


# --- refusals ---------------------------------------------------------------------------------------------------------
def test_wrong_calls_are_refused_in_words(device, add):
    buffer = device.buffer(4096)
    with pytest.raises(metal.error, match="count"):
        add("many", buffer, b"1234")
    with pytest.raises(metal.error, match="negative"):
        add(-1, buffer, b"1234")
    with pytest.raises(metal.error, match="must be below 4,294,967,296"):
        add(1 << 32, buffer, b"1234")
    with pytest.raises(metal.error, match=r"reads buffer\(1\) \('n'\), but only 1 were given"):
        add(1, buffer)
    with pytest.raises(metal.error, match="Buffer not found"):
        add(1)
    for bad in (None, "text", [1.0], object()):
        with pytest.raises(metal.error, match="Unsupported input format"):
            add(1, buffer, bad)
    for empty in (b"", np.zeros(0, np.float32)):
        with pytest.raises(metal.error, match="Could not make buffer of 0 bytes"):
            add(1, buffer, empty)
    with pytest.raises(metal.error, match="contiguous"):
        add(1, buffer, np.zeros(8, np.float32)[::2])
    with pytest.raises(metal.error, match=r"program_source:1:\d+: error: use of undeclared identifier 'm'"):
        device.kernel(ADD.replace("+= n", "+= m"))
    with pytest.raises(metal.error, match="surrogate"):
        device.kernel("// \ud800\n" + ADD)
    with pytest.raises(TypeError, match="must be str"):
        device.kernel(ADD.encode())
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


def test_too_many_threads_fail_at_the_call_not_before(device):
    source = "[[max_total_threads_per_threadgroup(2048)]] kernel void f(device float *x [[buffer(0)]]) { x[0] = 1; }"
    function = device.kernel(source).function("f")
    with pytest.raises(metal.error, match=r"'f' has max_total_threads_per_threadgroup\(2048\), the limit is 1024"):
        function(1, device.buffer(4))


def test_the_list_of_devices_has_metalcomputes_fields():
    (only,) = metal.get_devices()
    assert only._fields == ("deviceName", "recommendedWorkingSetSize", "maxTransferRate", "hasUnifiedMemory")
    assert "portable" in only.deviceName, "emulation is labelled so"
    assert str(metal.Device(0)).startswith("metal.portable.Device(") and "portable" in str(metal.Device().kernel(ADD))
