"""What an exported site knows of a diagram: the answers, files and data that its `recording` asks for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from milestones.diagrams import site
from milestones.diagrams.device import Device
from milestones.diagrams.fields import checked
from milestones.diagrams.registry import Diagram
from milestones.errors import UserError
from milestones.terminal import check_interrupt


class Recorder:
    """Asks a diagram's endpoints, and keeps the answers."""

    def __init__(self, device: Device, diagram: Diagram):
        self.device, self.diagram = device, diagram
        self.answers: dict[str, list[Any]] = {}
        self.files: dict[str, bytes] = {}
        self.data: dict[str, Any] = {}
        self.left_out: dict[str, str] = {}  # examples, and why

    @contextmanager
    def example(self, text: str) -> Iterator[None]:
        """What is recorded within belongs to that example. If this model cannot take it, nothing of it is kept."""
        check_interrupt()
        before = dict(self.answers), dict(self.files)
        try:
            yield
        except UserError as problem:
            self.answers, self.files = before
            self.left_out[text] = str(problem)

    def floats(self, name: str, *arrays: np.ndarray) -> str:
        """A file of these arrays, one after the other, as little-endian float32; its name again."""
        self.files[name] = b"".join(array.astype("<f4").tobytes() for array in arrays)
        return name

    def answer(self, endpoint: str, **request: Any) -> Any:
        """What an endpoint answers; it is not kept."""
        check_interrupt()
        asked = self.diagram.endpoints[endpoint]
        return asked.answer(self.device, **checked(asked.fields, request))

    def ask(self, endpoint: str, **request: Any) -> Any:
        """What the page would be told; its last line is handed back. Numbers must be as JavaScript writes them: 1, not 1.0."""
        answer = self.answer(endpoint, **request)
        lines = [_short(json.loads(site.encoded(line))) for line in (answer if isinstance(answer, Iterator) else (answer,))]
        self.answers[key(endpoint, request)] = lines
        return lines[-1]


def _short(value: Any) -> Any:
    """Seven digits of every fraction, as many as a float32 has: a site is downloaded."""
    match value:
        case float():
            return float(f"{value:.7g}")
        case list():
            return [_short(one) for one in value]
        case dict():
            return {name: _short(one) for name, one in value.items()}
    return value


def key(endpoint: str, request: dict[str, Any]) -> str:
    """What `replay.js` looks an answer up by."""
    return f"{endpoint} {json.dumps(request, sort_keys=True, separators=(',', ':'), ensure_ascii=False)}"
