"""Has a kernel become slower? Compares pytest-benchmark's JSON files of runs, by ratios only.

    pytest milestones tests --benchmark-only --benchmark-json=new.json
    python -m milestones.speed.regressions new.json before/*.json [--again second.json] [--summary FILE.md] [--plot FILE.svg]

A benchmark's figure is its least time divided by that of its group's baseline in the same run: machines differ, the same one is
now slow, now fast, and what disturbs only adds. The runs before, oldest first, say what is normal and how much it varies. Exit
status 1 if a kernel of ours became slower by more than that; others' are in the table. Where the same code was measured a
second time, slow is what was slow both times.
"""

from __future__ import annotations

import json
import math
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from milestones.errors import UserError
from milestones.speed import chart

ENOUGH = 3  # runs before this one, without which nothing is called slower
LEAST = 0.25  # a margin is never smaller: few runs may agree by chance, and memory lies elsewhere in each process
SPREADS = 4.0  # how many typical deviations a margin is; of the logarithm of a ratio
BASELINE = "baseline"  # extra_info["role"] of the benchmark that its group is divided by
OURS = "kernel"  # what the role of a kernel of ours begins with; of that alone an alarm is raised


def ratios(document: dict[str, Any]) -> dict[str, float]:
    """name → least time ÷ that of its group's baseline, for every benchmark of a JSON document that has one.

    Raises UserError if the document is none of pytest-benchmark's, or has a time that none can be divided by.
    """
    try:
        found = [(b["fullname"], b["group"], b["stats"]["min"], b["extra_info"].get("role")) for b in document["benchmarks"]]
        right = all(isinstance(name, str) and isinstance(group, str | None) for name, group, _, _ in found)
        # of numbers alone: what compares with none raises TypeError
        wrong = [(name, least) for name, _, least, _ in found if not sys.float_info.min <= least <= sys.float_info.max]
    except (KeyError, TypeError, AttributeError):
        right, wrong = False, []
    if not right:
        raise UserError("this is not what pytest --benchmark-json writes")
    if wrong:
        raise UserError(f"the least time of {wrong[0][0]} is {wrong[0][1]}: a time is above 0")
    bases = {group: least for _, group, least, role in found if role == BASELINE}
    return {name: least / bases[group] for name, group, least, role in found if role != BASELINE and group in bases}


def ours(document: dict[str, Any]) -> set[str]:
    """The names of the benchmarks that time a kernel of ours."""
    return {b["fullname"] for b in document["benchmarks"] if str(b["extra_info"].get("role")).startswith(OURS)}


@dataclass(frozen=True)
class Change:
    """A benchmark's ratio now, the median of those before (None if there are too few), and how much more is still normal."""

    name: str
    now: float
    before: float | None
    margin: float

    @property
    def factor(self) -> float:
        """How many times as long as before."""
        return self.now / self.before if self.before else 1.0

    @property
    def slower(self) -> bool:
        """Whether it is more than the runs before can explain."""
        return self.before is not None and self.factor > 1 + self.margin

    @property
    def faster(self) -> bool:
        return self.before is not None and self.factor < 1 / (1 + self.margin)

    @property
    def arrow(self) -> str:
        return "▲ slower" if self.slower else "▼ faster" if self.faster else "–" if self.before else "new"


def changes(now: dict[str, float], before: Sequence[dict[str, float]]) -> list[Change]:
    """Each benchmark of now beside its own past. The margin is learnt from how the runs before differ from each other."""
    made = []
    for name, ratio in sorted(now.items()):
        past = [found[name] for found in before if name in found]
        if len(past) < ENOUGH:
            made.append(Change(name, ratio, None, LEAST))
            continue
        middle = statistics.median(past)
        # the median deviation of logarithms: one bad run among those before must not widen it; 1.48 makes it comparable
        # with a standard deviation, and few runs say little: (1 + 2 / n) allows for it
        typical = 1.48 * statistics.median(abs(math.log(value / middle)) for value in past) * (1 + 2 / len(past))
        made.append(Change(name, ratio, middle, max(LEAST, math.expm1(SPREADS * typical))))
    return made


def summary(found: Sequence[Change]) -> str:
    """A table in Markdown, the worst first."""
    lines = ["| benchmark | ÷ baseline | before | change | margin | |", "|---|---:|---:|---:|---:|---|"]
    for change in sorted(found, key=lambda change: -change.factor):
        before = f"{change.before:.3f}" if change.before else ""
        moved = f"{change.factor - 1:+.0%}" if change.before else ""
        name = change.name.replace("|", "\\|")
        lines.append(f"| {name} | {change.now:.3f} | {before} | {moved} | ±{change.margin:.0%} | {change.arrow} |")
    return "\n".join(lines) + "\n"


def _read(path: Path) -> tuple[dict[str, float], set[str]]:
    """Its ratios, and the names of ours."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise UserError(f"{str(path)!r} cannot be read ({problem.strerror})") from None
    except (ValueError, RecursionError):
        raise UserError(f"{str(path)!r} is no JSON file") from None
    try:
        return ratios(document), ours(document)
    except UserError as problem:
        raise UserError(f"{str(path)!r}: {problem}") from None


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as problem:
        click.echo(f"regressions: {str(path)!r} cannot be written ({problem.strerror})", err=True)
        sys.exit(2)


@click.command(help=__doc__)
@click.argument("now", type=click.Path(path_type=Path))
@click.argument("before", nargs=-1, type=click.Path(path_type=Path))
@click.option("--again", type=click.Path(path_type=Path), help="A second run of the same code; the smaller ratios count.")
@click.option("--summary", "table", type=click.Path(path_type=Path), help="Write the table there (Markdown).")
@click.option("--plot", type=click.Path(path_type=Path), help="Write a picture of every ratio's history there (SVG).")
def main(now: Path, before: tuple[Path, ...], again: Path | None, table: Path | None, plot: Path | None) -> None:
    try:
        past, (current, mine) = [_read(path)[0] for path in before], _read(now)
        second = _read(again)[0] if again is not None else current
        if not current:
            raise UserError(f"{str(now)!r} has no benchmark with a baseline")
    except UserError as problem:
        click.echo(f"regressions: {problem}", err=True)
        sys.exit(2)
    current = {name: min(ratio, second.get(name, ratio)) for name, ratio in current.items()}
    found = changes(current, past)
    text = summary(found)
    click.echo(text, nl=False)
    if table is not None:
        _write(table, text)
    if plot is not None:
        runs = [*past, current]
        history = {name: [(n + 1.0, run[name]) for n, run in enumerate(runs) if name in run] for name in sorted(current)}
        shown = {name.rpartition("::")[2]: points for name, points in history.items()}
        _write(plot, chart.lines(shown, "run", "time ÷ baseline's"))
    slower = [change for change in found if change.slower and change.name in mine]
    for change in slower:
        words = f"{change.factor:.2f} times as long as before, beside its baseline; up to {1 + change.margin:.2f} is normal"
        click.echo(f"slower: {change.name}: {words}", err=True)
    sys.exit(1 if slower else 0)


if __name__ == "__main__":
    main()
