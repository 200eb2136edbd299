"""`firstlight grade`: a workbook's state by the shipped specs, from which no file of the workbook can talk its way out."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from metal.source import SOLUTION
from milestones.course import exercises, sealed_run, submission
from milestones.course.grade import STATES, Grade, grade, record, told, verdict
from milestones.course.python_rules import problems
from milestones.course.sealed_run import Ending, Limits
from milestones.course.submission import NotTestedError, take
from milestones.errors import UserError
from tests.command import firstlight, refused

ADD = exercises.op("m2", "add")
CACHE = exercises.op("m4", "cache")
PYTHON = [(op, name) for m in exercises.milestones() for op in exercises.ops(m) for name in op.files if name.endswith(".py")]
SHIPPED = (SOLUTION / "m4" / "cache.py").read_text()


@pytest.fixture
def workbook(tmp_path) -> Path:
    """A workbook with m2's stubs, as `firstlight start m2` leaves it."""
    (tmp_path / "m2").mkdir()
    for name in {name for op in exercises.ops("m2") for name in op.files}:
        shutil.copy(exercises.folder("m2") / name, tmp_path / "m2")
    return tmp_path


def state(workbook: Path, op: exercises.Op = ADD) -> tuple[str, str]:
    with pytest.raises(NotTestedError) as caught:
        take(workbook, op)
    return caught.value.state, str(caught.value)


def test_what_is_not_written_is_a_stub_or_missing(workbook):
    assert state(workbook) == ("stub", "")
    (workbook / "m2" / "add.metal").unlink()
    assert state(workbook) == ("missing", "there is no m2/add.metal")


def test_only_the_files_of_the_op_are_taken(workbook):
    """Not the learner's tests, not a conftest.py, nothing of another op."""
    for name in ("add.metal", "rope.metal", "conftest.py", "test_add.py", "add.py"):
        (workbook / "m2" / name).write_text("mine")
    assert take(workbook, ADD) == {"add.metal": b"mine"}


def test_links_large_files_and_what_is_no_file_are_refused(workbook):
    file = workbook / "m2" / "add.metal"
    file.write_bytes(b"x" * (submission.LARGEST + 1))
    assert state(workbook) == ("refused", "m2/add.metal is larger than 1 MB")
    file.unlink()
    file.symlink_to("/etc/passwd")
    assert state(workbook) == ("refused", "m2/add.metal is a symbolic link")
    file.unlink()
    os.mkfifo(file)
    assert state(workbook) == ("refused", "m2/add.metal is not a plain file")
    file.unlink()
    file.mkdir()
    assert state(workbook) == ("refused", "m2/add.metal is not a plain file")


def test_a_folder_that_is_a_link_is_refused(workbook):
    (workbook / "m2").rename(workbook / "elsewhere")
    (workbook / "m2").symlink_to(workbook / "elsewhere")
    assert state(workbook) == ("refused", "m2/add.metal is a symbolic link")


def test_a_workbook_without_work_is_graded_without_a_test(workbook):
    """Stubs and missing files need no process: no spec is run."""
    grades = grade(workbook)
    assert {one.state for one in grades} == {"stub", "missing"}
    found = record(workbook, grades)
    assert [one["op"] for one in found["ops"] if one["milestone"] == "m2"] == [op.name for op in exercises.ops("m2")]
    assert set(found["states"]) == set(STATES) and sum(found["states"].values()) == len(found["ops"])
    assert [one.op for one in grade(workbook, "m2")] == [op.name for op in exercises.ops("m2")]


def test_what_is_no_workbook_is_named(tmp_path, workbook):
    with pytest.raises(UserError, match="there is no folder"):
        grade(tmp_path / "nobody")
    with pytest.raises(UserError, match="is no workbook: it has none of the folders"):
        grade(workbook / "m2")
    with pytest.raises(UserError, match="no exercise for 'm9'"):
        grade(workbook, "m9")


# verdicts, from what a process answered

TESTS = [f"milestones/m2/test_add.py::test_{name}" for name in ("first", "second")]
REPORT = """THE SPEC SAYS: equals the reference
  Against float64.

case: width = 32

3 of 9 elements differ
worst: [2]

why this bound: one rounding

diagnosis: the output equals a alone

again: pytest x"""


def ending(status: int = 0, **states: str) -> Ending:
    tests = {
        f"milestones/m2/test_add.py::test_{n}": {"state": s, "report": REPORT, "reason": "no GPU"} for n, s in states.items()
    }
    made = dict.fromkeys(("device", "checks", "runtime", "versions", "seed", "profile"), "x")
    return Ending(answer={"status": status, "found": {"tests": tests, **made}})


@pytest.mark.parametrize(
    ("ending", "state", "reason"),
    [
        (ending(first="passed", second="passed"), "proved", ""),
        (ending(first="passed", second="not run here"), "proved", ""),
        (ending(first="not run here", second="not run here"), "not run here", "no GPU"),
        (ending(1, first="failed", second="passed"), "failed", ""),
        (ending(first="failed", second="passed"), "failed", ""),
        (ending(first="passed"), "crashed", "1 of the shipped tests did not run, or others ran; the first is " + TESTS[1]),
        (ending(first="passed", second="passed", third="passed"), "crashed", "1 of the shipped tests did not run"),
        (ending(), "crashed", "2 of the shipped tests did not run"),
        (ending(1, first="passed", second="passed"), "crashed", "pytest ended with 1 though no test failed"),
        (Ending(output="Oh!\nno"), "crashed", "it ended before its tests did: no"),
        (Ending("crashed", "a signal ended it (SIGSEGV)"), "crashed", "a signal ended it (SIGSEGV)"),
        (Ending("too long", "it took more than 9 seconds", output="..."), "too long", "it took more than 9 seconds"),
    ],
)  # fmt: skip
def test_a_verdict_needs_every_shipped_test(ending, state, reason):
    """Fewer tests than the spec has, or others, prove nothing, whatever the process says of itself."""
    made = verdict(ADD, ending, TESTS)
    assert made.state == state and reason in made.reason and (made.first_failure is not None) == (state == "failed")


def test_a_failure_is_told_in_the_specs_sentence():
    assert told("t", REPORT) == {
        "test": "t", "sentence": "equals the reference", "wrong": "3 of 9 elements differ",
        "diagnosis": ["the output equals a alone"], "report": REPORT,
    }  # fmt: skip
    assert told("t", "your file cannot be imported:\nE  no")["wrong"] == "your file cannot be imported:"


def test_an_answer_without_the_seal_is_none():
    """What the child could write by itself does not count."""
    assert sealed_run._opened(b'{"seal": "a", "status": 0}', "a") == {"seal": "a", "status": 0}
    for data in (b"", b"{}", b"[]", b"{", b'{"seal": "b", "status": 0}', b'{"seal": null}', b"\xff"):
        assert sealed_run._opened(data, "a") is None


# Python exercises: read before they are run


@pytest.mark.parametrize(("op", "name"), PYTHON, ids=lambda value: value if isinstance(value, str) else value.milestone)
def test_our_own_python_exercises_keep_the_rules(op, name):
    shipped = (SOLUTION / op.milestone / name).read_text()
    assert problems(shipped, shipped) == []
    assert problems((exercises.folder(op.milestone) / name).read_text(), shipped) == []


@pytest.mark.parametrize(
    "text",
    [
        "from metal.tensor import FLOAT32, UINT32, Gpu, Tensor, require\nfrom milestones.errors import UserError\n",
        "from collections import deque\nimport math, functools\nfrom dataclasses import dataclass\n",
        "import numpy\nx = numpy.zeros(3)\ny = numpy.linalg.norm(x) + numpy.random.default_rng(1).normal()\n",
        "class A:\n    def __init__(self):\n        super().__init__()\n    def __len__(self):\n        return 1\n",
        "def load(self): return self.load\n",
        "def kind(self): return type(self)(1) if __name__ == '__main__' else type(self)\n",
        "this is no Python: its spec says so",
    ],
)
def test_plain_code_is_allowed(text):
    assert problems(text, SHIPPED) == []


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("import os\nos._exit(0)", "import os"),
        ("import sys", "import sys"),
        ("import pytest", "import pytest"),
        ("def f():\n    import torch", "line 2: import torch"),
        ("import importlib", "import importlib"),
        ("import numpy.ctypeslib", "import numpy.ctypeslib"),
        ("from reference.cache import x", "from reference.cache"),
        ("from tests.plugin import results", "from tests.plugin"),
        ("from . import cache", "from . import cache"),
        ("from milestones.course import results", "from milestones.course"),
        ("from milestones.course.results import save", "from milestones.course.results"),
        ("from metal.tensor import source", "from metal.tensor import source"),
        ("from metal.source import os", "from metal.source import os"),
        ("from math import *", "import *"),
        ("from typing import get_type_hints", "get_type_hints"),
        ("from numpy import save", "import save"),
        ("__import__('os')", "__import__"),
        ("__builtins__['open']", "__builtins__"),
        ("open('x', 'w')", "open"),
        ("exec('import os')", "exec"),
        ("getattr(1, '__cl' + 'ass__')", "getattr"),
        ("().__class__.__base__.__subclasses__()", "__subclasses__"),
        ("(lambda: 0).__globals__", "__globals__"),
        ("(x for x in ()).gi_frame.f_back", "gi_frame"),
        ("match f:\n    case object(__globals__=g): pass", "pattern"),
        ("import numpy as np\nnp.lib.format", "np.lib"),
        ("import numpy as np\nnp.random.mtrand", "np.random.mtrand"),
        ("import numpy as np\nmine = np\n", "np by itself"),
        ("import numpy as np\nnp.load('x')", "np.load"),
        ("import numpy as np\nnp.zeros(3).tofile('x')", "tofile"),
        ("from metal.tensor import Tensor\nTensor.numpy = None", "a change of Tensor.numpy"),
        ("class Yes(int):\n    def __eq__(self, other): return True", "__eq__"),
        ("Yes = type('Yes', (int,), {'__eq' + '__': lambda self, other: True})", "type()"),
        ("make = type\nYes = make('Yes', (int,), {})", "type()"),
        ("d = {'__eq__': lambda self, other: True}", "'__eq__'"),
        ("import dataclasses\nYes = dataclasses.make_dataclass('Yes', [], namespace={})", "make_dataclass"),
        ("from abc import ABCMeta\nYes = ABCMeta('Yes', (int,), {})", "ABCMeta"),
        ("from functools import update_wrapper\nupdate_wrapper(print, print, ['numpy'])", "update_wrapper"),
        ("from metal.portable.cache import write\nwrite('x', {}, b'')", "from metal.portable.cache import write"),
        ("from milestones.m7.template_process import render", "from milestones.m7.template_process"),
        ("class Yes(int):\n    __eq__ = lambda self, other: True", "__eq__"),
    ],
)
def test_what_could_reach_the_tests_is_refused(text, word):
    found = problems(text, SHIPPED)
    assert found and word in "\n".join(found) and found[0].startswith("line "), found


def test_a_python_exercise_that_breaks_the_rules_is_refused(tmp_path):
    (tmp_path / "m4").mkdir()
    (tmp_path / "m4" / "cache.py").write_text(SHIPPED + "\nimport os\nos._exit(0)\n")
    assert state(tmp_path, CACHE)[0] == "refused" and "m4/cache.py, line" in state(tmp_path, CACHE)[1]


# the real thing


@pytest.mark.slow
def test_a_workbook_is_graded_op_by_op(workbook, monkeypatch):
    """Right, wrong, missing: each op by itself; nothing else in the workbook is touched or run."""
    ours = {name: (SOLUTION / "m2" / f"{name}.metal").read_text() for name in ("add", "swiglu")}
    wrong = ours["add"].replace("y[i] = a[i] + b[i];", "y[i] = a[i];")
    assert wrong != ours["add"]
    (workbook / "m2" / "add.metal").write_text(wrong)
    (workbook / "m2" / "swiglu.metal").write_text(ours["swiglu"] + "\n")
    (workbook / "m2" / "conftest.py").write_text("raise SystemExit(0)\n")
    (workbook / "m2" / "attention.metal").unlink()
    before = sorted(workbook.rglob("*"))
    monkeypatch.setenv("PYTEST_ADDOPTS", "--nonsense")
    monkeypatch.setenv("FIRSTLIGHT_WORKBOOK", str(workbook / "nowhere"))
    grades = grade(workbook, "m2", Limits(seconds=400))
    ops = {one.op: one for one in grades}
    states = {"add": "failed", "swiglu": "proved", "matmul": "stub", "attention": "missing"}
    assert {name: ops[name].state for name in states} == states, grades
    assert ops["swiglu"].passed > 50 and not ops["swiglu"].failed and ops["swiglu"].first_failure is None
    first = ops["add"].first_failure
    assert first and first["test"].startswith("milestones/m2/test_add.py::test_a_sum_worked_by_hand"), first
    assert (
        first["sentence"] == "a sum worked by hand" and "a alone: b is never added" in first["diagnosis"][0] and first["wrong"]
    )
    found = record(workbook, grades)
    assert found["states"]["missing"] == 1 and found["device"] and found["seed"] == "0"
    assert sorted(workbook.rglob("*")) == before


@pytest.mark.slow
def test_a_kernel_that_never_ends_is_ended():
    """Native code hears nothing but the last of signals."""
    ours = (SOLUTION / "m2" / "add.metal").read_text()
    endless = ours.replace("y[i] = a[i] + b[i];", "while (a[i] == a[i] || true) y[i] = a[i];")
    assert endless != ours
    ending = sealed_run.run(ADD.spec_path, "m2", {"add.metal": endless.encode()}, Limits(seconds=25))
    made = verdict(ADD, ending, ["x"])
    assert made.state == "too long" or (made.first_failure and "too long" in made.first_failure["report"]), made


ATTACKS = {
    "import os\nos._exit(0)\n": "crashed",
    "raise SystemExit(0)\n": "crashed",
    "import os\nos.kill(os.getpid(), 11)\n": "crashed",
    "while True: pass\n": "too long",
    "x = bytearray(3 << 30)\nwhile True: pass\n": "crashed",
    "import atexit, os, sys\natexit.register(os._exit, 0)\nraise ValueError\n": "failed",
    "import os\nfor n in range(3, 40):\n    try: os.write(n, b'{}')\n    except OSError: pass\nos._exit(0)\n": "crashed",
}


@pytest.mark.slow
@pytest.mark.parametrize("text", ATTACKS)
def test_a_process_that_ends_itself_proves_nothing(text):
    """Even past the rules: no answer, no verdict; time and memory have an end."""
    limits = Limits(seconds=40 if "bytearray" in text or "while" not in text else 20, gigabytes=2)
    made = verdict(CACHE, sealed_run.run(CACHE.spec_path, "m4", {"cache.py": text.encode()}, limits), ["x"])
    assert made.state == ATTACKS[text], made


@pytest.mark.slow
def test_nothing_that_a_process_began_outlives_it(tmp_path):
    text = f"import os, time\nif os.fork() == 0:\n    time.sleep(2)\n    open({str(tmp_path / 'late')!r}, 'w')\nos._exit(0)\n"
    ending = sealed_run.run(CACHE.spec_path, "m4", {"cache.py": text.encode()}, Limits(seconds=100))
    assert verdict(CACHE, ending, ["x"]).state == "crashed"
    time.sleep(3)
    assert not (tmp_path / "late").exists()


@pytest.mark.slow
def test_the_command_refuses_in_one_line(tmp_path):
    refused(firstlight("grade", str(tmp_path)), "is no workbook")
    refused(firstlight("grade", str(tmp_path / "nobody")), "there is no folder")
    for option, value in (("--seconds", "nan"), ("--memory", "inf")):  # with these, right work crashed or had no limit
        refused(firstlight("grade", str(tmp_path), option, value), f"{option} must be a finite number, got {value}")


@pytest.mark.slow
def test_as_json_it_is_one_document(workbook):
    found = json.loads(firstlight("grade", str(workbook), "--json").stdout)
    assert found["workbook"] == str(workbook) and found["ops"][-1]["state"] in ("stub", "missing")


@pytest.mark.slow
def test_without_json_it_is_a_table(workbook):
    done = firstlight("grade", str(workbook), "--milestone", "m2")
    lines = done.stdout.decode().splitlines()
    assert done.returncode == 0 and lines[0].split()[:2] == ["op", "state"]
    assert lines[1].split() == ["m2", "add", "stub"] and lines[-1] == f"m2: 0 of {len(exercises.ops('m2'))} proved"


def test_a_grade_as_json_says_only_what_there_is():
    assert Grade("m2", "add", "stub").json() == {
        "milestone": "m2", "op": "add", "state": "stub", "seconds": 0.0,
        "tests": {"passed": 0, "failed": 0, "not run here": 0},
    }  # fmt: skip
