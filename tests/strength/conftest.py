"""`--every N`: of the stubs and the named mutants only every Nth, for a run that has little time."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--every", type=int, default=1, metavar="N", help="Of the stubs and named mutants only every Nth.")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    every = config.getoption("every")
    many = [item for item in items if item.path.name in ("test_mutants.py", "test_stubs.py")]
    left_out = {item for number, item in enumerate(many) if number % every}
    if left_out:
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)
