"""Commands for who teaches with the course or adds to it: new, grade."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import click

from milestones.errors import UserError
from milestones.terminal import Progress, tables, write


@click.command(short_help="Lay out the files of a new op.")
@click.argument("op")
@click.option("--milestone", required=True, metavar="mN", help="Where it belongs: m0 … m7.")
def new(op: str, milestone: str) -> None:
    """Write the files that a new OP takes: reference, spec, kernel, host, mistakes, stub, mutants, a place in the course.

    Their gaps are marked TO WRITE, and the op's spec fails with those words until they are filled.
    """
    from milestones.course import new_op

    written = new_op.lay_out(op, milestone)
    write("".join(f"{path.as_posix()}\n" for path in written))
    write(f"fill what they mark {new_op.GAP}, in this order (CONTRIBUTING.md: Add an op in five steps); to see what is next:\n")
    write(f"pytest -x milestones/{milestone}/test_{op}.py\n")


COLOURS = {"proved": "green", "failed": "red", "too long": "red", "crashed": "red", "refused": "red"}


@click.command(short_help="Grade a workbook.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--milestone", metavar="mN", help="Only this one.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of a table.")
@click.option("--seconds", type=click.FloatRange(min=1), default=120, show_default=True, help="At most so long for each op.")
@click.option("--memory", type=click.FloatRange(min=0.5), default=8, show_default=True, help="At most so many GB for each op.")
def grade(folder: Path, milestone: str | None, as_json: bool, seconds: float, memory: float) -> None:
    """Test the workbook DIR (with m0/, m1/, … in it) against the shipped specs and say what state each op is in.

    Python exercises run as you: what is and what is not protected stands in CONTRIBUTING.md (Grade a class). Exit status 0
    whatever the grades.
    """
    for option, value in (("--seconds", seconds), ("--memory", memory)):
        if not math.isfinite(value):
            raise UserError(f"{option} must be a finite number, got {value}")
    from milestones.course import grade as grading
    from milestones.course.sealed_run import Limits

    with Progress(quiet=False) as progress:
        grades = grading.grade(folder, milestone, Limits(seconds, memory), progress)
    if as_json:
        write(json.dumps(grading.record(folder, grades), indent=1, ensure_ascii=False) + "\n")
        return
    with tables() as console:
        _show(grades, console)


def _show(grades: list[Any], console: Any) -> None:
    """A row for each op, a line for each milestone."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for heading in ("", "op", "state"):
        table.add_column(heading, no_wrap=True)
    for heading in ("passed", "failed", "not run here"):
        table.add_column(heading, justify="right")
    table.add_column("why")
    for one in grades:
        first = one.first_failure
        why = one.reason if not first else f"{first['sentence'] or first['test']}: {first['wrong']}"
        counts = (one.passed, one.failed, one.not_run)
        numbers = [str(count) for count in counts] if any(counts) else [""] * 3
        state = Text(one.state, style=COLOURS.get(one.state, ""))
        table.add_row(one.milestone, one.op, state, *numbers, Text(why[:300]))
    console.print(table)
    for milestone in dict.fromkeys(one.milestone for one in grades):
        mine = [one for one in grades if one.milestone == milestone]
        console.print(f"{milestone}: {sum(one.state == 'proved' for one in mine)} of {len(mine)} proved")


COMMANDS = (new, grade)
