"""`firstlight check`: what editors and CI see of a Metal file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.command import firstlight, refused

GOOD = "#include <metal_stdlib>\nusing namespace metal;\nkernel void f(device float *x [[buffer(0)]]) { x[0] = exp(x[1]); }\n"
KERNELS = sorted((Path(__file__).parent.parent / "milestones").glob("m*/*.metal"))


def test_the_projects_own_kernels_have_no_finding():
    done = firstlight("check", *map(str, KERNELS))
    assert (done.returncode, done.stdout) == (0, b"") and f"{len(KERNELS)} files, ".encode() in done.stderr
    assert b" 0 findings" in done.stderr and b" 0 kernels" not in done.stderr


def test_each_finding_is_a_line_with_its_place(tmp_path):
    good, bad = tmp_path / "good.metal", tmp_path / "bad.metal"
    good.write_text(GOOD)
    bad.write_text("kernel void f(device float *x [[buffer(0)]]) {\n    x[0] = one;\n    x[1] = two;\n}\n")
    done = firstlight("check", str(good), str(bad))
    assert done.returncode == 1
    assert done.stdout.decode().splitlines() == [
        f"{bad}:2:12: use of undeclared identifier 'one'",
        f"{bad}:3:12: use of undeclared identifier 'two'",
    ]
    lines = [json.loads(line) for line in firstlight("check", "--json", str(bad)).stdout.splitlines()]
    assert lines[1] == {"file": str(bad), "line": 3, "column": 12, "message": "use of undeclared identifier 'two'"}


def test_includes_are_found_beside_the_file_and_in_the_folders_given(tmp_path):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "far.h").write_text('#pragma once\n#include "near.h"\ninline float far() { return near() + 1; }\n')
    (tmp_path / "lib" / "near.h").write_text("inline float near() { return 1; }\n")
    main = tmp_path / "main.metal"
    main.write_text('#include "far.h"\nkernel void f(device float *x [[buffer(0)]]) { x[0] = far(); }\n')
    assert b"'far.h' file not found" in firstlight("check", str(main)).stdout
    assert firstlight("check", "-I", str(tmp_path / "lib"), str(main)).returncode == 0
    (tmp_path / "lib" / "near.h").write_text("inline float near() {\n  return nope;\n}\n")
    done = firstlight("check", "-I", str(tmp_path / "lib"), str(main))
    assert done.stdout.decode() == f"{tmp_path}/lib/near.h:2:10: use of undeclared identifier 'nope'\n"


def test_the_version_decides_what_there_is(tmp_path):
    path = tmp_path / "b.metal"
    path.write_text("kernel void f(device bfloat *x [[buffer(0)]]) { x[0] = x[1]; }\n")
    assert b"came with Metal 3.1" in firstlight("check", str(path)).stdout
    assert firstlight("check", "--std", "3.1", str(path)).returncode == 0


def test_threadgroup_memory_over_the_limit_is_found(tmp_path):
    path = tmp_path / "big.metal"
    path.write_text("kernel void f(device float *x [[buffer(0)]]) {\n threadgroup float t[9000];\n t[0] = 1; x[0] = t[0];\n}\n")
    done = firstlight("check", str(path))
    assert done.stdout.decode() == f"{path}:1:13: kernel 'f' uses 36,000 bytes of threadgroup memory, the limit is 32,768\n"


def test_more_threads_than_a_threadgroup_has_are_found(tmp_path):
    path = tmp_path / "wide.metal"
    path.write_text("[[max_total_threads_per_threadgroup(2048)]] kernel void f(device float *x [[buffer(0)]]) {}\n")
    done = firstlight("check", str(path))
    assert done.stdout.decode() == f"{path}:1:57: kernel 'f' has max_total_threads_per_threadgroup(2048), the limit is 1,024\n"


def test_an_include_that_cannot_be_read_is_a_finding_at_its_line(tmp_path):
    (tmp_path / "bytes.h").write_bytes(b"\xff\xfe")
    (tmp_path / "main.metal").write_text('// ü\n#include "bytes.h"\n')
    done = firstlight("check", str(tmp_path / "main.metal"))
    assert done.stdout.decode() == f"{tmp_path}/main.metal:2:10: 'bytes.h' cannot be read: it is not UTF-8 text\n"
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("content", "words"), [(None, "cannot be read"), (b"\xff\xfe", "is not UTF-8"), ("folder", "cannot be read")]
)
def test_what_cannot_be_read_is_one_line(tmp_path, content, words):
    path = tmp_path / "x.metal"
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    refused(firstlight("check", str(path)), "x.metal", words)


def test_a_workbooks_headers_are_those_of_its_milestone(tmp_path):
    """A workbook has copies of the exercises' files alone; what they include is shipped."""
    (tmp_path / "m6").mkdir()
    text = (KERNELS[0].parent.parent / "m6" / "embed_rows.metal").read_text(encoding="utf-8")
    assert '#include "../m5/packed.h"' in text
    (tmp_path / "m6" / "embed_rows.metal").write_text(text, encoding="utf-8")
    assert firstlight("check", "m6/embed_rows.metal", cwd=tmp_path).returncode == 0
    assert firstlight("check", "embed_rows.metal", cwd=tmp_path / "m6").returncode == 0
