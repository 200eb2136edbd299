"""What the specs said of the workbook, kept in `workbook/.results.json`, and how it stands with the files as they are now."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from metal.source import workbook
from milestones.course.exercises import Op
from milestones.course.workbook import fingerprint, fingerprint_of, untouched
from milestones.files import alone, whole_file


@dataclass(frozen=True)
class Verdict:
    """One run of an op's whole spec: how many tests ended in each of the three states, and for which files."""

    passed: int
    failed: int
    not_run: int
    files: str  # fingerprint_of the op when it was tested
    first_failure: str = ""  # the id of a test

    @property
    def proved(self) -> bool:
        return self.passed > 0 and not self.failed


def load() -> dict[str, Verdict]:
    """ "m3/softmax" → its last verdict; nothing if the file is missing or not ours."""
    try:
        kept: dict[str, Any] = json.loads((workbook() / ".results.json").read_text(encoding="utf-8"))
        found = {name: Verdict(**verdict) for name, verdict in kept.items()}
        numbers = [n for one in found.values() for n in (one.passed, one.failed, one.not_run)]
        words = [word for one in found.values() for word in (one.files, one.first_failure)]
        return found if all(type(n) is int for n in numbers) and all(type(word) is str for word in words) else {}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def save(verdicts: dict[str, Verdict]) -> None:
    """Add these verdicts to those kept; whole or not at all. Two that save at once lose nothing."""
    target = workbook() / ".results.json"
    with alone(target.with_suffix(".lock")):
        kept = {**load(), **verdicts}
        made = {name: asdict(verdict) for name, verdict in sorted(kept.items())}
        with whole_file(target) as file:
            file.write((json.dumps(made, indent=1) + "\n").encode())


def state(op: Op, verdicts: dict[str, Verdict] | None = None) -> str:
    """ "proved", "failed", "changed" (since its last test), "untested", or "stub" (nothing is written yet)."""
    if untouched(op):
        return "stub"
    verdict = (load() if verdicts is None else verdicts).get(f"{op.milestone}/{op.name}")
    if verdict is None:
        return "untested"
    if verdict.files != fingerprint_of(op, fingerprint(op.milestone)):
        return "changed"
    return "proved" if verdict.proved else "failed"
