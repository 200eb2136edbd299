"""Failures that teach, end to end: what a learner reads when a kernel, a Python file or nothing at all is wrong."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from metal.source import ROOT, SOLUTION
from milestones.course import exercises
from milestones.course.spec_process import SpecProcess

pytestmark = pytest.mark.slow
SPECS = ["m2/test_rms_norm.py", "m2/test_attention.py", "m3/test_softmax.py", "m4/test_cache.py", "m6/test_embed_rows.py"]
QUICK = ["--widths=64", "--checks=off"]


@pytest.fixture(scope="module")
def process():
    with SpecProcess([f"milestones/{spec}" for spec in SPECS]) as made:
        yield made


@pytest.fixture
def learner(process, tmp_path):
    """Put a changed file into a workbook and run a spec on it: the reports of what failed, and all that was printed."""

    def run(milestone: str, file: str, change, *arguments: str, options=QUICK) -> tuple[list[str], str]:
        home = tmp_path / milestone
        home.mkdir(exist_ok=True)
        (home / file).write_text(change((SOLUTION / milestone / file).read_text()))
        found = process.run([*arguments, *options], workbook=tmp_path)
        return [one["report"] for one in found["tests"].values() if one["state"] == "failed"], found["output"]

    return run


def no_traceback(text: str) -> None:
    """Nothing of ours between the learner and what is wrong."""
    for word in ("Traceback", "conftest.py:", "reference/compare.py:", "metal/portable", "site-packages", "array(["):
        assert word not in text, f"{word!r} is in:\n{text}"


def test_a_wrong_number_is_told_with_sentence_case_bound_diagnosis_and_command(learner):
    wrong = lambda text: text.replace("simd_sum(sum) * scale", "simd_sum(sum)")  # noqa: E731
    (report, *_), output = learner("m2", "attention.metal", wrong, "milestones/m2/test_attention.py", "-k", "for_any_shape")
    paragraphs = report.split("\n\n")
    assert paragraphs[0].startswith("THE SPEC SAYS: equals the reference for any shape")
    for words in ("case: seed = ", "tokens = ", "worst at [", "expected", "allowed", "why this bound: ", "1/√d"):
        assert words in report
    assert paragraphs[-1].startswith("again: pytest 'milestones/m2/test_attention.py::test_equals")
    no_traceback(output)


def test_the_case_is_the_smallest_that_was_found(learner):
    """Wrong from 40 columns on: Hypothesis shrinks to a single row of exactly that size, or nearly."""
    wrong = lambda text: text.replace("in[i] * scale *", "(i >= 40 ? 0.0f : in[i]) * scale *")  # noqa: E731
    (report,), _ = learner("m2", "rms_norm.metal", wrong, "milestones/m2/test_rms_norm.py::" + NORM, "--hypothesis-seed=1")
    assert "count = 1, n = 41" in report, report


NORM = "test_equals_the_reference_for_any_shape_scale_and_width"


def test_a_stub_is_told_that_nothing_was_written(learner):
    stub = (exercises.folder("m2") / "rms_norm.metal").read_text()
    reports, output = learner("m2", "rms_norm.metal", lambda text: stub, "milestones/m2/test_rms_norm.py")
    told = [report for report in reports if "nothing was written: every element is still as it was" in report]
    assert len(told) > 0.8 * len(reports) > 10
    no_traceback(output)


def test_what_the_compiler_refuses_is_shown_at_the_learners_line(learner):
    wrong = lambda text: text.replace("float squares = 0.0f;", "flaot squares = 0.0f;")  # noqa: E731
    line = 1 + (SOLUTION / "m2" / "rms_norm.metal").read_text()[
        : (SOLUTION / "m2" / "rms_norm.metal").read_text().index("float squares")
    ].count("\n")
    (report, *_), output = learner("m2", "rms_norm.metal", wrong, "milestones/m2/test_rms_norm.py", "-x")
    assert f"workbook/m2/rms_norm.metal:{line}:5: error: " in report and "flaot squares" in report
    no_traceback(output)


def test_what_checked_mode_finds_is_shown_at_the_learners_line(learner):
    wrong = lambda text: text.replace("if (row >= args.rows) return;", "")  # noqa: E731
    (report, *_), output = learner(
        "m2", "rms_norm.metal", wrong, "milestones/m2/test_rms_norm.py", "-x", options=["--widths=64"]
    )
    assert "bounds: " in report and "workbook/m2/rms_norm.metal:" in report and "thread" in report
    no_traceback(output)


def test_a_learners_kernel_of_m6_is_checked_too(learner):
    """Ours are in a run of CI's own. Without checks this one passes: what it reads too much, it does not use."""
    tail = "    if (token >= args.tokens) return;  // the rounded-up tail\n"
    wrong = lambda text: text.replace(tail, "").replace("ids[token];\n", f"ids[token];\n{tail}")  # noqa: E731
    worked = ("milestones/m6/test_embed_rows.py", "-k", "worked_by_hand and width64")
    (report,), _ = learner("m6", "embed_rows.metal", wrong, *worked, options=())
    assert "bounds: " in report and "const uint id = ids[token];" in report, report
    assert not learner("m6", "embed_rows.metal", wrong, *worked)[0]


def test_a_kernel_that_does_not_end_is_a_finding_about_its_loop(learner):
    wrong = lambda text: text.replace("i += 32) out[i]", "i += 0) out[i]")  # noqa: E731
    (report, *_), output = learner(
        "m2", "rms_norm.metal", wrong, "milestones/m2/test_rms_norm.py", "-x", options=["--widths=64"]
    )
    assert "time: " in report and "workbook/m2/rms_norm.metal:" in report, report
    no_traceback(output)


def test_a_missing_barrier_is_a_race(learner):
    wrong = lambda text: text.replace("threadgroup_barrier(mem_flags::mem_threadgroup);", "", 1)  # noqa: E731
    (report, *_), _ = learner("m3", "softmax.metal", wrong, "milestones/m3/test_softmax.py", "-x", options=["--widths=64"])
    assert "races: " in report


def test_a_python_exercise_fails_at_the_learners_line(learner):
    stub = (exercises.folder("m4") / "cache.py").read_text()
    (report, *_), output = learner("m4", "cache.py", lambda text: stub, "milestones/m4/test_cache.py", "-x")
    assert "NotImplementedError: your task: " in report and "/m4/cache.py:" in report
    no_traceback(output)


def test_a_python_file_that_cannot_be_read_is_named(learner):
    (report, *_), output = learner("m4", "cache.py", lambda text: "def f(:\n", "milestones/m4/test_cache.py")
    assert report.startswith("your file cannot be imported") and "SyntaxError" in report and "/m4/cache.py" in report
    no_traceback(output.replace("Traceback", "", output.count("Traceback") if "Traceback" not in report else 0))


def test_the_shipped_file_passes_as_a_learners(learner):
    assert learner("m4", "cache.py", lambda text: text, "milestones/m4/test_cache.py")[0] == []
    assert learner("m2", "rms_norm.metal", lambda text: text, "milestones/m2/test_rms_norm.py")[0] == []


def pytest_(tmp_path: Path, *arguments: str) -> str:
    """pytest as a learner types it, with a workbook of m2 whose add is a stub."""
    (tmp_path / "m2").mkdir(exist_ok=True)
    (tmp_path / "m2" / "add.metal").write_text((exercises.folder("m2") / "add.metal").read_text())
    command = [sys.executable, "-m", "pytest", "-n0", "--color=no", "milestones/m2/test_add.py", *arguments]
    env = {"FIRSTLIGHT_WORKBOOK": str(tmp_path), "PATH": "", "HOME": str(Path.home())}
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300).stdout


def test_the_header_says_whose_files_are_tested_on_what(tmp_path):
    out = pytest_(tmp_path, "--collect-only")
    assert f"testing: YOUR files of m2 in {tmp_path}" in out
    assert "no file of yours is there, so ours is tested: m2/" in out and "m2/matmul.metal" in out and "m2/add.metal" not in out
    for words in ("device: portable Metal device", "runtime: pyopencl", "Python 3.", "seed: another at every run", "profile: "):
        assert words in out
    out = pytest_(tmp_path, "--collect-only", "--solution", "--hypothesis-seed=5")
    assert "testing: the shipped solution (--solution)" in out and "seed: 5" in out


def test_three_states_in_the_summary_in_json_and_in_junit(tmp_path):
    """A skip is never a pass, and each says why."""
    out = pytest_(tmp_path, f"--results={tmp_path}/r.json", f"--junitxml={tmp_path}/j.xml", "-k", "misfit or hand")
    found = json.loads((tmp_path / "r.json").read_text())
    assert found["failed"] >= 6 and found["passed"] >= 1 and found["testing"] == ["m2"]
    assert f"three states: {found['passed']} passed, {found['failed']} failed, {found['not run here']} not run here" in out
    suite = ElementTree.parse(tmp_path / "j.xml").getroot().find("testsuite")
    counts = {name: int(suite.get(name)) for name in ("tests", "failures", "skipped")}
    assert counts == {"tests": len(found["tests"]), "failures": found["failed"], "skipped": found["not run here"]}
    assert pytest_(tmp_path, "--solution", "-k", "hand").count(" failed") and "0 failed" in pytest_(
        tmp_path, "--solution", "-k", "hand"
    )


def test_the_command_that_ends_a_report_shows_the_case_again(tmp_path):
    out = pytest_(tmp_path, "-x", "--checks=default")
    again = shlex.split(next(line for line in out.splitlines() if line.startswith("again: ")).removeprefix("again: "))
    assert again[0] == "pytest" and again[-1] == "--checks=default", "what was found with checks may need them"
    command = [sys.executable, "-m", *again, "--color=no"]
    env = {"FIRSTLIGHT_WORKBOOK": str(tmp_path), "PATH": "", "HOME": str(Path.home())}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1 and done.stdout.count("THE SPEC SAYS: ") == 1
