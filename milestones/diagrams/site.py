"""The table of everything that is served: no path of a request ever becomes a path of the disk."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from metal.source import ROOT
from milestones.diagrams.ladder import ladder
from milestones.diagrams.registry import Diagram, diagrams

PAGE = Path(__file__).parent / "page"
_KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@dataclass(frozen=True)
class Served:
    """One thing that is served: its media type, what makes its bytes, and the model that a page will ask first."""

    kind: str
    data: Callable[[], bytes]
    model: str | None = None


@cache
def table() -> dict[str, Served]:
    """Path (without the first slash) → what is there. Pages, scripts and styles lie side by side, kernels under source/."""
    shell = Served("text/html; charset=utf-8", (PAGE / "shell.html").read_bytes)
    made = {"": shell, "index.html": shell, "catalog.json": Served("application/json", lambda: catalog(diagrams()))}
    made |= {path.name: _served(path) for path in sorted(PAGE.iterdir()) if path.suffix in _KINDS and path.name != "shell.html"}
    files = {name for rung in ladder() for name in rung.files}
    for diagram in diagrams():
        made |= {page(diagram): replace(shell, model=diagram.model), **{path.name: _served(path) for path in scripts(diagram)}}
        files |= set(diagram.files)
    return made | {f"source/{name}": Served("text/plain; charset=utf-8", (ROOT / name).read_bytes) for name in sorted(files)}


def page(diagram: Diagram) -> str:
    """The path of its page."""
    return f"{diagram.name}.html"


def scripts(diagram: Diagram) -> list[Path]:
    """Its modules: NAME.js, and what that is parted into or recorded by."""
    return sorted(diagram.script.parent.glob(f"{diagram.name}*.js"))


def found(path: str) -> Served | None:
    """What is served there, None if nothing is."""
    return table().get(path)


def _served(path: Path) -> Served:
    return Served(f"{_KINDS[path.suffix]}; charset=utf-8", path.read_bytes)


def catalog(shown: tuple[Diagram, ...]) -> bytes:
    """What the shell asks first: these diagrams, and the ladder."""
    rungs = [rung.told() for rung in ladder()]
    return json.dumps({"diagrams": [one.told() for one in shown], "ladder": rungs}).encode()


def encoded(value: Any) -> bytes:
    """An answer as JSON: NumPy's numbers and arrays may be in it, NaN may not."""
    return json.dumps(value, allow_nan=False, separators=(",", ":"), default=lambda array: array.tolist()).encode()
