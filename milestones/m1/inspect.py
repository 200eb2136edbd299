"""What a model file holds, for a person: `firstlight inspect`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import fields
from pathlib import Path

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from milestones.errors import UserError
from milestones.m1.dequantize import KINDS
from milestones.m1.gguf_values import quoted
from milestones.m1.model_file import ModelFile, check_tensors, open_model


def show(path: Path, console: Console, kinds: Collection[str] = KINDS) -> None:
    """Print what the file or folder holds. Raises UserError if it is no model; one that cannot be run is shown all the same.

    `kinds` are the types of tensors that can be run.
    """
    console.print(describe(open_model(path), kinds))


def describe(file: ModelFile, kinds: Collection[str] = KINDS) -> Group:
    """Tensors, bytes by type, summary, verdict: what matters most last. The file's text is shown as it is, never as markup."""
    return Group(_tensors(file), _totals(file), _summary(file), _verdict(file, kinds))


def _summary(file: ModelFile) -> Table:
    facts = {"file": file.path, "format": file.format, **file.facts}
    try:
        config = file.config()
        keys = [key for key in facts if "." in key]  # the file's own words for what follows
        facts = {key: value for key, value in facts.items() if key not in keys}
        values = {field.name.replace("_", " "): getattr(config, field.name) for field in fields(config)}
        facts |= {name: value for name, value in values.items() if value != ()}
    except UserError:  # of another architecture
        pass
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for key, value in facts.items():
        table.add_row(Text(key), Text(_said(value), overflow="fold"))
    return table


def _said(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_said, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else f"{value:g}" if isinstance(value, float) else quoted(value)


def _tensors(file: ModelFile) -> Table:
    table = Table(title=f"{len(file.tensors):,} tensors", title_justify="left")
    table.add_column("name", overflow="fold")
    table.add_column("shape", overflow="fold")
    table.add_column("type")
    table.add_column("bytes", justify="right")
    for t in file.tensors.values():
        table.add_row(Text(quoted(t.name)), Text(" × ".join(map(str, t.shape))), Text(t.type), Text(_bytes(t.nbytes)))
    return table


def _totals(file: ModelFile) -> Table:
    table = Table(title="by type", title_justify="left")
    for name in ("type", "tensors", "bytes"):
        table.add_column(name, justify="left" if name == "type" else "right")
    count: Counter[str] = Counter()
    size: Counter[str] = Counter()
    for t in file.tensors.values():
        count[t.type] += 1
        size[t.type] += t.nbytes
    for kind, number in count.most_common():
        table.add_row(Text(kind), f"{number:,}", _bytes(size[kind]))
    table.add_row("all", f"{count.total():,}", f"{size.total():,}")
    return table


def _bytes(size: int) -> str:
    return f"{size:,}" if size else "unknown"


def _verdict(file: ModelFile, kinds: Collection[str]) -> Text:
    try:
        check_tensors(file, file.config(), kinds)
    except UserError as problem:
        return Text(f"cannot be run: {str(problem).removeprefix(quoted(file.path)).lstrip(':/ ')}")
    return Text("can be run: every tensor that the architecture implies is there, with the right shape and a supported type")
