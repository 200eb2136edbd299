"""No test passes with a kernel that computes nothing: a stub, all zeros, all NaN, the input copied."""

from __future__ import annotations

import shutil
import tempfile
from functools import partial
from pathlib import Path

import pytest

from milestones.course import exercises
from milestones.course.exercises import Op
from milestones.course.spec_process import SpecProcess
from reference.symptoms import NOTHING
from tests.strength.conftest import within
from tests.strength.fakes import FAKES
from tests.strength.farm import Farm

QUICK = ("-ptests.strength.fakes", "--hypothesis-profile=strength", "--widths=64", "--checks=off")
OPS = [op for m in exercises.milestones() for op in exercises.ops(m)]
KERNELS = [op for op in OPS if op.files[0].endswith(".metal")]
PYTHON = [op for op in OPS if op.files[0].endswith(".py")]
STUB = "stub"


def name_of(op: Op) -> str:
    return f"{op.milestone}/{op.files[0].partition('.')[0]}"


def run(process: SpecProcess, op: Op, kind: str) -> dict:
    """What the op's whole spec says of its stub, or of a fake kernel."""
    if kind != STUB:
        return process.run([f"--fake={kind}:{name_of(op)}", str(op.spec_path)], seconds=300)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / op.milestone
        home.mkdir()
        for file in op.files:
            shutil.copy(exercises.folder(op.milestone) / file, home)
        return process.run([str(op.spec_path)], workbook=Path(folder), seconds=300)


@pytest.fixture(scope="module")
def results(request, in_time):
    wanted = [
        item.callspec.params for item in request.session.items if item.path == request.path and "results" in item.fixturenames
    ]
    jobs = {f"{name_of(p['op'])} {p['kind']}": partial(run, op=p["op"], kind=p["kind"]) for p in wanted}
    with Farm([*QUICK, *sorted({str(p["op"].spec_path) for p in wanted})], jobs, in_time=in_time) as farm:
        yield farm


@pytest.mark.parametrize("kind", [*FAKES, STUB])
@pytest.mark.parametrize("op", KERNELS, ids=name_of)
def test_no_test_passes_with_a_kernel_that_computes_nothing(results, op, kind):
    found = within(results[f"{name_of(op)} {kind}"])
    reached = {name: one for name, one in found["tests"].items() if name_of(op) in one["kernels"]}
    assert reached, f"no test dispatched it: {found['output'][-2000:]}"
    assert not [name for name, one in reached.items() if one["state"] != "failed"], "these pass all the same"
    if kind == STUB:
        told = [name for name, one in reached.items() if NOTHING in one["report"]]
        assert len(told) >= len(reached) / 2, f"only {len(told)} of {len(reached)} failures say that nothing was written"


@pytest.mark.parametrize("kind", [STUB])
@pytest.mark.parametrize("op", PYTHON, ids=name_of)
def test_a_python_stub_fails_and_says_what_the_task_is(results, op, kind):
    found = within(results[f"{name_of(op)} {kind}"])
    reports = [one["report"] for one in found["tests"].values() if one["state"] == "failed"]
    assert reports and all("your task" in report for report in reports), found["output"][-3000:]
