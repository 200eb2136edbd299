"""What there is to write: each milestone's ops in the order of its course, with files, specs and hints (exercise.toml)."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from metal.source import SOLUTION
from milestones.errors import UserError


@dataclass(frozen=True)
class Op:
    """One exercise. `files` are the stubs' names, the same as the shipped files'; `hints` are nudge, approach, near-answer."""

    milestone: str
    name: str
    files: tuple[str, ...]
    spec: str
    task: str
    hints: tuple[str, str, str]

    @property
    def spec_path(self) -> Path:
        return SOLUTION / self.milestone / self.spec

    @property
    def command(self) -> str:
        """What to type to test it."""
        return f"pytest milestones/{self.milestone}/{self.spec}"

    @property
    def first_failure(self) -> str:
        """What to type to see its first failure alone."""
        return self.command.replace("pytest ", "pytest -x ", 1)


def folder(milestone: str) -> Path:
    """Where a milestone's stubs are."""
    return SOLUTION / milestone / "exercise"


@cache
def ops(milestone: str) -> tuple[Op, ...]:
    """A milestone's ops, in order. Raises UserError for a milestone without exercises."""
    path = folder(milestone) / "exercise.toml"
    if not path.is_file():
        raise UserError(f"there is no exercise for {milestone!r}: there are {', '.join(milestones())}")
    listed = tomllib.loads(path.read_text(encoding="utf-8"))["op"]
    return tuple(
        Op(milestone, o["name"], tuple(o["files"]), o["spec"], o["task"], tuple(h.strip("\n") for h in o["hints"]))
        for o in listed  # a hint's first line keeps the indentation that it shares with the others
    )


def op(milestone: str, name: str) -> Op:
    """One op by name. Raises UserError naming those there are."""
    for one in ops(milestone):
        if one.name == name:
            return one
    raise UserError(f"{milestone} has no op {name!r}: it has {', '.join(o.name for o in ops(milestone))}")


def milestones() -> list[str]:
    """Every milestone with exercises, in the order of the course."""
    return sorted(path.parent.parent.name for path in SOLUTION.glob("m*/exercise/exercise.toml"))


def title(milestone: str) -> str:
    """The first heading of a milestone's README."""
    for line in (SOLUTION / milestone / "README.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            return line.removeprefix("# ")
    return milestone
