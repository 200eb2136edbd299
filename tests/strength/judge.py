"""What a kernel file's own specs say of a generic mutant: quick at first; with everything on for those that survive it."""

from __future__ import annotations

import re
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

from metal.source import SOLUTION
from milestones.course.spec_process import SpecProcess
from tests.strength.mutate import Generic
from tests.strength.trial import trial, users_of

OPTIONS = ("--hypothesis-profile=strength", "--tb=short")
STATES = ("does not compile", "killed", "equivalent", "survived")
STAGES = (("--checks=off", "--widths=64", "-x"), ("--checks=off", "--widths=64,1024", "-x"), ("--checks=default", "-x"))
LEAST_SECONDS, TIMES, MOST_SECONDS = 20, 4, 1200  # how long a run may take: four times as long as without mutation
_REFUSED = re.compile(r"^E +metal\.\S*(SourceError|error): (?!.*threadgroup memory)", re.MULTILINE)


class Verdict(NamedTuple):
    """One of STATES; and by which test (or crash, or taking too long), at which stage."""

    state: str
    by: str


def specs_of(file: str) -> tuple[str, ...]:
    """The specs of m2/attention.metal, from milestones/ on; of a header, those of the kernels that include it."""
    return tuple(f"{Path(user).parent}/test_{Path(user).stem}.py" for user in users_of(file))


class Judge:
    """Call it with a process that has imported the specs, and a mutant. Raises RuntimeError if a spec fails without one.

    `stages`: how many of the STAGES a mutant must survive.
    """

    def __init__(self, stages: int | None = None) -> None:
        self._stages = STAGES[:stages]
        self.thorough = self._stages == STAGES
        self._limits: dict[tuple[str, int], float] = {}
        self._locks: dict[tuple[str, int], threading.Lock] = {}

    def __call__(self, process: SpecProcess, mutant: Generic) -> Verdict:
        text = mutant.text((SOLUTION / mutant.file).read_text(encoding="utf-8"))
        for stage, options in enumerate(self._stages):
            found = self._run(process, mutant.file, text, options, self._limit(process, mutant.file, stage))
            if found["status"] != 0:
                return _reason(found, stage)
        return Verdict("survived", "")

    def _limit(self, process: SpecProcess, file: str, stage: int) -> float:
        """How long a run may take; from one without mutation, which must pass, or no failure would mean anything."""
        with self._locks.setdefault((file, stage), threading.Lock()):
            if (file, stage) not in self._limits:
                found = self._run(process, file, (SOLUTION / file).read_text(encoding="utf-8"), STAGES[stage], MOST_SECONDS)
                if found["status"] != 0:
                    raise RuntimeError(f"the spec of {file} fails without any mutation:\n{found['output'][-3000:]}")
                self._limits[file, stage] = max(LEAST_SECONDS, TIMES * found["seconds"])
            return self._limits[file, stage]

    def _run(self, process: SpecProcess, file: str, text: str, options: tuple[str, ...], seconds: float) -> dict[str, Any]:
        specs, begin = [str(SOLUTION / spec) for spec in specs_of(file)], time.monotonic()
        found = trial(process, file, text, [*specs, *options], seconds)
        return {**found, "seconds": time.monotonic() - begin}


def _reason(found: dict[str, Any], stage: int) -> Verdict:
    """Why a run did not pass."""
    at = f"(stage {stage + 1})"
    if found["status"] < 0:
        return Verdict("killed", f"{'took too long' if found['status'] == -1 else 'crashed'} {at}")
    failed = {test: one["report"] for test, one in found["tests"].items() if one["state"] == "failed"}
    if not failed:
        return Verdict("killed", f"pytest itself ended with {found['status']} {at}")
    test, report = next(iter(failed.items()))
    if _REFUSED.search(report):
        return Verdict("does not compile", "")
    return Verdict("killed", f"{test.rpartition('::')[2]} {at}")
