"""`firstlight watch`: what it says of an op after a save. The process that runs the specs is tested in test_teaching.py."""

from __future__ import annotations

import pytest

from milestones.course import exercises, watch
from milestones.errors import UserError

COPY = exercises.op("m1", "copy")
TEST = "milestones/m1/test_copy.py::test_four_numbers_worked_by_hand[width64]"
FINDING = "workbook/m1/copy.metal:29:12: bounds: reads 4 bytes outside buffer(0) 'x', at byte 16: it ends at byte 16"


def passed(count):
    return {"status": 0, "tests": {}, "passed": count, "failed": 0, "not run here": 0, "output": ""}


def failed(report):
    return passed(0) | {"status": 1, "failed": 1, "tests": {TEST: {"state": "failed", "report": report}}}


class Told:
    """Stands for the process that runs the specs: gives these answers, one after the other, and keeps what it was asked."""

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), []

    def run(self, arguments, seconds=120.0):
        self.asked.append(arguments)
        return self.answers.pop(0)


def test_a_spec_that_passes_is_counted_whole_and_says_what_comes_next(capsys):
    process = Told(passed(9), passed(82))
    watch.judge(process, COPY)
    quick, whole, onward = capsys.readouterr().out.splitlines()
    assert "a quick look passed" in quick and whole.startswith("✓ copy: 82 passed, 0 failed, 0 not run here")
    assert "firstlight next m1" in onward and "firstlight solution m1 copy" in onward
    assert "--widths=64" in process.asked[0] and "--widths=64" not in process.asked[1], "the whole spec is run at every width"


@pytest.mark.parametrize("finding", [True, False], ids=["with a finding", "without one"])
def test_a_failure_is_told_at_once_and_again_if_checked_mode_says_more(capsys, finding):
    process = Told(failed("got 7, expected 8"), failed(FINDING if finding else "got 7, expected 8"))
    watch.judge(process, COPY)
    said = capsys.readouterr().out
    assert "got 7, expected 8" in said and "✗ copy: failed" in said and "next" not in said
    assert ("in checked mode the same test says more" in said) == (FINDING in said) == finding
    assert process.asked[1][-1] == TEST and "--checks=off" not in process.asked[1]


def test_without_pytest_one_line_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("FIRSTLIGHT_WORKBOOK", str(tmp_path))
    (tmp_path / "m1").mkdir()
    monkeypatch.setattr(watch, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install -e '\.\[test\]'"):
        watch.watch("m1")
