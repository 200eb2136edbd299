"""What an exported site knows of the cache: steps along likely continuations, and the rest by what it depends on alone.

A cell depends on the tokens up to its own, a rewind and a fork on how many tokens there are: none on all that came after.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from milestones.diagrams.recorder import Recorder

EXAMPLES = (("A cat", "The cat sat on the"), ("A tale", "Once upon a time"))
DTYPES = ("float32", "float16")
GROWN = 16  # steps of the likeliest continuation: a run of the page
FORKED = 3  # steps of a branch that begins with the second likeliest
Ids = tuple[int, ...]


def recording(recorder: Recorder) -> None:
    """The walk of each example; cache_recorded.js finds in it what the page asks."""
    made: dict[str, Any] = {}
    for number, (_, text) in enumerate(EXAMPLES):
        with recorder.example(text):
            walk = Walk(recorder, text)
            made[text] = {"file": recorder.floats(f"cache-{number}.bin", *walk.cells()), **walk.told()}
    recorder.data = {"examples": made, "dtypes": DTYPES}


class Walk:
    """Steps from one prompt on, in every dtype, by what came after the prompt."""

    def __init__(self, recorder: Recorder, text: str):
        self._recorder, self._text = recorder, text
        self._steps: dict[Ids, dict[str, Any]] = {}
        self._visit(())
        trunk = dict.fromkeys([(), *(at for dtype in DTYPES for at in self._follow((), dtype, GROWN))])
        for at in trunk:
            for dtype in DTYPES:
                for branch in self._second(at, dtype):
                    list(self._follow(branch, dtype, FORKED - 1))
        self._longest = max(self._steps, key=len)
        self._prompt = len(self._steps[()][DTYPES[0]]["tokens"])

    def _ask(self, endpoint: str, at: Ids, dtype: str, **more: Any) -> Any:
        return self._recorder.answer(endpoint, text=self._text, appended=list(at), dtype=dtype, **more)

    def _visit(self, at: Ids) -> None:
        if at not in self._steps:
            self._steps[at] = {dtype: self._ask("step", at, dtype) for dtype in DTYPES}

    def cells(self) -> list[np.ndarray]:
        """For each token, those of the prompt and then that of each step, in their order: (dtypes, layers, numbers)."""
        made: dict[Ids, np.ndarray] = {}
        for at in sorted(self._steps, key=len, reverse=True):  # of the longest first: every other is looked at beside it
            for n in range(len(at), 0, -1):
                if at[:n] in made:
                    break
                made[at[:n]] = self._token(at, self._prompt + n - 1)
        prompt = [self._token(self._longest, token) for token in range(self._prompt)]
        return prompt + [made[at] for at in self._steps if at]

    def _token(self, at: Ids, token: int) -> np.ndarray:
        layers = range(self._steps[()][DTYPES[0]]["layers"])
        asked = [[self._ask("cell", at, dtype, layer=layer, token=token) for layer in layers] for dtype in DTYPES]
        return np.array([[_numbers(cell) for cell in row] for row in asked])

    def _follow(self, at: Ids, dtype: str, steps: int) -> Iterator[Ids]:
        """The likeliest tokens after these, one more at a time."""
        for _ in range(steps):
            told = self._steps[at][dtype]
            if told["ended"]:
                return
            at = (*at, told["next"][0]["id"])
            self._visit(at)
            yield at

    def _second(self, at: Ids, dtype: str) -> Iterator[Ids]:
        told = self._steps[at][dtype]
        if not told["ended"]:
            branch = (*at, told["next"][1]["id"])
            self._visit(branch)
            yield branch

    def told(self) -> dict[str, Any]:
        """All but the cells; a step's number is that of its row of them. `forks` and `rewinds` are milliseconds, by how many
        tokens came after the prompt: before the rewind, and after it.
        """
        first = self._steps[()][DTYPES[0]]
        lengths = [self._longest[:n] for n in range(len(self._longest) + 1)]
        return {
            **{name: first[name] for name in ("tokens", "layers", "limit")},
            "memory": {dtype: self._steps[()][dtype]["memory"] for dtype in DTYPES},
            "steps": {",".join(map(str, at)): {"number": n, **_step(told)} for n, (at, told) in enumerate(self._steps.items())},
            "forks": {dtype: [self._ask("fork", at, dtype)["ms"] for at in lengths] for dtype in DTYPES},
            "rewinds": {dtype: [self._rewinds(at, dtype) for at in lengths] for dtype in DTYPES},
        }

    def _rewinds(self, at: Ids, dtype: str) -> list[float]:
        """From these tokens to each shorter text, the prompt first. Each time a fork is rewound: the loop itself stays."""
        found = []
        for to in range(self._prompt, self._prompt + len(at) + 1):
            self._ask("fork", at, dtype)
            found.append(self._ask("rewind", at, dtype, to=to)["ms"])
        return found


def _step(told: dict[str, Any]) -> dict[str, Any]:
    """The last token, and what else a step does not share with others."""
    own = ("cached", "uncached", "apart", "next", "ended")
    return {"token": told[DTYPES[0]]["tokens"][-1], **{dtype: {name: told[dtype][name] for name in own} for dtype in DTYPES}}


def _numbers(cell: dict[str, Any]) -> np.ndarray:
    """K's, then V's: norms, elements, the same computed anew, how far apart, the largest."""
    names = ("norms", "elements", "anew", "apart", "largest")
    return np.concatenate([np.atleast_1d(cell[half][name]) for half in "kv" for name in names])
