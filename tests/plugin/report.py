"""Failures that teach: the spec's sentence, the smallest case, what is wrong and by how much, why, and how to see it again."""

from __future__ import annotations

import inspect
import re
import textwrap
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from metal import source
from reference import diagnosis
from reference.symptoms import untouched
from tests.plugin import seam

ROOT = source.ROOT
_ARGUMENT = re.compile(r"^    (\w+)=(.*?),?(?:\s+# .*)?$")
_HIDDEN = ("gpus", "gpu", "self")
_told: Counter[tuple[Path, str]] = Counter()  # how many failures of a test have been told, the first in full
DIAGNOSED = 5  # of each test; a diagnosis takes time


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    diagnosis.calls.clear()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    report = yield
    problem = call.excinfo.value if call.excinfo is not None else None
    mine = seam.milestone_of(item.path) is not None or hasattr(problem, "findings")
    if report.failed and problem is not None and mine and item.config.getoption("tbstyle") == "auto":
        test = (item.path, item.name.partition("[")[0])
        report.longrepr = (
            "\n\n".join(words(item, problem)) if not _told[test] else once_more(item, problem, _told[test] < DIAGNOSED)
        )
        _told[test] += 1
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector):
    """A learner's Python file that cannot be imported is a finding about that file."""
    report = yield
    if report.failed and seam.started and collector.path.suffix == ".py" and (found := _import_problem(str(report.longrepr))):
        report.longrepr = f"{found}\n\nagain: pytest '{collector.nodeid}'"
    return report


def _import_problem(text: str) -> str | None:
    """The end of an import's traceback from the learner's file on."""
    at = text.find(str(source.workbook()))
    return f"your file cannot be imported:\n{text[text.rfind(chr(10), 0, at) + 1 :]}" if at >= 0 else None


def words(item: pytest.Item, problem: BaseException) -> list[str]:
    """The paragraphs of a failure's report."""
    title = item.name.partition("[")[0].removeprefix("test_").replace("_", " ")
    why_it_matters = inspect.cleandoc(getattr(getattr(item, "obj", None), "__doc__", None) or "")
    parts = [f"THE SPEC SAYS: {title}" + (f"\n{textwrap.indent(why_it_matters, '  ')}" if why_it_matters else "")]
    inputs = f"what went in: {found}" if diagnosis.calls and (found := diagnosis.calls[-1].inputs()) else ""
    if case := "\n  ".join(filter(None, [case_of(item, problem), inputs])):
        parts.append(f"case: {case}")
    parts.append(what(item, problem))
    if hasattr(problem, "got") and not untouched(problem.got).any() and (why := _bound(item)):
        parts.append(f"why this bound: {why}")
    if not hasattr(problem, "findings"):
        parts += _diagnosis(problem)
    parts.append(f"again: {again(item)}")
    return parts


def once_more(item: pytest.Item, problem: BaseException, diagnosed: bool) -> str:
    """Another case of a test whose failure was told above."""
    first, *_ = str(problem).strip().splitlines() or ["it failed"]
    found = [] if hasattr(problem, "findings") else _diagnosis(problem, deep=diagnosed)
    found = found or ([] if diagnosed else ["diagnosis: perhaps as above"])
    return "\n".join([f"the same, for {case_of(item, problem)}: {first[:300]}", *found, f"again: {again(item)}"])


def again(item: pytest.Item) -> str:
    """The one command that runs this case again; Hypothesis has kept the smallest one and begins with it."""
    options = " --solution" if item.config.getoption("solution") else ""
    if (checks := item.config.getoption("checks")) and checks != "off":  # which finds no more than the checks not asked for
        options += f" --checks={checks}"
    seed = item.config.getoption("hypothesis_seed", None)
    return f"pytest '{item.nodeid}'{options}" + (f" --hypothesis-seed={seed}" if seed is not None else "")


def _diagnosis(problem: BaseException, deep: bool = True) -> list[str]:
    sentences = diagnosis.diagnose(problem, deep=deep)
    return [f"diagnosis: {'; or, which gives the same here: '.join(sentences)}"] if sentences else []


def case_of(item: pytest.Item, problem: BaseException) -> str:
    """The smallest failing case, as names and values: the parameters, and what Hypothesis found."""
    known = dict(getattr(getattr(item, "callspec", None), "params", {}))
    known = {("width" if name == "gpu" else name): value for name, value in known.items()}
    for note in getattr(problem, "__notes__", []):
        if note.startswith(("Falsifying", "Failing")):  # older and newer Hypothesis
            found = (_ARGUMENT.match(line) for line in note.splitlines())
            known |= {m.group(1): m.group(2) for m in found if m and m.group(1) not in _HIDDEN}
    pinned = any("explicit" in note.split("(")[0] for note in getattr(problem, "__notes__", []))
    return ", ".join(f"{name} = {_short(value)}" for name, value in known.items()) + (" (a pinned example)" if pinned else "")


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 200 else f"{text[:200]}… ({len(text)} characters)"


def what(item: pytest.Item, problem: BaseException) -> str:
    """What went wrong, in the words of the comparison, the compiler, the checks or the learner's own exception."""
    text = "\n".join(str(problem).strip().splitlines()[:40])
    if hasattr(problem, "got"):
        return text + _poison(problem.got, problem.want)
    if hasattr(problem, "findings"):
        return text
    if isinstance(problem, AssertionError):
        return _assertion(item, problem, text)
    if isinstance(problem, pytest.fail.Exception):
        return text
    return f"{type(problem).__name__}: {text}{_place(item, problem, text)}"


def _poison(got: Any, want: Any) -> str:
    """What the strange value means that nobody wrote, if there is one."""
    left = untouched(got) & ~untouched(want) if got.shape == want.shape else untouched(got)
    if not left.any():
        return ""
    filled = "NaN" if got.dtype.kind == "f" else f"{got[left].flat[0]} (0xCD in every byte)"
    return f"\n  {filled} is what every output holds before the kernel runs: where it still stands, nobody wrote"


def _assertion(item: pytest.Item, problem: AssertionError, text: str) -> str:
    """A plain assert: its message and the values that pytest shows, without long arrays."""
    lines = [line if len(line) <= 160 else f"{line[:160]} …" for line in text.splitlines()[:8]]
    values = next((n for n, line in enumerate(lines) if n and line.startswith("assert ")), len(lines))
    lines = lines[:values]  # where the assertion has words of its own, they say it
    frames = [f for f in traceback.extract_tb(problem.__traceback__) if Path(f.filename) == item.path]
    at = f"\n  at {_relative(frames[-1].filename)}:{frames[-1].lineno}: {frames[-1].line}" if frames else ""
    return ("\n".join(lines) or "an assertion failed") + at


def _place(item: pytest.Item, problem: BaseException, said: str) -> str:
    """Where an exception came from: the deepest line of the learner's files, else of the milestone's."""
    frames = traceback.extract_tb(problem.__traceback__)
    for home in (source.workbook(), item.path.parent):
        inside = [f for f in frames if Path(f.filename).is_relative_to(home)]
        if inside:
            line = inside[-1].line or ""
            return f"\n  at {_relative(inside[-1].filename)}:{inside[-1].lineno}" + ("" if said in line else f": {line}")
    return ""


def _relative(path: str) -> str:
    return str(Path(path).relative_to(ROOT)) if Path(path).is_relative_to(ROOT) else path


def _bound(item: pytest.Item) -> str:
    """The first paragraph of what the spec's `expected` says of its bound."""
    doc = inspect.getdoc(getattr(getattr(item, "module", None), "expected", None)) or ""
    return " ".join(doc.split("\n\n")[0].split())
