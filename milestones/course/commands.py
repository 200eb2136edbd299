"""The course's commands: start, list, progress, hint, watch, solution, next."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import click

from milestones.errors import UserError
from milestones.terminal import tables, write

MARKS = {"proved": "✓", "failed": "✗", "changed": "~", "untested": "?", "stub": "·"}
STATES = {
    "proved": "proved",
    "failed": "its spec fails",
    "changed": "changed since its last test",
    "untested": "not tested yet",
    "stub": "not begun",
}


@click.command(short_help="Begin a milestone's exercises.")
@click.argument("milestone")
@click.option("--reset", is_flag=True, help="Begin again; what you have is kept as mN.backup-DATE.")
def start(milestone: str, reset: bool) -> None:
    """Copy MILESTONE's stubs (m0 … m7) to workbook/MILESTONE/. Files that are there already stay as they are."""
    from milestones.course import exercises, workbook

    written, backup = workbook.start(milestone, reset=reset)
    if backup:
        write(f"your files are kept in {shown(backup)}\n")
    write("".join(f"{shown(path)}\n" for path in written) or f"all of {milestone} is in your workbook already\n")
    write(f"read milestones/{milestone}/README.md; then: {_next_of(_first_open(exercises.ops(milestone)))}\n")


@click.command("list", short_help="The course: milestones and their exercises.")
def list_() -> None:
    """Every milestone's exercises, in order, with how yours stand."""
    from milestones.course import exercises, results, workbook

    verdicts, started = results.load(), workbook.started()
    with tables() as console:
        from rich.table import Table

        for milestone in exercises.milestones():
            table = Table(title=exercises.title(milestone), title_justify="left", box=None, pad_edge=False, show_header=False)
            for op in exercises.ops(milestone):
                state = STATES[results.state(op, verdicts)] if milestone in started else "not started"
                table.add_row(f"  {milestone}", op.name, op.task, state)
            console.print(table)


@click.command(short_help="How far you are.")
def progress() -> None:
    """A bar for each milestone: how many of its ops passed their whole spec when you ran it, and have not changed since."""
    from milestones.course import exercises, results, workbook

    verdicts, started = results.load(), workbook.started()
    lines = []
    for milestone in exercises.milestones():
        ops = exercises.ops(milestone)
        states = {op.name: results.state(op, verdicts) if milestone in started else "stub" for op in ops}
        done = sum(state == "proved" for state in states.values())
        bar = "█" * round(10 * done / len(ops)) + "░" * (10 - round(10 * done / len(ops)))
        words = "  ".join(f"{MARKS[state]} {name}" for name, state in states.items()) if milestone in started else "not started"
        kept = [verdicts[f"{milestone}/{name}"] for name, state in states.items() if state in ("proved", "failed")]
        tests = f"; tests: {_three(kept)}" if kept else ""
        lines.append(f"{milestone} {bar} {done} of {len(ops)}  {words}{tests}")
    used = {"proved", *(results.state(op, verdicts) for m in started for op in exercises.ops(m))}
    lines.append("; ".join(f"{MARKS[state]} {STATES[state]}" for state in STATES if state in used))
    write("\n".join(lines) + "\n")


def _three(verdicts: list[Any]) -> str:
    counts = {"passed": sum(v.passed for v in verdicts), "failed": sum(v.failed for v in verdicts)}
    counts["not run here"] = sum(v.not_run for v in verdicts)
    return ", ".join(f"{count} {state}" for state, count in counts.items())


@click.command(short_help="A nudge, the approach, nearly the answer.")
@click.argument("milestone")
@click.argument("op", required=False)
@click.option("--step", type=click.IntRange(1, 3), default=1, show_default=True, help="1: nudge, 2: approach, 3: near-answer.")
def hint(milestone: str, op: str | None, step: int) -> None:
    """A hint for OP of MILESTONE; without OP, for the one that is next."""
    from milestones.course import exercises

    if milestone not in exercises.milestones():
        homes = [m for m in exercises.milestones() if any(o.name == milestone for o in exercises.ops(m))]
        raise UserError(f"which milestone? firstlight hint {homes[0]} {milestone}" if homes else f"there is no {milestone!r}")
    one = exercises.op(milestone, op) if op else _first_open(exercises.ops(milestone)) or exercises.ops(milestone)[-1]
    names = ("nudge", "approach", "near-answer")
    write(f"{milestone} {one.name}, {names[step - 1]} ({step} of 3)\n\n{one.hints[step - 1]}\n")
    if step < 3:
        write(f"\nmore: firstlight hint {milestone} {one.name} --step {step + 1}\n")


@click.command(short_help="The difference between yours and ours.")
@click.argument("milestone")
@click.argument("op")
@click.option("--spoil", is_flag=True, help="Show it even though your spec has not passed.")
def solution(milestone: str, op: str, spoil: bool) -> None:
    """What would have to change in your file to make it ours; once its spec has passed, or with --spoil."""
    from metal.source import LARGEST, SOLUTION, too_large
    from milestones.course import exercises, results, workbook

    one = exercises.op(milestone, op)
    if not spoil and (milestone not in workbook.started() or results.state(one) != "proved"):
        raise UserError(f"{milestone} {op} is not proved yet ({one.command}): to see ours all the same, add --spoil")
    for name in one.files:
        mine, ours = workbook.path_of(one, name), SOLUTION / milestone / name
        if mine.is_file() and mine.stat().st_size > LARGEST:
            raise UserError(too_large(shown(mine)))
        before = mine.read_text(encoding="utf-8", errors="replace") if mine.is_file() else ""
        lines = difflib.unified_diff(
            _without_header(before), _without_header(ours.read_text(encoding="utf-8")),
            f"yours/{milestone}/{name}", f"ours/{milestone}/{name}",
        )  # fmt: skip
        write("".join(line if line.endswith("\n") else f"{line}\n" for line in lines) or f"{name}: yours is ours\n")


def _without_header(text: str) -> list[str]:
    """A file's lines from its first one that is no comment: the contract is not what is compared."""
    lines = text.splitlines(keepends=True)
    return lines[next((n for n, line in enumerate(lines) if not line.startswith("//")), 0) :]


@click.command("next", short_help="What to do now.")
@click.argument("milestone", required=False)
def next_(milestone: str | None) -> None:
    """What to do now, in one line: in MILESTONE while it is open, else in the first that is."""
    from milestones.course import exercises, workbook

    started = workbook.started()
    if milestone and (opened := _first_open(exercises.ops(milestone))):
        write(f"{_next_of(opened) if milestone in started else f'firstlight start {milestone}'}\n")
        return
    opened = next((op for milestone in started if (op := _first_open(exercises.ops(milestone)))), None)
    if opened:
        write(_next_of(opened) + "\n")
        return
    if not started:
        write("firstlight start m1   (it teaches what a GPU does; m0 can come after it)\n")
        return
    left = [milestone for milestone in exercises.milestones() if milestone not in started]
    write(f"firstlight start {left[0]}\n" if left else 'all is proved: firstlight generate --workbook "The cat sat on the"\n')


def _first_open(ops: Any) -> Any:
    """The first op that is not proved."""
    from milestones.course import results

    verdicts = results.load()
    return next((op for op in ops if results.state(op, verdicts) != "proved"), None)


def _next_of(op: Any) -> str:
    """One line: what to do about an op that is not proved; None: all of a milestone's are."""
    from milestones.course import results, workbook

    if op is None:
        return "firstlight next"
    verdicts = results.load()
    verdict = verdicts.get(f"{op.milestone}/{op.name}")
    path = shown(workbook.path_of(op))
    match results.state(op, verdicts):
        case "stub":
            return f"write {path} ({op.task.rstrip('.')}), then: {op.first_failure}"
        case "failed":
            again = f"pytest '{verdict.first_failure}'" if verdict and verdict.first_failure else op.first_failure
            return f"mend {path}, then: {again}"
        case _:
            return f"test {path}: {op.first_failure}"


def shown(path: Path) -> str:
    """A path as one would type it."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


@click.command(short_help="Test again at every save.")
@click.argument("milestone")
@click.argument("op", required=False)
def watch(milestone: str, op: str | None) -> None:
    """Test MILESTONE's ops in your workbook whenever you save: first a quick look, then the whole spec. Ctrl-C ends it."""
    from milestones.course.watch import watch as follow

    follow(milestone, op)


COMMANDS = (start, list_, progress, hint, watch, solution, next_)
