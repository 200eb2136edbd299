"""The catalogue of plausible wrong kernels and loops, `milestones/mN/mutants/OP.toml`, and what the specs say of one.

    python -m tests.strength.mutants m2 [attention [no_scale]]

applies them one after the other, runs the test that must catch each, and says which were not caught.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from metal.health import tells_a_finding
from metal.source import SOLUTION
from milestones.course.spec_process import SpecProcess
from tests.strength.trial import spec_process, trial

# A parametrised test may fail first in a case too small to tell this mistake from another: five of its cases may say it.
# One seed: what is caught today is caught tomorrow.
OPTIONS = ("--hypothesis-profile=strength", "--hypothesis-seed=0", "--maxfail=5")


@dataclass(frozen=True)
class Mutant:
    """One mistake: `old`, which stands once in the shipped file, becomes `new`; `test` must fail and say `diagnosis`."""

    milestone: str
    op: str
    name: str
    mistake: str
    test: str
    diagnosis: str
    file: str
    old: str
    new: str
    unproved: str = ""  # why it is not run for now

    @property
    def id(self) -> str:
        return f"{self.milestone}/{self.op}/{self.name}"

    def text(self) -> str:
        """The whole mutated file. Raises ValueError if it is not what the shipped file says any more."""
        shipped = (SOLUTION / self.milestone / self.file).read_text(encoding="utf-8")
        if shipped.count(self.old) != 1:
            raise ValueError(f"{self.id}: `old` occurs {shipped.count(self.old)} times in {self.file}, it must occur once")
        return shipped.replace(self.old, self.new)


def mutants(milestone: str | None = None) -> list[Mutant]:
    """Every mutant (of one milestone). Raises TypeError or KeyError naming a key that is missing or unknown."""
    found = []
    for path in sorted(SOLUTION.glob(f"{milestone or 'm*'}/mutants/*.toml")):
        home = path.parent.parent.name
        for entry in tomllib.loads(path.read_text(encoding="utf-8")).get("mutant", []):
            found.append(Mutant(**{"file": f"{path.stem}.metal", **entry}, milestone=home, op=path.stem))
    return found


def verdict(process: SpecProcess, mutant: Mutant) -> str:
    """Empty if the named test fails with the diagnosis; else what happened instead.

    A checked kernel takes seconds to compile: where the diagnosis is not a finding of checked mode, it is tried without first.
    """
    if tells_a_finding(mutant.diagnosis):
        return _verdict(process, mutant, 120, "--maxfail=1")  # every case that does not end takes ten seconds
    return _verdict(process, mutant, 20, "--checks=off") and _verdict(process, mutant, 120)


def _verdict(process: SpecProcess, mutant: Mutant, seconds: float, *extra: str) -> str:
    test = f"milestones/{mutant.milestone}/{mutant.test}"
    file = f"{mutant.milestone}/{mutant.file}"
    found = trial(process, file, mutant.text(), [test, *OPTIONS, *extra], seconds)
    failed = {name: one for name, one in found["tests"].items() if one["state"] == "failed"}
    if found["status"] < 0:
        return "the spec took too long" if found["status"] == -1 else "the process crashed"
    if not failed:
        return f"it passes: {found['passed']} tests, {found['output'][-300:]}"
    elsewhere = [name for name in failed if name.partition("[")[0] != test]
    if elsewhere:
        return f"something else failed: {elsewhere[0]}: {failed[elsewhere[0]]['report'][:500]}"
    if not any(mutant.diagnosis in one["report"] for one in failed.values()):
        return f"caught, but not with the words {mutant.diagnosis!r}:\n{next(iter(failed.values()))['report']}"
    return ""


def specs(chosen: Sequence[Mutant]) -> list[str]:
    """The spec files that these mutants' tests are in."""
    return sorted({f"milestones/{m.milestone}/{m.test.partition('::')[0]}" for m in chosen})


def _run(words: Sequence[str]) -> Iterator[str]:
    chosen = [m for m in mutants(words[0] if words else None) if list(words[1:]) == [m.op, m.name][: len(words) - 1]]
    if not chosen:
        yield f"there is no mutant {'/'.join(words)}"
        return
    with spec_process([*specs(chosen), *OPTIONS]) as process:
        for mutant in chosen:
            problem = verdict(process, mutant)
            print(f"{'NOT CAUGHT' if problem else 'caught'}  {mutant.id}: {mutant.mistake}", flush=True)
            if problem:
                yield f"{mutant.id}: {problem}"


if __name__ == "__main__":
    problems = list(_run(sys.argv[1:]))
    print(*problems, sep="\n\n")
    sys.exit(1 if problems else 0)
