"""`--minutes N`: stubs and named mutants in another order each day, and after so many minutes no more of them are begun."""

from __future__ import annotations

import argparse
import math
import random
import time
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

MANY = ("test_mutants.py", "test_stubs.py")


def above_0(given: str) -> float:
    """A number of minutes. Raises ArgumentTypeError: 0 would be no limit, and of nan's minutes none is left."""
    minutes = float(given)
    if not 0 < minutes < math.inf:
        raise argparse.ArgumentTypeError(f"must be above 0, got {given}")
    return minutes


def pytest_addoption(parser: pytest.Parser) -> None:
    words = "Begin no stub or named mutant after so many minutes: those left are not run here. Another order each day."
    parser.addoption("--minutes", type=above_0, metavar="N", help=words)


def pytest_report_header(config: pytest.Config) -> str | None:
    minutes = config.getoption("minutes")
    return f"stubs and mutants: {minutes:g} minutes of them, in the order of {date.today()}" if minutes else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("minutes"):
        order = random.Random(str(date.today()))
        places = {item: order.random() for item in items}
        items.sort(key=lambda item: (item.path, places[item]))  # a file's tests share their processes


@pytest.fixture(scope="module")
def in_time(request: pytest.FixtureRequest) -> Callable[[], bool]:
    """Whether another may be begun: each file has its share of --minutes, by its number of tests."""
    minutes = request.config.getoption("minutes")
    counts = [item.path.name for item in request.session.items if item.path.name in MANY]
    share = counts.count(request.path.name) / len(counts)
    until = time.monotonic() + 60 * minutes * share if minutes else None
    return lambda: until is None or time.monotonic() < until


def within(found: Any) -> Any:
    """What a job came to; one that was not begun is not run here."""
    if found is None:
        pytest.skip("not run here: --minutes were up; without it all are run")
    return found
