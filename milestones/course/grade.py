"""A workbook graded against the shipped specs: what state each op is in.

Each op is tested alone, with ours in the place of all else. A verdict counts only if it lists every test that the shipped spec
has when it is collected without the learner's files.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from milestones.course import exercises, sealed_run
from milestones.course.exercises import Op
from milestones.course.sealed_run import Ending, Limits
from milestones.course.submission import NotTestedError, take
from milestones.errors import UserError

STATES = ("proved", "failed", "stub", "missing", "too long", "crashed", "not run here", "refused")


@dataclass
class Grade:
    """Of one op: its state, how many tests ended how, and why."""

    milestone: str
    op: str
    state: str
    passed: int = 0
    failed: int = 0
    not_run: int = 0
    seconds: float = 0.0
    reason: str = ""  # in one line
    first_failure: dict[str, Any] | None = None  # test, sentence, diagnosis, report
    made: dict[str, str] = field(default_factory=dict, repr=False)  # device, versions, …

    def json(self) -> dict[str, Any]:
        tests = {"passed": self.passed, "failed": self.failed, "not run here": self.not_run}
        shown = {
            "milestone": self.milestone,
            "op": self.op,
            "state": self.state,
            "tests": tests,
            "seconds": round(self.seconds, 1),
        }
        return shown | {k: v for k, v in {"reason": self.reason, "first_failure": self.first_failure}.items() if v}


def grade(
    home: Path,
    milestone: str | None = None,
    limits: Limits = Limits(),  # noqa: B008 (it is frozen)
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> list[Grade]:
    """Every op's grade, in the order of the course (of one milestone). Raises UserError if `home` is no workbook."""
    there = exercises.milestones()
    ops = [op for one in ([milestone] if milestone else there) for op in exercises.ops(one)]
    if not home.is_dir():
        raise UserError(f"there is no folder {str(home)!r}: give a workbook, a folder with {there[0]}/ to {there[-1]}/ in it")
    if not any((home / one).is_dir() for one in there):
        raise UserError(f"{str(home)!r} is no workbook: it has none of the folders {', '.join(there)}")
    grades, files = {}, {}
    for op in ops:
        try:
            files[op] = take(home, op)
        except NotTestedError as why:
            grades[op] = Grade(op.milestone, op.name, why.state, reason=str(why))
    tests = sealed_run.collect(sorted({op.spec_path for op in files}))
    for done, (op, taken) in enumerate(files.items()):
        progress("grading", done, len(files))
        grades[op] = judge(op, taken, tests[op.spec_path], limits)
    return [grades[op] for op in ops]


def judge(op: Op, files: Mapping[str, bytes], tests: Sequence[str], limits: Limits) -> Grade:
    """Test an op with these files, where `tests` is what its spec must come to."""
    begun = time.monotonic()
    made = verdict(op, sealed_run.run(op.spec_path, op.milestone, files, limits), tests)
    made.seconds = time.monotonic() - begun
    return made


def verdict(op: Op, ending: Ending, tests: Sequence[str]) -> Grade:
    """What a run came to. Proved only if every one of `tests` is there and no other, none failed, and pytest said so too."""
    made = Grade(op.milestone, op.name, ending.state or "crashed", reason=ending.why)
    if ending.state or ending.answer is None:
        last = f": {ending.output.splitlines()[-1][:300]}" if ending.output and made.state == "crashed" else ""
        made.reason = (ending.why or "it ended before its tests did") + last
        return made
    record = ending.answer["found"]
    found: dict[str, dict[str, Any]] = record["tests"]
    made.made = {name: record[name] for name in ("device", "checks", "runtime", "versions", "seed", "profile")}
    states = [one["state"] for one in found.values()]
    made.passed, made.failed, made.not_run = (states.count(state) for state in ("passed", "failed", "not run here"))
    others = sorted(set(found) ^ set(tests))
    first = next((test for test in (*tests, *others) if test in found and found[test]["state"] == "failed"), None)
    if first is not None:
        made.state, made.first_failure = "failed", told(first, found[first]["report"])
    elif others:
        made.reason = f"{len(others)} of the shipped tests did not run, or others ran; the first is {others[0]}"
    elif ending.answer["status"] != 0:
        made.reason = f"pytest ended with {ending.answer['status']} though no test failed"
    elif not made.passed:
        made.state, made.reason = "not run here", next((one.get("reason", "") for one in found.values()), "")
    else:
        made.state = "proved"
    return made


def told(test: str, report: str) -> dict[str, Any]:
    """A failure: the test, the spec's sentence, what is wrong, the diagnosis, and the whole report as the learner has it."""
    parts = report.split("\n\n")
    says = next((part for part in parts if part.startswith("THE SPEC SAYS: ")), "").removeprefix("THE SPEC SAYS: ").splitlines()
    diagnosis = [part.removeprefix("diagnosis: ") for part in parts if part.startswith("diagnosis: ")]
    named = ("THE SPEC SAYS: ", "case: ", "why this bound: ", "diagnosis: ", "again: ")
    wrong = next((part.strip() for part in parts if part.strip() and not part.startswith(named)), "")
    return {
        "test": test, "sentence": says[0] if says else "", "wrong": wrong.splitlines()[0] if wrong else "",
        "diagnosis": diagnosis, "report": report,
    }  # fmt: skip


def record(home: Path, grades: Sequence[Grade]) -> dict[str, Any]:
    """What `grade --json` prints."""
    made = next((one.made for one in grades if one.made), {})
    states = {state: sum(one.state == state for one in grades) for state in STATES}
    return {"workbook": str(home), **made, "states": states, "ops": [one.json() for one in grades]}
