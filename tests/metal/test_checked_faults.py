"""Every faulty kernel of faults/ is caught, with the right words at the right line; every right one of right/ raises nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from metal.portable import Device
from tests.metal.checked import read, run

HERE = Path(__file__).parent
FAULTS = sorted((HERE / "faults").glob("*.metal"))
RIGHT = sorted((HERE / "right").glob("*.metal"))


@pytest.mark.parametrize("path", FAULTS, ids=lambda p: p.stem)
def test_a_fault_is_caught_with_the_right_words_at_the_right_line(path):
    case = read(path)
    assert case.finds and case.lines, "a faulty kernel says what is found, and marks the line"
    findings = run(case, Device(checks=case.checks), time_limit=0.3)
    told = "\n".join(map(str, findings)) or "nothing was found"
    for check, words in case.finds:
        assert any(f.check == check and words in f.message and f.line in case.lines for f in findings), told
    assert {f.check for f in findings} == {check for check, _ in case.finds}, told


@pytest.mark.parametrize("path", RIGHT, ids=lambda p: p.stem)
def test_a_right_kernel_raises_nothing(path):
    case = read(path)
    findings = run(case, Device(checks="all"))
    assert not findings, "\n".join(map(str, findings))
