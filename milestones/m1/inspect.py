"""What a model file holds, for a person: `firstlight inspect`."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from milestones.errors import UserError
from milestones.m1.config import check_tensors, read_config
from milestones.m1.gguf_file import GgufFile
from milestones.m1.gguf_values import quoted


def show(path: Path, console: Console) -> None:
    """Print what the file holds. Raises UserError if it is no GGUF file; one that cannot be run is shown all the same."""
    console.print(describe(GgufFile(path)))


def describe(file: GgufFile) -> Group:
    """Summary, tensors, bytes by type and a verdict. All text from the file is shown as it is, never as markup."""
    return Group(_summary(file), _tensors(file), _totals(file), _verdict(file))


def _summary(file: GgufFile) -> Table:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for key, value in _facts(file):
        table.add_row(Text(key), Text(quoted(value), overflow="fold"))
    return table


def _facts(file: GgufFile) -> list[tuple[str, Any]]:
    data = file.metadata
    facts: list[tuple[str, Any]] = [("file", file.path), ("format", f"GGUF version {file.version}, {len(data)} keys")]
    names = {"general.name": "name", "general.license": "licence", "general.architecture": "architecture"}
    facts += [(ours, data[key]) for key, ours in names.items() if key in data]
    try:
        config = read_config(file)
        facts += [(field.name.replace("_", " "), getattr(config, field.name)) for field in fields(config)]
    except UserError:  # of another architecture: the file's own words
        prefix = f"{data.get('general.architecture')}."
        facts += [(key, value) for key, value in data.items() if key.startswith(prefix) and not isinstance(value, list)]
    tokens, merges = data.get("tokenizer.ggml.tokens"), data.get("tokenizer.ggml.merges")
    kinds = [data[key] for key in ("tokenizer.ggml.model", "tokenizer.ggml.pre") if key in data]
    if kinds or tokens:
        sizes = [f"{len(tokens):,} tokens"] if isinstance(tokens, list) else []
        sizes += [f"{len(merges):,} merges"] if isinstance(merges, list) else []
        facts.append(("tokenizer", ", ".join([" ".join(map(str, kinds)) or "of no stated kind", *sizes])))
    else:
        facts.append(("tokenizer", "none"))
    return facts


def _tensors(file: GgufFile) -> Table:
    table = Table(title=f"{len(file.tensors):,} tensors", title_justify="left")
    table.add_column("name", overflow="fold")
    table.add_column("shape", overflow="fold")
    table.add_column("type")
    table.add_column("bytes", justify="right")
    for t in file.tensors.values():
        table.add_row(Text(quoted(t.name)), Text(" × ".join(map(str, t.shape))), Text(t.type), Text(_bytes(t.nbytes)))
    return table


def _totals(file: GgufFile) -> Table:
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


def _verdict(file: GgufFile) -> Text:
    try:
        check_tensors(file, read_config(file))
    except UserError as problem:
        return Text(f"cannot be run: {str(problem).removeprefix(f'{quoted(file.path)}: ')}")
    return Text("can be run: every tensor that the architecture implies is there, with the right shape and a supported type")
