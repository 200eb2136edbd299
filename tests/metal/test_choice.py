"""FIRSTLIGHT_OPENCL: any OpenCL device that has what kernels need may serve; a refusal says what is missing and what mends it."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from metal.portable import choice

PROBE = """
import metal
try:
    device = metal.Device(); out = device.buffer(4)
    run = device.kernel("kernel void f(device uint *x [[buffer(0)]]) { x[0] = 7; }").function("f")(1, out); del run
    print(metal.get_devices()[0].deviceName, bytes(out)[0])
except metal.error as problem:
    print("refused:", problem)
"""
REPORT = "from metal.portable.choice import report; print(*report(), sep=chr(10))"


def python(*args, **env):
    done = subprocess.run([sys.executable, *args], env={**os.environ, **env}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["intel", "INTEL", "Intel(R) OpenCL", ""])
def test_a_device_is_chosen_by_a_part_of_its_name_in_any_case(device, name):
    assert python("-c", PROBE, FIRSTLIGHT_OPENCL=name).strip().endswith(" 7")


def test_a_name_that_no_device_has_is_refused_with_the_list_of_those_there_are_and_the_command_that_mends_it(device):
    said = python("-c", PROBE, FIRSTLIGHT_OPENCL="nosuch")
    assert said.startswith("refused: no OpenCL device whose name contains 'nosuch' can serve (Intel(R) OpenCL / ")
    assert (
        "its name does not contain 'nosuch'" in said
        and "pip install intel-opencl-rt" in said
        and "unset FIRSTLIGHT_OPENCL" in said
    )


def test_specs_end_as_not_run_here_where_no_device_serves(device):
    here = "tests/metal/test_dispatch.py::test_function_constants_are_refused_until_they_are_there"
    said = python("-m", "pytest", "-q", "-p", "no:cacheprovider", here, FIRSTLIGHT_OPENCL="nosuch")
    assert "0 passed, 0 failed, 1 not run here" in said and "pip install intel-opencl-rt" in said


def test_a_driver_of_the_system_that_cannot_be_loaded_does_not_stand_in_the_way(device, tmp_path):
    (tmp_path / "broken.icd").write_text("/nowhere/libnothing.so\n")
    (tmp_path / "empty.icd").write_text("")
    assert python("-c", PROBE, FIRSTLIGHT_OPENCL="intel", OCL_ICD_VENDORS=str(tmp_path)).strip().endswith(" 7")
    assert python("-c", PROBE, OCL_ICD_VENDORS=str(tmp_path)).strip().endswith(" 7"), "not set: the system's are not even tried"


def test_where_nothing_can_be_kept_on_disk_programs_run_all_the_same(device, tmp_path):
    nowhere = tmp_path / "file"
    nowhere.write_text("")
    assert python("-c", PROBE, XDG_CACHE_HOME=str(nowhere), FIRSTLIGHT_CACHE="").strip().endswith(" 7")


def test_the_report_says_who_serves_and_why_others_do_not(device):
    (line,) = [line for line in python("-c", REPORT).splitlines() if line.startswith("Intel(R) OpenCL / ")]
    assert line.endswith(": serves")
    refused = python("-c", REPORT, FIRSTLIGHT_OPENCL="nosuch")
    assert "refused: its name does not contain 'nosuch'" in refused


# --- what is needed, one thing missing at a time ----------------------------------------------------------------------
def stand_in(**different):
    extensions = "cl_intel_required_subgroup_size cl_khr_fp16 cl_khr_subgroup_non_uniform_arithmetic cl_khr_subgroup_shuffle"
    usual = {"extensions": extensions, "svm_capabilities": 15, "max_work_group_size": 1024, "local_mem_size": 32768}
    return SimpleNamespace(**{"name": "Stand-in ", **usual, **different})


@pytest.mark.parametrize(
    ("different", "reasons"),
    [
        ({}, []),
        ({"extensions": "cl_khr_fp16_"}, ["SIMD width", "half precision", "active lanes", "shuffles"]),
        ({"svm_capabilities": 3}, ["its memory is not the host's"]),
        ({"max_work_group_size": 256}, ["threadgroups of 256 threads at most, 1024 needed"]),
        ({"local_mem_size": 16384}, ["16384 bytes of threadgroup memory, 32768 needed"]),
    ],
    ids=["nothing", "extensions", "shared memory", "threads", "threadgroup memory"],
)
def test_a_refusal_names_everything_that_is_missing(device, different, reasons):
    cl = device._runtime.cl
    said = choice.refusals(cl, stand_in(**different))
    assert len(said) == len(reasons) and all(part in whole for part, whole in zip(reasons, said, strict=True))


def test_a_device_of_opencl_1_is_refused_and_the_next_one_serves(device, monkeypatch):
    cl, real = device._runtime.cl, device._runtime.device
    old = stand_in()
    del old.svm_capabilities
    platforms = [
        SimpleNamespace(name="Old", get_devices=lambda: [old]),
        SimpleNamespace(name="New", get_devices=lambda: [real]),
    ]
    both = SimpleNamespace(**{**vars(cl), "get_platforms": lambda: platforms})
    monkeypatch.delenv(choice.VARIABLE, raising=False)
    assert choice.choose(both) is real
    monkeypatch.setenv(choice.VARIABLE, "old")
    with pytest.raises(
        choice.error, match=r"Old / Stand-in: its memory is not the host's .* New / .*: its name does not contain 'old'"
    ):
        choice.choose(both)
