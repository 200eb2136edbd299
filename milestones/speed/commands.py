"""`firstlight bench` and `firstlight profile`: thin, as every command."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from milestones.errors import UserError
from milestones.options import ACTIVATION_TYPE, CACHE_TYPE, DTYPES, MODEL, QUIET, model_path, sampling, settings_of
from milestones.terminal import Progress, check_interrupt, read_stdin, tables, write

NAIVE = click.option("--naive", is_flag=True, help="Run on m2's and m4's kernels, which the fast ones are proved against.")


@click.command(short_help="Tokens a second, by context length.")
@click.option("--contexts", default="128,512,1024,2048", show_default=True, metavar="N,N,…", help="The frontiers, in tokens.")
@click.option("--new", type=click.IntRange(min=1), default=16, show_default=True, help="Tokens decoded at each frontier.")
@click.option("--against", metavar="NAMES", help="Others to measure in the same run: llama.cpp, transformers.")
@click.option("--csv", "csv_file", type=click.Path(path_type=Path), help="Write the rows there.")
@click.option("--plot", type=click.Path(path_type=Path), help="Write a picture there (SVG).")
@CACHE_TYPE
@ACTIVATION_TYPE
@NAIVE
@QUIET
@MODEL
def bench(
    contexts: str, new: int, against: str | None, csv_file: Path | None, plot: Path | None, cache_type: str,
    activation_type: str, naive: bool, quiet: bool, model: Path | None,
) -> None:  # fmt: skip
    """The loop end to end: prefill up to each frontier and decode from there, with the cache's bytes.

    Medians of several rounds; engines take turns. Compare within one run only. On Linux the device is the portable one.
    `--cache-type` and `--activation-type` are ours: llama.cpp keeps halves, transformers floats.
    """
    from milestones.m7.engine import Engine
    from milestones.speed import chart, frontiers
    from milestones.speed.others import OTHERS, others

    names = [name.strip() for name in against.split(",")] if against else []
    unknown = [name for name in names if name not in OTHERS]
    if unknown:
        raise UserError(f"--against knows {' and '.join(OTHERS)}, not {unknown[0]!r}")
    _need_folder(csv_file, plot)
    if csv_file is not None and csv_file == plot:
        raise UserError(f"--csv and --plot name one file, {str(plot)!r}: give two")
    path = model_path(model, quiet)

    with Progress(quiet) as progress:
        kernels, kept = "naive" if naive else "fast", DTYPES[activation_type]
        engine = Engine(path, progress=progress, kernels=kernels, activations=kept)
        chosen = frontiers.contexts_of(contexts, engine.model.config.context, new)
        capacity = chosen[-1] + new
        runners: list[frontiers.Runner] = [frontiers.Ours(engine, capacity, DTYPES[cache_type])]
        missing = []
        for other in others(names, path, capacity):
            if isinstance(other, str):
                missing.append(other)
            else:
                runners.append(other)

        def told(what: str, done: int, total: int) -> None:
            check_interrupt()
            progress(what, done, total)

        rows = frontiers.run(runners, frontiers.prompt(engine, chosen[-1]), chosen, new, told)
    about = frontiers.machine() | {"model": path.name, "memory_read_bytes_per_second": round(frontiers.bandwidth())}
    with tables() as console:
        _show(console, rows)
    bound = about["memory_read_bytes_per_second"]
    write(f"{about['device']}, {about['processors']} processors; memory is read at {bound / 1e9:.1f} GB/s\n")
    for row in rows:
        if row.bytes_read and row.engine == "firstlight":
            share = row.bytes_read * row.decode / bound
            read = f"{row.bytes_read / 1e6:.0f} MB of weights and cache"
            write(f"at {row.context} tokens a step reads {read}: {share:.0%} of what the memory could give\n")
    for line in missing:
        write(f"{line}\n")
    if csv_file is not None:
        csv_file.write_text(frontiers.as_csv(rows, about), encoding="utf-8")
    if plot is not None:
        series: dict[str, list[tuple[float, float]]] = {}
        for row in rows:
            series.setdefault(f"{row.engine}, decode", []).append((row.context, row.decode))
            series.setdefault(f"{row.engine}, prefill", []).append((row.context, row.prefill))
        plot.write_text(chart.lines(series, "context, tokens", "tokens a second", log_x=True), encoding="utf-8")


def _need_folder(*files: Path | None) -> None:
    """Before anything is measured: a file that cannot be written for want of a folder, or because it is one, is a UserError."""
    for file in files:
        if file is not None and file.is_dir():
            raise UserError(f"{str(file)!r} cannot be written: it is a folder")
        if file is not None and not file.absolute().parent.is_dir():
            raise UserError(f"{str(file)!r} cannot be written: there is no folder {str(file.absolute().parent)!r}")


def _show(console, rows) -> None:
    from rich.table import Table

    table = Table("engine", "context", "prefill tok/s", "decode tok/s", "spread", "cache MB")
    for row in rows:
        cache = f"{row.cache_bytes / 1e6:.1f}" if row.cache_bytes else ""
        table.add_row(row.engine, str(row.context), f"{row.prefill:.1f}", f"{row.decode:.1f}", f"{row.spread:.0%}", cache)
    console.print(table)


@click.command(short_help="Where a decode step's time goes.")
@click.argument("prompt")
@click.option("--svg", type=click.Path(path_type=Path), help="Write the picture there.")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON instead.")
@sampling(temperature=0.0)
@NAIVE
@QUIET
@MODEL
def profile(
    prompt: str, svg: Path | None, as_json: bool, naive: bool, quiet: bool, model: Path | None, **sampling: Any
) -> None:
    """The time of each kernel and each block in a decode step after PROMPT (`-`: standard input), and what is not kernels.

    Every kernel is waited for, by turns with steps as the engine does them; medians. On Linux the device is the portable one.
    """
    from milestones.speed import flame
    from milestones.speed.profile import measure

    _need_folder(svg)
    prompt = read_stdin().removesuffix("\n") if prompt == "-" else prompt
    path = model_path(model, quiet)
    with Progress(quiet) as progress:
        found = measure(path, prompt, progress, kernels="naive" if naive else "fast", settings=settings_of(**sampling))
    frame = found.frame()
    if svg is not None:
        svg.write_text(flame.svg(frame), encoding="utf-8")
    if as_json:
        write(json.dumps(asdict(found) | {"shares": found.shares()}) + "\n")
        return
    with tables() as console:
        from rich.table import Table

        table = Table("kernel", "runs", "ms", "share of kernels", title=f"a decode step at {found.context} tokens of context")
        for file, runs, seconds in found.by_kernel():
            table.add_row(file, str(runs), f"{seconds * 1e3:.3f}", f"{seconds / found.kernels:.1%}")
        console.print(table)
        width = console.width
    parts = ", ".join(f"{name} {share:.0%}" for name, share in found.shares().items())
    write(f"as the engine does it: {found.step * 1e3:.2f} ms: {parts} ({len(found.runs)} runs)\n\n")
    blocks = [child for child in frame.children if child.name.startswith("block ")]
    write(flame.text(flame.Frame.of(frame.name, [flame.Frame(c.name, c.seconds) for c in frame.children]), width))
    if blocks:
        middle = sorted(blocks, key=lambda block: block.seconds)[len(blocks) // 2]
        write(f"\nthe block in the middle, of {len(blocks)} by time:\n{flame.text(middle, width)}")


COMMANDS = (bench, profile)
