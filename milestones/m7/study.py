"""One forward pass for a person to look at: the likeliest tokens, every layer's output, what each sampling setting does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from milestones.errors import UserError
from milestones.files import whole_file
from milestones.m0.show import piece
from milestones.m2.model import Model
from milestones.m3.sampler import Sampler, Settings, Stages
from milestones.m7.engine import Engine
from milestones.m7.loop import Loop


def _stages(engine: Engine, ids: Sequence[int], settings: Settings) -> Stages:
    logits = Loop(engine.gpu, engine.model, capacity=len(ids)).logits(ids)  # in chunks, so that Ctrl-C need not wait for all
    return Sampler(engine.gpu, engine.model.config.vocabulary, settings).stages(logits, ids)


def next_tokens(engine: Engine, ids: Sequence[int], top: int) -> str:
    """A line for each of the `top` likeliest tokens after `ids`: id, logit, probability, piece."""
    seen = _stages(engine, ids, Settings(temperature=1.0))
    lines = []
    for token in seen.order[:top].tolist():
        shown = _shown(engine, token)
        lines.append(f"{token:>8}  {seen.logits[token]:>9.4f}  {seen.own[token]:>10.4%}  {shown}\n")
    return "".join(lines)


def save_checkpoints(engine: Engine, ids: Sequence[int], path: Path) -> None:
    """Write what the forward pass shows on its way to an .npz file: `ids`, `embedding`, `block 0` …, `norm` (tokens, width),
    `logits` (1, vocabulary) of the last token. Whole or not at all: raises UserError where the file cannot be written.
    """
    seen: dict[str, Any] = {"ids": np.asarray(ids, np.uint32)}
    cast(Model, engine.model).forward(ids, watch=seen.__setitem__)
    try:
        with whole_file(path) as file:
            np.savez(file, **seen)
    except OSError as problem:
        raise UserError(f"{str(path)!r} cannot be written ({problem.strerror}): name another file") from None


def show_stages(engine: Engine, ids: Sequence[int], settings: Settings, top: int, console: Console) -> None:
    """A table of the likeliest tokens: probabilities before and after each setting, and which one cuts a token."""
    seen = _stages(engine, ids, settings)
    columns: list[tuple[str, np.ndarray]] = [("model", seen.own)]
    if settings.repeat_penalty != 1 or settings.temperature != 1:
        columns.append((_changed(settings), seen.tempered))
    for on, name, values in (
        (settings.top_k > 0, f"top-k {settings.top_k}", seen.top_k),
        (settings.top_p < 1, f"top-p {settings.top_p:g}", seen.top_p),
        (settings.min_p > 0, f"min-p {settings.min_p:g}", seen.min_p),
    ):
        if on:
            columns.append((name, values))
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    heads = ("id", "token", "logit", *(name for name, _ in columns), "cut by")
    for name in heads:
        table.add_column(name, justify="left" if name in ("token", "cut by") else "right", no_wrap=True)
    widths = [len(name) for name in heads]
    for token in seen.order[:top].tolist():
        row, cut_by = [str(token), _shown(engine, token), f"{seen.logits[token]:.3f}"], ""
        for name, values in columns:
            row.append("" if values[token] == 0 else f"{values[token]:.1%}")
            cut_by = cut_by or (name.split()[0] if values[token] == 0 else "")
        table.add_row(*map(Text, (*row, cut_by)), style="dim" if cut_by else "")
        widths = [max(width, len(cell)) for width, cell in zip(widths, (*row, cut_by), strict=True)]
    others = sum(widths) - widths[1] + len(widths) - 1  # a token may be a hundred spaces: the numbers keep their room
    table.columns[1].max_width = max(console.width - others, len("token"))
    console.print(table)
    left = [f"{name}: {np.count_nonzero(values):,}" for name, values in columns]
    said = f"Tokens left: {', '.join(left)}. Probabilities are renormalised at each stage."
    console.print(said, highlight=False, soft_wrap=True)


def _changed(settings: Settings) -> str:
    parts = [f"penalty {settings.repeat_penalty:g}"] if settings.repeat_penalty != 1 else []
    return ", ".join([*parts, f"T {settings.temperature:g}"])


def _shown(engine: Engine, token: int) -> str:
    """A token's piece, or that the model has a row for it and its tokenizer no piece (padding of the embedding)."""
    held = engine.tokenizer.token_bytes(token)
    return piece(held) if held else "(no piece)"
