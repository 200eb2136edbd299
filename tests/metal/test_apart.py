"""Large programs are built in a process of their own, whose end costs another try."""

from __future__ import annotations

import pytest

import metal
from metal.portable import apart
from metal.portable.opencl import OPTIONS, runtime

TEXT, WRONG = "kernel void one(global uint *x) { x[0] = 1; }", "kernel void one(global uint *x) { x[0] = nothing; }"


def test_what_is_built_apart_is_a_program_here(device):
    program = runtime().load(apart.build(TEXT, " ".join(OPTIONS)))
    assert [kernel.function_name for kernel in program.all_kernels()] == ["one"]


def test_the_compilers_findings_come_back(device):
    with pytest.raises(apart.RefusedError, match="undeclared identifier 'nothing'"):
        apart.build(WRONG, " ".join(OPTIONS))


def test_a_compiler_that_ends_is_tried_again(device, tmp_path, monkeypatch):
    """As Intel's did in a build of sample_wide with checks, and pytest's process with it."""
    ended = tmp_path / "ended"
    ends = f"import os, pathlib; p = pathlib.Path({str(ended)!r})\nif not p.exists(): p.touch(); os.abort()\n"
    monkeypatch.setattr(apart, "_CHILD", ends + apart._CHILD)
    binary = apart.build(TEXT, " ".join(OPTIONS))
    assert ended.exists() and runtime().load(binary)


def test_one_that_always_ends_is_one_line(monkeypatch):
    monkeypatch.setattr(apart, "_CHILD", "import os, sys; print('free(): corrupted', file=sys.stderr, flush=True); os.abort()")
    with pytest.raises(metal.error, match=r"^the device's compiler ended without a program, 4 times: free\(\): corrupted$"):
        apart.build(TEXT, " ".join(OPTIONS))


@pytest.mark.parametrize(("steps", "checks", "count"), [(0, "default", 0), (1000, "default", 1), (1000, "off", 0)])
def test_only_large_checked_programs_are_built_apart(monkeypatch, steps, checks, count):
    """A process costs half a second, a small program less."""
    built = []
    monkeypatch.setattr(apart, "build", lambda text, options: built.append(text) or runtime().compiled(text, options))
    monkeypatch.setenv("FIRSTLIGHT_CACHE_MB", "0")
    source = "kernel void f(device uint *x [[buffer(0)]], uint i [[thread_position_in_grid]]) {{ uint v = i;{} x[i] = v; }}"
    metal.Device(checks=checks).kernel(source.format(" v ^= 7u;" * steps)).function("f")
    assert len(built) == count
