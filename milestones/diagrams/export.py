"""`firstlight diagrams --export DIR`: the pages as files that any web host can serve, with some of the engine's answers.

A diagram takes part if it has a `recording`. What a page then asks is looked up in NAME.json by `page/replay.js`, or computed
from recorded numbers by the diagram's own NAME_recorded.js, where there is one.
"""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType

from milestones.diagrams import site
from milestones.diagrams.device import Device
from milestones.diagrams.recorder import Recorder
from milestones.diagrams.registry import Diagram, diagrams
from milestones.errors import UserError
from milestones.m1.gguf_values import quoted
from milestones.terminal import forget_interrupt, on_interrupt

REPLAYS = 'export { recorded } from "./replay.js";\n'  # recorded.js, which says that nobody answers but the recording


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
    """SIGTERM within ends the process as Ctrl-C does, at the recorder's next step at the latest, with its usual status."""
    came = []

    def end(number: int, frame: FrameType | None) -> None:
        came.append(number)
        on_interrupt(number, frame)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    except KeyboardInterrupt:
        if not came:
            raise
        forget_interrupt()
        raise SystemExit(128 + signal.SIGTERM) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def _files(device: Device, told: Callable[[str], None]) -> dict[str, bytes]:
    shown, made = list[Diagram](), dict[str, bytes]()
    for diagram in diagrams():
        recorder = Recorder(device, diagram)
        if diagram.recording is None:
            continue
        told(f"recording {diagram.name}")
        try:
            diagram.recording(recorder)
        except UserError as problem:
            told(f"  left out: {problem}")
            continue
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
