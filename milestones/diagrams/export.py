"""`firstlight diagrams --export DIR`: the pages as files that any web host can serve, with some of the engine's answers.

A diagram takes part if it has a `recording`. What a page then asks is looked up in NAME.json by `page/replay.js`, or computed
from recorded numbers by the diagram's own NAME_recorded.js, where there is one.
"""

from __future__ import annotations

import json
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from milestones.diagrams import site
from milestones.diagrams.device import Device
from milestones.diagrams.fields import checked
from milestones.diagrams.registry import Diagram, diagrams
from milestones.errors import UserError
from milestones.m1.gguf_values import quoted

REPLAYS = 'export { recorded } from "./replay.js";\n'  # recorded.js, which says that nobody answers but the recording


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


def export(device: Device, folder: Path, told: Callable[[str], None]) -> int:
    """Write the site into `folder`, which must not be there or be empty; `told` hears a line of each diagram, and of each
    example that this model cannot take. Returns its bytes.

    Raises UserError; then, and after Ctrl-C or SIGTERM, nothing is left behind.
    """
    folder = folder.absolute()
    parent = folder.resolve().parent
    try:
        if not parent.is_dir():
            raise UserError(f"there is no folder {quoted(parent)} to write {quoted(folder.name)} into: make it first")
        if folder.is_symlink() or folder.resolve() == Path.cwd().resolve():
            what = "a link" if folder.is_symlink() else "where you are"
            raise UserError(f"{quoted(folder)} is {what}: name a folder that is not there yet")
        if folder.exists() and any(folder.iterdir()):
            raise UserError(f"{quoted(folder)} is not empty: name a folder that is not there yet")
        made = Path(tempfile.mkdtemp(prefix=".export-", dir=parent))
    except OSError as problem:
        raise UserError(f"{quoted(folder)} cannot be written ({problem.strerror}): name another folder") from None
    try:
        with _terminated():
            files = _files(device, told)
            for path, data in files.items():
                place = made / path
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(data)
            made.chmod(0o755)
            if folder.exists():
                folder.rmdir()
            made.rename(folder)
    except OSError as problem:
        raise UserError(f"{quoted(folder)} cannot be written ({problem.strerror}): name another folder") from None
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return sum(map(len, files.values()))


@contextmanager
def _terminated() -> Iterator[None]:
    """SIGTERM within ends the process as Ctrl-C does, by an exception, with the status that a shell gives it."""

    def end(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _files(device: Device, told: Callable[[str], None]) -> dict[str, bytes]:
    shown, made = list[Diagram](), dict[str, bytes]()
    for diagram in diagrams():
        recorder = Recorder(device, diagram)
        if diagram.recording is None:
            continue
        told(f"recording {diagram.name}")
        diagram.recording(recorder)
        for text, why in recorder.left_out.items():
            told(f"  without “{text}”: {why}")
        examples = tuple(one for one in diagram.examples if one[1] not in recorder.left_out)
        if examples:  # a page begins with its first one
            shown.append(replace(diagram, examples=examples))
            answers = {"answers": recorder.answers, "data": recorder.data, "computes": diagram.recorded_script.exists()}
            made |= {f"{diagram.name}.json": site.encoded(answers), **recorder.files}
    names = {one.name for one in shown}
    others = [one for one in diagrams() if one.name not in names]
    left_out = {site.page(one) for one in others} | {script.name for one in others for script in site.scripts(one)}
    made |= {path: served.data() for path, served in site.table().items() if path and path not in left_out}
    return made | {"catalog.json": site.catalog(tuple(shown)), "recorded.js": REPLAYS.encode()}
