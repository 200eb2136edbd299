"""The seam: whose kernel it is, and as one text that keeps the file's own lines."""

from __future__ import annotations

import pytest

import metal
from metal import source
from metal.portable.translate import lower

KERNEL = "kernel void {name}(device float *x [[buffer(0)]]) {{ x[0] = {value}; }}\n"


@pytest.fixture
def workbook(tmp_path, monkeypatch):
    """A learner's folder, used instead of the shipped kernels."""
    monkeypatch.setenv("FIRSTLIGHT_WORKBOOK", str(tmp_path))
    monkeypatch.setattr(source, "_learners", lambda milestone, file: True)

    def write(name: str, text: str):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")

    return write


def test_the_workbooks_kernel_stands_before_the_shipped_one(workbook):
    assert "rsqrt" in source.read("m2", "rms_norm")
    workbook("m2/rms_norm.metal", "// mine\n")
    assert source.read("m2", "rms_norm").splitlines() == ['#line 1 "workbook/m2/rms_norm.metal"', "// mine"]
    assert source.find("m2", "add.metal").parent.parent == source.SOLUTION


def test_a_kernel_that_is_nowhere_is_named_with_both_places(workbook):
    with pytest.raises(
        FileNotFoundError, match=r"no kernel file m2/nothing.metal: looked for .*m2/nothing.metal and .*m2/nothing.metal"
    ):
        source.read("m2", "nothing")


def test_the_workbook_is_used_only_when_asked_for(workbook):
    """A learner's half-written kernel must not stop the engine, nor the specs of other milestones."""
    workbook("m2/rms_norm.metal", "// mine\n")
    workbook("m2/add.metal", "// mine too\n")
    source.use(lambda milestone, file: file == "add.metal")
    assert "mine too" in source.read("m2", "add") and "rsqrt" in source.read("m2", "rms_norm")
    source.use(None)
    assert "mine" not in source.read("m2", "add")


def test_a_header_is_the_workbooks_or_else_the_shipped_one(workbook):
    workbook("m1/get_rows.metal", '#include "blocks.h"\n')
    assert "Q4_1" in source.read("m1", "get_rows")
    workbook("m1/blocks.h", "// my blocks\n")
    assert "// my blocks" in source.read("m1", "get_rows")
    assert "// my blocks" not in source.read("m1", "dequantize"), "the shipped kernel takes the shipped header"


@pytest.mark.parametrize("name", ["../../milestones/m2/rms_norm.metal", "/etc/passwd", "../notes.h"])
def test_an_include_stays_in_the_milestones(workbook, name):
    """Else a workbook's kernel could be the shipped one."""
    workbook("m2/rms_norm.metal", f'#include "{name}"\n')
    with pytest.raises(metal.error, match=r"workbook/m2/rms_norm.metal:1: #include .* leads out of the milestones' folders"):
        source.read("m2", "rms_norm")


def test_a_file_that_is_no_text_is_named(workbook, tmp_path):
    workbook("m2/add.metal", "")
    (tmp_path / "m2" / "add.metal").write_bytes(b"// a\xff")
    with pytest.raises(metal.error, match=r"add.metal is not UTF-8 text: byte 4 is none"):
        source.read("m2", "add")


def test_an_error_in_an_included_file_is_reported_at_that_files_line(workbook, device):
    workbook("m8/helpers.metal", "// a\n// b\nfloat helper(float x) { return x + nope; }\n")
    workbook("m8/op.metal", '#include <metal_stdlib>\n#include "helpers.metal"\n' + KERNEL.format(name="op", value="helper(1)"))
    with pytest.raises(
        metal.error, match=r"^workbook/m8/helpers.metal:3:36: error: use of undeclared identifier 'nope'\nfloat helper"
    ):
        device.kernel(source.read("m8", "op"))


def test_an_error_after_an_include_is_reported_at_its_own_line(workbook, device):
    workbook("m8/helpers.metal", "constant float TWO = 2;\n")
    workbook("m8/op.metal", '#include "helpers.metal"\n\n' + KERNEL.format(name="op", value="nope"))
    with pytest.raises(metal.error, match=r"^workbook/m8/op.metal:3:\d+: error: "):
        device.kernel(source.read("m8", "op", width=64))


def test_includes_reach_other_milestones_and_circles_are_refused(workbook):
    workbook("m8/a.metal", '#include "../m9/b.metal"\n')
    workbook("m9/b.metal", "constant int B = 1;\n")
    assert source.read("m8", "a").splitlines()[1:3] == ['#line 1 "workbook/m9/b.metal"', "constant int B = 1;"]
    workbook("m9/b.metal", '#include "../m8/a.metal"\n')
    with pytest.raises(ValueError, match=r"goes round in a circle: a\.metal → b\.metal → a\.metal"):
        source.read("m8", "a")


@pytest.mark.parametrize("width", [32, 448, 832, 1024])
def test_the_width_asked_for_is_the_width_that_runs(width):
    """A width that is silently ignored would make every spec run at 1024 only: it happened."""
    assert lower(source.read("m2", "rms_norm", width)).kernels["rms_norm"].width == width
    assert lower(source.read("m2", "rms_norm")).kernels["rms_norm"].width == 1024


def test_the_width_is_put_before_every_kernel_and_no_comment(workbook, device):
    text = "// kernel void no(\n" + KERNEL.format(name="a", value=1) + "  " + KERNEL.format(name="b", value=2)
    text += "template <typename T> kernel void c(device T *x [[buffer(0)]]) { x[0] = 3; }\n"
    text += "template <typename T>\nkernel void d(device T *x [[buffer(0)]]) { x[0] = 4; }\n"
    text += 'template [[host_name("c32")]] kernel void c<float>(device float *);\n'
    text += 'template [[host_name("d32")]] kernel void d<float>(device float *);\n'
    workbook("m8/op.metal", text)
    kernels = lower(source.read("m8", "op", 96)).kernels
    assert {name: info.width for name, info in kernels.items()} == dict.fromkeys(("a", "b", "c32", "d32"), 96)
    device.kernel(source.read("m8", "op", 96)).function("c32")


@pytest.mark.parametrize("width", [0, 31, 33, 1056, -32])
def test_a_width_that_cannot_be_is_named(width):
    with pytest.raises(ValueError, match=f"multiple of 32 from 32 to 1024, got {width}"):
        source.read("m2", "rms_norm", width)
