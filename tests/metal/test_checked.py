"""Checked mode beyond single kernels: the device's face, recordings, JSON, what a stopped dispatch leaves behind."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from metal.portable import Device, KernelFault, error

SHIFT = """#include <metal_stdlib>
using namespace metal;
kernel void shift(device const float *x [[buffer(0)]], device float *out [[buffer(1)]], uint i [[thread_position_in_grid]]) {
    out[i] = x[i + 1];
}
"""
ENDLESS = """kernel void wait(device const uint *flag [[buffer(0)]], device uint *out [[buffer(1)]]) {
    uint n = 0;
    while (flag[0] != 0) n++;
    out[0] = n;
}
"""


def test_a_check_that_there_is_not_is_named():
    with pytest.raises(error, match="there is no check 'bonds': off, default, all, or some of bounds, unwritten"):
        Device(checks="bonds")
    assert Device().checks == frozenset() and Device(checks="races,time").checks == {"races", "time"}


def test_a_finding_s_json_keeps_its_keys():
    device = Device(checks="default")
    with pytest.raises(KernelFault) as fault:
        device.kernel(SHIFT).function("shift").dispatch(
            grid=32, threadgroup=32, buffers=[np.ones(32, np.float32), device.buffer(128)]
        )
    (finding,) = fault.value.findings
    assert finding.json() == {
        "check": "bounds",
        "kernel": "shift",
        "file": "program_source",
        "line": 4,
        "column": 14,
        "source": "    out[i] = x[i + 1];",
        "message": "reads 4 bytes outside buffer(0) 'x', at byte 128: it ends at byte 128",
        "buffer": 0,
        "name": "x",
        "offset": 128,
        "thread": {"grid": (31, 0, 0), "threadgroup": (0, 0, 0), "index": 31, "simdgroup": 0, "lane": 31},
        "count": 1,
    }


def test_what_was_not_asked_for_is_not_told_and_does_no_harm():
    device = Device(checks="races")
    out = device.buffer(128)
    device.kernel(SHIFT).function("shift").dispatch(grid=32, threadgroup=32, buffers=[np.ones(32, np.float32), out])
    assert np.frombuffer(out, np.float32)[:31].tolist() == [1.0] * 31


def test_a_recording_is_looked_through_when_it_is_replayed():
    device = Device(checks="default")
    x, out = device.buffer(np.arange(33, dtype=np.float32)), device.buffer(128)
    shift, again = device.kernel(SHIFT).function("shift"), device.recording()
    again.dispatch(shift, grid=32, threadgroup=32, buffers=[x, out])
    again.replay()
    assert np.frombuffer(out, np.float32).tolist() == list(range(1, 33))
    wrong = device.recording()
    wrong.dispatch(shift, grid=64, threadgroup=32, buffers=[x, out])
    with pytest.raises(KernelFault, match="outside buffer"):
        wrong.replay()


def test_a_kernel_that_does_not_end_is_stopped_and_the_device_goes_on():
    device = Device(checks="default")
    wait = device.kernel(ENDLESS).function("wait")
    wait.time_limit = 0.2
    with pytest.raises(KernelFault, match=r"program_source:3:12: time: does not end: stopped after 0.2 s"):
        wait(32, np.uint32([1]), device.buffer(4))
    x, out = np.arange(65, dtype=np.float32), device.buffer(256)
    device.kernel(SHIFT).function("shift").dispatch(grid=64, threadgroup=32, buffers=[x, out])
    assert np.frombuffer(out, np.float32).tolist() == list(range(1, 65))


LOOPS = {
    "a counter that wraps": "for (uchar k = 0; k < 256; k++) out[i] += 1;",
    "a counter set back by reference": "for (uint k = 0; k < 4; k++) { out[i] = 1; reset(k); }",
    "a limit that is far away": "uint s = i; for (uint a = 0; a < 4000000000u; a++) for (uint b = 0; b < 4000000000u; b++) s = s * s + b; out[i] = s;",
}


@pytest.mark.parametrize("body", LOOPS.values(), ids=LOOPS.keys())
def test_a_loop_that_only_looks_counted_is_stopped_too(body):
    head = "void reset(thread uint &k) { k = 0; }\nkernel void f(device float *out [[buffer(0)]], uint i [[thread_position_in_grid]])"
    function = Device(checks="time").kernel(f"{head} {{ {body} }}").function("f")
    function.time_limit = 0.2
    with pytest.raises(KernelFault, match="does not end"):
        function(32, np.zeros(1024, np.float32))


def test_loops_are_stopped_wherever_their_condition_stands():
    body = """uint k = 3;
        while (uint z = k) k = z - 1;
        for (; uint z = k; ) k = z - 1;
        for (char c = ';'; c < '(' + 30; c++) k += 1;
        out[i] = k;"""
    source = f"kernel void f(device float *out [[buffer(0)]], uint i [[thread_position_in_grid]]) {{ {body} }}"
    device = Device(checks="all")
    out = device.buffer(4096)
    device.kernel(source).function("f")(32, out)
    assert np.frombuffer(out, np.float32)[:32].tolist() == [11.0] * 32


INTERRUPTED = """
import os, signal, threading
import numpy as np
from metal.portable import Device
device = Device(checks="default")
kernel = device.kernel("kernel void w(device float *y [[buffer(0)]]) { while (y[0] == 0) {} }")
wait = kernel.function("w")
wait(32, device.buffer(np.ones(1, np.float32)))  # compiled
threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
try:
    wait(32, device.buffer(np.zeros(1, np.float32)))
except KeyboardInterrupt:
    print("interrupted")
wait(32, device.buffer(np.ones(1, np.float32)))
child = os.fork()
if not child:
    wait(32, device.buffer(np.ones(1, np.float32)))
    os._exit(7)
print("child", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_ctrl_c_ends_a_dispatch_and_leaves_the_device_fit_for_the_next_and_for_a_fork():
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.split("\n")) == (0, ["interrupted", "child 7", ""]), done.stderr
