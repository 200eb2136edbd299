"""Which diagrams there are. A diagram is a module `milestones/mN/diagram/NAME.py` with a `DIAGRAM`, and NAME.js beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metal.source import ROOT
from milestones.diagrams.fields import Field

if TYPE_CHECKING:
    from milestones.diagrams.recorder import Recorder

# Every diagram, in the order of the pages. The name of the page is the last part.
MODULES = (
    "milestones.m0.diagram.tokenizer",
    "milestones.m2.diagram.attention",
    "milestones.m2.diagram.rope",
    "milestones.m2.diagram.residual",
    "milestones.m3.diagram.sampling",
    "milestones.m4.diagram.cache",
    "milestones.m5.diagram.quantization",
    "milestones.m7.diagram.journey",
)


@dataclass(frozen=True)
class Endpoint:
    """`answer(device, **request)` runs in the device's thread: it returns what goes out as JSON, or yields lines of it."""

    fields: Mapping[str, Field]
    answer: Callable[..., dict[str, Any] | Iterator[dict[str, Any]]]
    streams: bool = False  # whether it yields


@dataclass(frozen=True)
class Diagram:
    """A page: what it says beside the picture, and what its module may ask. Texts are plain, in whole sentences."""

    name: str  # of the page, its module and its script
    milestone: str
    title: str
    lead: str  # one or two sentences above the picture
    notes: tuple[str, ...]  # "What you are seeing"
    files: tuple[str, ...]  # that made the numbers, from the top of the repository; the first ones are kernels
    sources: tuple[str, ...]  # book section, ds4 file, papers
    endpoints: Mapping[str, Endpoint]
    model: str | None = None  # that its first request needs, by its name in Device: made as soon as the page is asked for
    examples: tuple[tuple[str, str], ...] = ()  # name and text, if the page offers any
    recording: Callable[[Recorder], None] | None = None  # what an exported site knows; without it, it leaves the page out
    recorded: str = ""  # what of that is recorded, and what the exported page computes itself

    @property
    def recorded_script(self) -> Path:
        """What computes answers in an exported site, where there is one."""
        return self.script.with_name(f"{self.name}_recorded.js")

    @property
    def script(self) -> Path:
        return ROOT / "milestones" / self.milestone / "diagram" / f"{self.name}.js"

    def told(self) -> dict[str, Any]:
        """What the page needs to know of it."""
        return {
            key: getattr(self, key)
            for key in ("name", "milestone", "title", "lead", "notes", "files", "sources", "examples", "recorded")
        }


@cache
def diagrams() -> tuple[Diagram, ...]:
    """All of them, in order."""
    return tuple(import_module(module).DIAGRAM for module in MODULES)
