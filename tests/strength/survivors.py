"""Generic mutation of the kernels: which small changes no spec notices.

    python -m tests.strength.survivors [m2 [attention]] [--sample 40 --seed 1] [--jobs 2] [--json FILE]

makes every mutant of tests/strength/mutate.py in turn (all of them: hours), runs the specs of the file it is in, and says which
survive that milestones/mN/mutants/equivalent.toml does not list with a reason. Finished results are kept (--kept FILE), so that
a run that was broken off goes on; they count only while kernel and specs are the same.
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from metal.paths import cache_dir
from metal.source import SOLUTION
from tests.strength.farm import Farm
from tests.strength.judge import OPTIONS, STATES, Judge, Verdict, specs_of
from tests.strength.mutate import Generic, mutants_of
from tests.strength.trial import users_of

LIE = "LISTED AS EQUIVALENT, but"
FILES = [path for path in sorted(SOLUTION.glob("m*/*")) if path.suffix in (".metal", ".h")]


def all_mutants(milestone: str = "m*", stem: str = "*") -> list[Generic]:
    """The mutants of a milestone's kernels and headers; of one, named without its ending."""
    chosen = [path for path in FILES if path.match(f"{milestone}/{stem}.*")]
    return [m for path in chosen for m in mutants_of(f"{path.parent.name}/{path.name}", path.read_text(encoding="utf-8"))]


def equivalents() -> dict[str, str]:
    """The id of every mutant that is listed as equivalent, "attention.metal | …", and why it is."""
    found = {}
    for path in sorted(SOLUTION.glob("m*/mutants/equivalent.toml")):
        for entry in tomllib.loads(path.read_text(encoding="utf-8"))["equivalent"]:
            found |= {id: entry["reason"] for id in entry["ids"]}
    return found


def sample(size: int, seed: int, chosen: Sequence[Generic]) -> list[Generic]:
    """So many of these mutants, the same for the same seed."""
    return random.Random(seed).sample(chosen, min(size, len(chosen)))


class Kept:
    """Results in a file of JSON lines, each with a digest of what it was found from."""

    def __init__(self, path: Path):
        self._path, self._found, self._digests = path, {}, {}
        path.parent.mkdir(parents=True, exist_ok=True)
        for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
            entry = json.loads(line)
            self._found[entry["id"], entry["digest"]] = Verdict(entry["state"], entry["by"])

    def _digest(self, file: str) -> str:
        if file not in self._digests:
            users = [SOLUTION / name for name in users_of(file)]
            headers = [header for home in dict.fromkeys(path.parent for path in users) for header in sorted(home.glob("*.h"))]
            texts = [p.read_bytes() for p in (*headers, *users, *(SOLUTION / spec for spec in specs_of(file)))]
            self._digests[file] = hashlib.sha256(b"\0".join(texts)).hexdigest()[:16]
        return self._digests[file]

    def get(self, mutant: Generic) -> Verdict | None:
        return self._found.get((mutant.id, self._digest(mutant.file)))

    def add(self, mutant: Generic, verdict: Verdict) -> None:
        entry = {"id": mutant.id, "digest": self._digest(mutant.file), "state": verdict.state, "by": verdict.by}
        self._found[mutant.id, entry["digest"]] = verdict
        with self._path.open("a", encoding="utf-8") as out:
            out.write(json.dumps(entry, ensure_ascii=False) + "\n")


def judge_all(chosen: Sequence[Generic], kept: Kept, judge: Judge, jobs: int) -> Iterator[tuple[Generic, Verdict]]:
    """Each mutant's verdict: those that are kept, then the others as they come."""
    before = {mutant: found for mutant in chosen if (found := kept.get(mutant))}
    yield from before.items()
    left = {mutant.id: mutant for mutant in chosen if mutant not in before}
    specs = sorted({str(SOLUTION / spec) for mutant in left.values() for spec in specs_of(mutant.file)})
    with Farm([*specs, *OPTIONS], {name: partial(judge, mutant=m) for name, m in left.items()}, jobs) as farm:
        for name, verdict in farm.as_they_end():
            if verdict.state != "survived" or judge.thorough:
                kept.add(left[name], verdict)
            yield left[name], verdict


def table(found: dict[str, Counter[str]]) -> Table:
    """A line a file, and the sums."""
    total: Counter[str] = Counter()
    made = Table("file", "mutants", *STATES, "killed %", title="generic mutants of the kernels; killed %: of those that differ")
    for file, counts in [*sorted(found.items()), ("all", total)]:
        total += counts if file != "all" else Counter()
        differ = counts["killed"] + counts["survived"]
        share = f"{counts['killed'] / differ:.1%}" if differ else ""
        made.add_row(file, str(sum(counts.values())), *(str(counts[state]) for state in STATES), share)
    return made


@click.command(help=__doc__)
@click.argument("milestone", default="m*")
@click.argument("name", default="*")
@click.option("--sample", "size", type=int, help="So many of them, taken at random.")
@click.option("--seed", type=int, default=1, show_default=True, help="What --sample's choice begins from.")
@click.option("--jobs", type=int, default=2, show_default=True, help="Processes.")
@click.option("--listed", is_flag=True, help="Only those that are listed as equivalent: do they survive?")
@click.option("--quick", is_flag=True, help="A first look: without checks, at one width only. Survivors of it are not kept.")
@click.option("--json", "results", type=click.Path(path_type=Path), help="Write what each came to there.")
@click.option("--kept", type=click.Path(path_type=Path), default=cache_dir() / "mutants.jsonl", help="Finished results.")
def main(milestone, name, size, seed, jobs, listed, quick, results, kept) -> None:
    chosen, listing, console = all_mutants(milestone, name), equivalents(), Console(highlight=False)
    if not chosen:
        raise click.ClickException(f"there are no kernels {milestone}/{name}")
    chosen = [m for m in chosen if m.id in listing] if listed else chosen
    chosen = sample(size, seed, chosen) if size else chosen
    run = [m for m in chosen if listed or m.id not in listing]
    verdicts = {m: Verdict("equivalent", "listed") for m in chosen if m not in run}
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=len(run))
        for mutant, verdict in judge_all(run, Kept(kept), Judge(1 if quick else None), jobs):
            if mutant.id in listing:
                lie = verdict.state != "survived"
                verdict = Verdict(verdict.state, f"{LIE}: {verdict.by}") if lie else Verdict("equivalent", "")
            verdicts[mutant] = verdict
            console.print(f"{verdict.state:16} {mutant.place}  {verdict.by}", soft_wrap=True, markup=False)
            progress.update(task, advance=1, description=mutant.file)
    counts: dict[str, Counter[str]] = {}
    for mutant, verdict in verdicts.items():
        counts.setdefault(mutant.file, Counter())[verdict.state] += 1
    console.print(table(counts))
    survivors = [m for m, v in verdicts.items() if v.state == "survived"]
    lies = [m for m, v in verdicts.items() if v.by.startswith(LIE)]
    for mutant in [*survivors, *lies]:
        console.print(f"{verdicts[mutant].state}: {mutant.place}\n  id: {mutant.id}", soft_wrap=True, markup=False)
    if results:
        entries = [{"id": m.id, "place": m.place, "state": v.state, "by": v.by} for m, v in verdicts.items()]
        results.write_text(json.dumps(entries, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    sys.exit(1 if survivors or lies else 0)


if __name__ == "__main__":
    main()
