"""Whose files a spec tests: the learner's of its own milestone, where the workbook has them, else the shipped ones."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from metal import source
from milestones.course import python_files, workbook

started: set[str] = set()  # the milestones whose workbook this session tests


def milestone_of(path: Path) -> str | None:
    """m3 for a file in milestones/m3/."""
    inside = path.is_relative_to(source.SOLUTION) and path.relative_to(source.SOLUTION).parts[0]
    return inside if inside and re.fullmatch(r"m\d", inside) else None


@contextmanager
def whose(path: Path) -> Iterator[None]:
    """While the tests of the spec at `path` are imported or run."""
    milestone = milestone_of(path)
    if milestone not in started:
        yield
        return
    source.use(lambda of, file: of == milestone)
    try:
        files = workbook.python_files(milestone)
        with python_files.replaced(milestone, files) if files else nullcontext():
            yield
    finally:
        source.use(None)


def checks_m6(config: pytest.Config) -> bool:
    """Whether m6's kernels run in checked mode: a learner's do, as those of every milestone, and all where --checks says so."""
    return bool(config.getoption("checks")) or "m6" in started


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--solution", action="store_true", help="Test the shipped kernels, even where there is a workbook.")


def pytest_configure(config: pytest.Config) -> None:
    started.clear()
    if not config.getoption("solution"):
        started.update(workbook.started())


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector):
    if not isinstance(collector, pytest.Module):
        return (yield)
    with whose(collector.path):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item):
    with whose(item.path):
        return (yield)


def pytest_report_header(config: pytest.Config) -> str | list[str]:
    if not started:
        why = " (--solution)" if config.getoption("solution") else ": there is no workbook (firstlight start m1)"
        return f"testing: the shipped solution{why}"
    absent = [name for milestone in sorted(started) for name in workbook.absent(milestone)]
    lines = [f"testing: YOUR files of {', '.join(sorted(started))} in {source.workbook()}; the shipped ones elsewhere"]
    return lines + ([f"no file of yours is there, so ours is tested: {', '.join(absent)}"] if absent else [])
