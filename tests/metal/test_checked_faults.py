"""Every faulty kernel of faults/ is caught, with the right words at the right line; every right one of right/ raises nothing.

How a kernel is run stands in comments at its top (metal/trial.py). A faulty one also says what is found, and marks the line:

    // finds bounds: reads 4 bytes outside buffer(0)
"""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path

import pytest

from conftest import one_in
from metal import trial

HERE = Path(__file__).parent


def kernels(folder: str) -> list:
    """Every kernel of a folder; one in six of each kind at once, the rest in the slow suite: each is compiled with its checks."""
    paths = sorted((HERE / folder).glob("*.metal"))
    kinds = groupby(paths, lambda path: path.stem.partition("_")[0] if folder == "faults" else folder)
    return [case for _, of_kind in kinds for case in one_in(6, (pytest.param(p, id=p.stem) for p in of_kind))]


@pytest.mark.parametrize("path", kernels("faults"))
def test_a_fault_is_caught_with_the_right_words_at_the_right_line(path):
    case = trial.read(path)
    case.time = case.time or 0.3
    finds = re.findall(r"^// finds ([\w-]+): (.*)$", case.source, re.MULTILINE)
    lines = [n for n, line in enumerate(case.source.splitlines(), 1) if line.rstrip().endswith("// HERE")]
    assert finds and lines, "a faulty kernel says what is found, and marks the line"
    findings = case.run()
    told = "\n".join(map(str, findings)) or "nothing was found"
    for check, words in finds:
        assert any(f.check == check and words in f.message and f.line in lines for f in findings), told
    assert {f.check for f in findings} == {check for check, _ in finds}, told


@pytest.mark.parametrize("path", kernels("right"))
def test_a_right_kernel_raises_nothing(path):
    findings = trial.read(path).run("all")
    assert not findings, "\n".join(map(str, findings))
