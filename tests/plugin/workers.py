"""Which tests run in how many processes, and what happens where one of these ends."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from xdist.scheduler import LoadFileScheduling


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Whole folders run in two processes; single files in this one, as do benchmarks."""
    asked = [Path(argument) for argument in config.invocation_params.args if Path(argument).exists()]
    alone = config.getoption("benchmark_only", False) or any(path.is_file() or path.name == "strength" for path in asked)
    narrow = any("::" in str(argument) for argument in config.invocation_params.args)
    return 0 if alone or narrow else 2


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log) -> Files | None:
    return Files(config, log) if config.getvalue("dist") == "loadfile" else None


class Files(LoadFileScheduling):
    """A file at a time, as xdist's own, but a process that ends in the middle of a test costs that test and no other.

    xdist 3.8's gives the test to the next process, which ends as well, and hands out files that are done again, whose end it
    then waits for (pytest-xdist 784, 1378).
    """

    def remove_node(self, node) -> str | None:
        """Hand out again what the process has not done; returns the test in which it ended, None if it had done all."""
        held = self.assigned_work.pop(node)
        left = ((tests, test) for tests in held.values() for test, done in tests.items() if not done)
        tests, ended = next(left, ({}, None))
        if ended is None:
            return None
        tests[ended] = True
        self.workqueue.update({file: tests for file, tests in held.items() if not all(tests.values())})
        self._again()
        return ended

    def _assign_work_unit(self, node) -> None:
        if node not in self.registered_collections:
            return  # a new one that has not said yet which tests there are: when it has, `schedule` comes by again
        with suppress(OSError):  # it has ended, which is not known here yet: `remove_node` will hand the file out again
            super()._assign_work_unit(node)

    def schedule(self) -> None:
        super().schedule()
        self._again()

    def _again(self) -> None:
        """A process begins its last test only when it is told what comes next, or that nothing does."""
        for node in [*self.nodes, *self.nodes]:
            self._reschedule(node)
