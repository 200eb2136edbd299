"""Compiled programs on disk: used when they fit, made again when they do not, never in the way."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import psutil
import pytest

import metal
from metal.portable import cache as disk
from metal.portable import opencl

SOURCE = "kernel void f(device float *x [[buffer(0)]], uint i [[thread_position_in_grid]]) {{ if (i == 0) x[0] = {value}; }}"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FIRSTLIGHT_CACHE", str(tmp_path))
    return tmp_path


def value(device, source):
    buffer = device.buffer(4)
    run = device.kernel(source).function("f")(1, buffer)
    del run
    return np.frombuffer(buffer, np.float32)[0]


def entries(cache):
    return sorted(p for p in cache.rglob("*") if p.is_file())


@pytest.fixture
def builds(monkeypatch):
    """Counts how often the device's compiler was asked."""
    count = []
    original = opencl.Runtime.build
    monkeypatch.setattr(opencl.Runtime, "build", lambda self, *lowered: count.append(1) or original(self, *lowered))
    return count


def test_a_program_is_compiled_once_and_loaded_afterwards(device, cache, builds):
    for _ in range(3):
        assert value(device, SOURCE.format(value=5)) == 5
    assert len(builds) == 1 and len(entries(cache)) == 1
    assert value(device, SOURCE.format(value=6)) == 6, "another source is another program"
    assert len(builds) == 2 and len(entries(cache)) == 2


@pytest.mark.slow
def test_compiling_keeps_no_memory(device, cache):
    """What the compiler leaves of a kernel may be megabytes; a spec suite compiles hundreds."""
    held = []
    for n in range(25):
        assert value(device, SOURCE.format(value=1000 + n)) == 1000 + n
        held.append(psutil.Process().memory_info().rss)
    assert held[-1] - held[4] < 10 << 20, f"20 kernels keep {held[-1] - held[4]:,} bytes"


@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b"",
        lambda b: b[:100],
        lambda b: b[:-1],
        lambda b: b[:50] + bytes([b[50] ^ 1]) + b[51:],
        lambda b: os.urandom(len(b)),
    ],
    ids=["empty", "head only", "last byte gone", "one bit", "noise"],
)
def test_a_damaged_entry_is_made_again(device, cache, builds, damage):
    value(device, SOURCE.format(value=7))
    (entry,) = entries(cache)
    entry.write_bytes(damage(entry.read_bytes()))
    assert value(device, SOURCE.format(value=7)) == 7
    assert len(builds) == 2
    assert value(device, SOURCE.format(value=7)) == 7 and len(builds) == 2, "the mended entry is used"


def test_a_cache_that_cannot_be_written_only_costs_time(device, tmp_path, monkeypatch, builds):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("FIRSTLIGHT_CACHE", str(tmp_path / "file"))
    for _ in range(2):
        assert value(device, SOURCE.format(value=8)) == 8
    assert len(builds) == 2


def test_the_key_holds_source_device_and_translator(monkeypatch):
    """An entry of another translator, device or processor must never be taken for this one's."""
    keys = {disk.key("a", "cpu 1"), disk.key("b", "cpu 1"), disk.key("a", "cpu 2")}
    monkeypatch.setattr(disk, "translator_mark", lambda: "another")
    keys.add(disk.key("a", "cpu 1"))
    assert len(keys) == 4


def test_processes_at_once_share_a_cache(cache):
    """Four fresh interpreters compile the same source into one empty cache: all right, one whole entry, nothing left over."""
    code = f"""
import metal, numpy
device = metal.Device(); buffer = device.buffer(4)
run = device.kernel({SOURCE.format(value=9)!r}).function("f")(1, buffer); del run
assert numpy.frombuffer(buffer, numpy.float32)[0] == 9
"""
    env = {**os.environ, "FIRSTLIGHT_CACHE": str(cache)}
    processes = [subprocess.Popen([sys.executable, "-c", code], env=env, stderr=subprocess.PIPE) for _ in range(4)]
    for process in processes:
        assert process.wait(timeout=60) == 0, process.stderr.read().decode()
    assert len(entries(cache)) == 1


def test_the_cache_is_bounded_and_what_was_used_last_stays(cache, monkeypatch):
    """FIRSTLIGHT_CACHE_MB: when it is full, what nobody read for longest goes first."""
    monkeypatch.setenv("FIRSTLIGHT_CACHE_MB", "0.1")
    names = [disk.key(str(n)) for n in range(12)]
    for n, name in enumerate(names[:9]):
        disk.write(name, {}, bytes(10_000))
        os.utime(cache / "programs" / name[:2] / name, (1000 + n, 1000 + n))
    assert len(entries(cache)) == 9
    assert disk.read(names[0]) == ({}, bytes(10_000))  # read: now the newest
    for name in names[9:]:
        disk.write(name, {}, bytes(10_000))
        assert sum(p.stat().st_size for p in entries(cache)) <= 100_000
    kept = [n for n, name in enumerate(names) if disk.read(name)]
    assert kept[0] == 0 and kept[-3:] == [9, 10, 11] and 1 not in kept and 7 < len(kept) < 10


def test_a_folder_that_other_processes_filled_is_bounded_too(cache, monkeypatch):
    old = cache / "programs" / "ab" / "tmpleft-behind"
    old.parent.mkdir(parents=True)
    old.write_bytes(bytes(900_000))
    os.utime(old, (1, 1))
    monkeypatch.setenv("FIRSTLIGHT_CACHE_MB", "0.5")
    disk.write(disk.key("new"), {}, b"binary")
    assert disk.read(disk.key("new")) == ({}, b"binary") and not old.exists()


def test_the_bound_may_be_nothing_and_must_be_a_number(device, cache, monkeypatch, builds):
    monkeypatch.setenv("FIRSTLIGHT_CACHE_MB", "0")
    for _ in range(2):
        assert value(device, SOURCE.format(value=10)) == 10
    assert len(builds) == 2 and not entries(cache)
    for bad in ("much", "-1", "nan", "inf"):
        monkeypatch.setenv("FIRSTLIGHT_CACHE_MB", bad)
        with pytest.raises(metal.error, match=f"FIRSTLIGHT_CACHE_MB must be a number of megabytes, 0 or more, got '{bad}'"):
            value(device, SOURCE.format(value=11))
    monkeypatch.delenv("FIRSTLIGHT_CACHE_MB")
    assert disk.limit() == 256_000_000


def test_dispatches_that_need_the_other_program_are_cached_too(device, cache, builds):
    """Threadgroups whose rows are no whole SIMD-groups have a program of their own, made when first needed."""
    for _ in range(2):
        function = device.kernel(SOURCE.format(value=12)).function("f")
        for group in (32, (3, 5), (5, 3)):
            buffer = device.buffer(4)
            run = function.dispatch(grid=(15, 15), threadgroup=group, buffers=[buffer])
            del run
            assert np.frombuffer(buffer, np.float32)[0] == 12
    assert len(builds) == 2 and len(entries(cache)) == 2


def test_no_environment_variable_is_left_behind(device):
    """The loader is pointed at the runtime for a moment only."""
    assert "OCL_ICD_VENDORS" not in os.environ or not os.environ["OCL_ICD_VENDORS"].startswith("/tmp/firstlight")
