"""Threads and processes: one device, several threads at once, forked children. Source: metalcompute's behaviour on a Mac."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
import time

import numpy as np
import pytest

import metal

ADD = "kernel void add(device float *x [[buffer(0)]], constant float &n [[buffer(1)]], uint i [[thread_position_in_grid]]) { x[i] += n; }"


@pytest.fixture(scope="module")
def add(device):
    return device.kernel(ADD).function("add")


def floats(buffer):
    return np.frombuffer(buffer, np.float32)


def at_once(work, count=4):
    """work(n) in a thread for each n, begun together. What they raised is raised here."""
    failed, gate = [], threading.Barrier(count)

    def go(n):
        try:
            gate.wait()
            work(n)
        except BaseException as problem:
            failed.append(problem)

    threads = [threading.Thread(target=go, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


def sums(device, function, n, times=80):
    """Add n + 1 into a buffer of one's own, again and again: nobody else's number or buffer may get in."""
    for _ in range(times):
        buffer = device.buffer(4096)
        run = function(1024, buffer, np.float32([n + 1]))
        del run
        assert (floats(buffer) == n + 1).all()


def test_threads_with_kernels_of_their_own_share_one_device(device):
    at_once(lambda n: sums(device, device.kernel(ADD).function("add"), n))


def test_one_function_called_from_several_threads_keeps_its_arguments_apart(device, add):
    at_once(lambda n: sums(device, add, n))


def test_several_devices_are_one(device, add):
    """Buffers and functions of one Device object work with another's: there is one GPU."""
    others = [metal.Device(), metal.Device(0), metal.Device(-1)]
    for other in others:
        buffer = other.buffer(4096)
        run = add(1024, buffer, np.float32([3]))
        del run
        assert (floats(buffer) == 3).all()
    at_once(lambda n: sums(metal.Device(), metal.Device().kernel(ADD).function("add"), n, 20))


def test_threads_that_add_to_one_buffer_lose_nothing(device, add):
    """Runs are queued whole, so read-modify-write by different threads' runs cannot interleave."""
    buffer = device.buffer(4096)

    def work(n):
        runs = [add(1024, buffer, np.float32([1])) for _ in range(100)]
        runs.clear()

    at_once(work)
    assert (floats(buffer) == 400).all()


def test_calls_dispatches_and_replays_from_several_threads(device, add):
    def work(n):
        mine = device.buffer(4000)
        made = device.recording()
        made(add, 1000 // 1024, mine, np.float32([7]))  # nothing
        made.dispatch(add, grid=1000, threadgroup=(n + 1) * 13, buffers=[mine, np.float32([n])])
        for _ in range(30):
            runs = [add.dispatch(grid=(1000,), threadgroup=100 + n, buffers=[mine, np.float32([1])]), made.replay()]
            runs.clear()
        assert (floats(mine) == 30 * (n + 1)).all()

    at_once(work)


def test_a_handle_may_be_dropped_by_another_thread(device, add):
    buffer = device.buffer(4 << 20)
    runs = [add(1 << 20, buffer, np.float32([1])) for _ in range(4)]
    at_once(lambda n: runs.pop() and None)
    assert not runs and (floats(buffer) == 4).all()


def test_threads_that_compile_different_programs_at_once(device):
    def work(n):
        for k in range(3):
            source = ADD.replace("+= n", f"= {n * 10 + k} + n")
            buffer = device.buffer(4096)
            run = device.kernel(source).function("add")(1024, buffer, np.float32([0.5]))
            del run
            assert (floats(buffer) == n * 10 + k + 0.5).all()

    at_once(work)


# --- processes --------------------------------------------------------------------------------------------------------
def in_a_child(work) -> int:
    """A forked child that does `work`; its process id."""
    child = os.fork()
    if child == 0:
        ok = 1
        try:
            work()
            ok = 0
        finally:
            os._exit(ok)
    return child


def succeeded(child, seconds=20) -> bool:
    """Whether the child ended well. One that hangs is ended, and has not."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status == 0
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def test_a_forked_child_uses_the_parents_device_and_its_own(device, add):
    """Functions, kernels and buffers made before the fork, and new ones: a child's memory is its own."""
    buffer = device.buffer(4096)

    def work():
        run = add(1024, buffer, np.float32([2]))
        del run
        assert (floats(buffer) == 2).all()
        fresh = metal.Device().kernel(ADD.replace("+= n", "= n * 4")).function("add")
        run = fresh.dispatch(grid=(32, 32), threadgroup=(5, 5), buffers=[buffer, np.float32([2])])
        del run
        assert floats(buffer).max() == 8

    children = [in_a_child(work) for _ in range(2)]
    assert all([succeeded(child) for child in children])
    run = add(1024, buffer, np.float32([1]))
    del run
    assert (floats(buffer) == 1).all()


def test_a_fork_while_other_threads_dispatch(device, add):
    """The child has one thread: it must not wait for a lock that another of the parent's held."""
    stop = threading.Event()

    def busy(n):
        while not stop.is_set():
            sums(device, add, n, 5)

    threads = [threading.Thread(target=busy, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    try:
        children = [in_a_child(lambda: sums(device, add, 5, 3)) for _ in range(4)]
        assert all([succeeded(child) for child in children])
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_a_fork_waits_for_threads_that_are_at_work(device):
    """One of them may hold a lock of the runtime, for which the child would wait without end: seen in 4 of 1,200 forks, on a machine
    with other work, when a fork waited 5 ms. Hashing is work without Python's own lock."""
    begun, ended = threading.Event(), []

    def work():
        data = bytes(20_000_000)
        begun.set()
        hashlib.sha256(data)
        ended.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    begun.wait()
    child = os.fork()
    if child == 0:
        os._exit(0)
    assert ended, "the fork did not wait for the other thread"
    assert succeeded(child)
    thread.join()
