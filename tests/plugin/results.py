"""Three states, never two: in the summary, in --results FILE (JSON), and in the workbook for `firstlight progress`."""

from __future__ import annotations

import json
import platform
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy
import pytest

from metal import health
from metal.source import WIDTHS
from milestones.course import exercises, results, workbook
from milestones.diagrams import states
from tests.plugin import seam

_found: dict[str, dict[str, Any]] = {}  # test → state, reason or report, kernels
_whole: set[Path] = set()  # specs of which every test was asked for


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--results", type=Path, metavar="FILE", help="Write every test's state there, as JSON.")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A verdict on an op needs its whole spec: no -k, no single tests."""
    narrow = config.getoption("keyword") or config.getoption("deselect") or config.getoption("lf", False)
    narrow = narrow or len(config.getoption("widths")) < len(WIDTHS)
    if not narrow and not any("::" in argument for argument in config.args):
        _whole.update(item.path for item in items)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    health.dispatched.clear()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    report = yield
    if call.when == "call":
        report.user_properties.append(("kernels", sorted(health.dispatched)))
    if item.path in _whole and call.when == "setup":
        report.user_properties.append(("whole", True))
    return report


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """In the process that gathers: what each test came to."""
    seen = _found.setdefault(report.nodeid, {"state": "passed", "kernels": []})
    properties = dict(report.user_properties)
    seen["kernels"] = properties.get("kernels", seen["kernels"])
    seen["whole"] = properties.get("whole", seen.get("whole", False))
    if report.failed:
        seen |= {"state": "failed", "report": str(report.longrepr)}
    elif report.skipped and seen["state"] == "passed":
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        seen |= {"state": "not run here", "reason": reason.removeprefix("Skipped: ").removeprefix("not run here: ")}


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.failed:
        _found[report.nodeid] = {"state": "failed", "kernels": [], "report": str(report.longrepr), "whole": True}


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workerinput"):
        return
    if path := session.config.getoption("results"):
        path.write_text(json.dumps(record(session.config), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    elif not seam.started and (ended := specs()):  # the course's own runs ask for --results
        with suppress(OSError):  # a cache folder that cannot be written to is no reason to fail
            states.save(ended)
    if seam.started:
        ops = [op for milestone in sorted(seam.started) for op in exercises.ops(milestone)]
        results.save({f"{op.milestone}/{op.name}": found for op in ops if (found := verdict(op))})


def specs() -> dict[str, dict[str, Any]]:
    """For the ladder of `firstlight diagrams`: each spec of a milestone that ran whole, or failed, and how its tests ended."""
    found: dict[str, list[dict[str, Any]]] = {}
    for test, one in _found.items():
        if test.startswith("milestones/"):
            found.setdefault(test.partition("::")[0], []).append(one)
    ended = {spec: counts for spec, tests in found.items() if (counts := _ended(tests))}
    device = health.device_name() if ended else ""  # where no spec ran, whoever collects may fork yet: no device is opened
    return {
        spec: dict(zip(("passed", "failed", "not_run"), counts, strict=True)) | {"device": device}
        for spec, counts in ended.items()
    }


def _ended(tests: Collection[dict[str, Any]]) -> tuple[int, int, int] | None:
    """How many passed, failed, were not run here; None unless a whole spec was run (a failure is enough)."""
    ends = [one["state"] for one in tests]
    if not ends or not ("failed" in ends or all(one["whole"] for one in tests)):
        return None
    return ends.count("passed"), ends.count("failed"), ends.count("not run here")


def record(config: pytest.Config) -> dict[str, Any]:
    """What --results writes."""
    counts = {state: sum(one["state"] == state for one in _found.values()) for state in ("passed", "failed", "not run here")}
    tests = {test: {k: v for k, v in one.items() if k != "whole"} for test, one in sorted(_found.items())}
    return {**versions(config), "testing": sorted(seam.started) or "solution", **counts, "tests": tests}


def verdict(op: exercises.Op) -> results.Verdict | None:
    """What this session says of an op; None unless it ran the op's whole spec (a failure is enough)."""
    prefix = f"milestones/{op.milestone}/{op.spec}"
    mine = {test: one for test, one in _found.items() if test.partition("::")[0] == prefix}
    counts = _ended(mine.values())
    if counts is None:
        return None
    first = next((test for test, one in mine.items() if one["state"] == "failed"), "")
    files = workbook.fingerprint_of(op, workbook.fingerprint(op.milestone))
    return results.Verdict(*counts, files=files, first_failure=first)


def versions(config: pytest.Config) -> dict[str, str]:
    """Where a result was made: device, checks, runtime, versions, seed, Hypothesis's profile."""
    from hypothesis import settings

    seed = config.getoption("hypothesis_seed", None)
    return {
        "device": health.device_name(),
        "checks": health.spec_checks if seam.checks_m6(config) else f"{health.spec_checks}, m6's off",
        "runtime": ", ".join(f"{name} {version}" for name, version in health.packages().items()),
        "versions": f"Python {platform.python_version()}, NumPy {numpy.__version__}",
        "seed": str(seed) if seed is not None else "another at every run; a failing case is kept and tried first",
        "profile": settings.get_current_profile_name(),
    }


def pytest_report_header(config: pytest.Config) -> list[str]:
    v = versions(config)
    return [
        f"device: {v['device']}; checks: {v['checks']}; {v['versions']}",
        f"runtime: {v['runtime']}",
        f"seed: {v['seed']}; profile: {v['profile']}",
    ]


def pytest_terminal_summary(terminalreporter) -> None:
    stats = {name: len(terminalreporter.stats.get(name, [])) for name in ("passed", "failed", "error", "skipped")}
    failed = stats["failed"] + stats["error"]
    terminalreporter.write_line(
        f"tests in three states: {stats['passed']} passed, {failed} failed, {stats['skipped']} not run here"
    )
