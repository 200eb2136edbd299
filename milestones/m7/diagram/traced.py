"""Passes of the loop, each run of a kernel timed and sorted into the stage that it belongs to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from metal.tensor import Tensor
from metal.timed import TimedGpu, medians
from milestones.m1.config import LlamaConfig
from milestones.m2.model import Forward, Model
from milestones.m6.model import FastModel
from milestones.m7.diagram.stages import Plan, Ref, Stage

GRAIN = 1e6  # times are whole microseconds, so that they add up as they are shown; none is below one


@dataclass(frozen=True)
class Run:
    """One run of a kernel: its file, whole microseconds, and the tensors it was given (None for what is none)."""

    file: str
    us: int
    given: tuple[Tensor | None, ...]


def timed(gpu: TimedGpu, once: Callable[[], Any], rounds: int, waited: float) -> tuple[list[Run], float]:
    """The runs of `once()`, medians of several rounds less what an empty run takes, and the seconds without a wait between.

    It must do the same at every call. The first call is not counted: there kernels are compiled or loaded.
    """
    gpu.measured(once, apart=False)
    whole, _ = gpu.measured(once, apart=False)
    given: list[tuple[Tensor | None, ...]] = []
    apart = []
    for at in range(rounds):
        gpu.heard = None if at else lambda arguments: given.append(tuple(map(_tensor, arguments)))
        try:
            apart.append(gpu.measured(once, apart=True)[1])
        finally:
            gpu.heard = None
    found = zip(medians(apart, waited), given, strict=True)
    return [Run(file, microseconds(seconds), tensors) for (file, seconds), tensors in found], whole


def microseconds(seconds: float) -> int:
    return max(1, round(seconds * GRAIN))


def _tensor(argument: Any) -> Tensor | None:
    return argument if isinstance(argument, Tensor) else None


class Sorted:
    """Runs taken from the front, stage by stage. Raises RuntimeError where they are not what a plan says."""

    def __init__(self, runs: Sequence[Run]):
        self._runs, self._at = list(runs), 0

    def take(self, stage: Stage) -> list[Run]:
        first = self._at
        while self._at < len(self._runs) and self._runs[self._at].file in stage.files:
            self._at += 1
        return self._runs[first : self._at]

    def all(self, stages: Sequence[Stage]) -> list[list[Run]]:
        """Each stage's, none of them empty."""
        found = [self.take(stage) for stage in stages]
        for stage, runs in zip(stages, found, strict=True):
            if not runs:
                raise RuntimeError(f"no run of {' or '.join(stage.files)} where {stage.title} was expected")
        return found

    def end(self) -> None:
        if self._at < len(self._runs):
            raise RuntimeError(f"{self._runs[self._at].file} ran where nothing was expected")


def split(runs: Sorted, plan: Plan, config: LlamaConfig, rounds: int) -> list[list[list[Run]]]:
    """[before, block 0, …, after], each a list of stages, each a list of runs. `rounds`: tokens that are fed one by one."""
    parts = [plan.before, *(plan.stages(config, layer) for layer in range(config.blocks))]
    made: list[list[list[Run]]] = [[[] for _ in stages] for stages in parts]
    for _ in range(rounds):
        for part, stages in zip(made, parts, strict=True):
            for held, more in zip(part, runs.all(stages), strict=True):
                held += more
    return [*made, runs.all(plan.after)]


@dataclass(frozen=True)
class Weight:
    """A weight of the model as its kernels read it. `kind` is its numbers' type."""

    name: str
    shape: tuple[int, ...]
    kind: str


def weights(model: Forward) -> dict[int, Weight]:
    """The model's weights by the id() of their buffers, which live as long as the model."""
    c = model.config
    assert isinstance(model, Model | FastModel)
    return {id(buffer): weight for buffer, weight in (_naive(model) if isinstance(model, Model) else _packed(model, c))}


def _plain(name: str, tensor: Tensor) -> tuple[Any, Weight]:
    return tensor.buffer, Weight(name, tensor.shape, str(tensor.dtype))


def _naive(model: Model) -> Iterator[tuple[Any, Weight]]:
    for block in model.blocks:
        yield from (_plain(name, tensor) for name, tensor in block.items())
    yield _plain("output_norm", model.norm)
    yield _plain("token_embd" if model.config.tied else "output", model.head)


def _packed(model: FastModel, c: LlamaConfig) -> Iterator[tuple[Any, Weight]]:
    narrow = c.kv_heads * c.head_dim
    for block in model.blocks:
        yield from (_plain(name, tensor) for name, tensor in (("attn_norm", block.attn_norm), ("ffn_norm", block.ffn_norm)))
        rows = c.heads * c.head_dim + 2 * narrow
        yield block.qkv.data.buffer, Weight("attn_q, attn_k, attn_v", (rows, c.width), block.qkv.kind)
        beside = {"attn_q, attn_k, attn_v biases": block.qkv.bias, "attn_q_norm, attn_k_norm": block.qkv.norms}
        yield from (_plain(name, tensor) for name, tensor in beside.items() if tensor is not None)
        yield block.gate.data.buffer, Weight("ffn_gate, ffn_up", (2 * c.ffn, c.width), block.gate.kind)
        for name, one in (("attn_output", block.output), ("ffn_down", block.down)):
            yield one.data.buffer, Weight(name, one.shape, one.kind)
    yield _plain("output_norm", model.norm)
    yield model.head.data.buffer, Weight("output", model.head.shape, model.head.kind)
    yield model.table.data.buffer, Weight("token_embd", model.table.shape, model.table.kind)  # last: it may be the head too


def shown(name: str, shape: Sequence[int], kind: str, nbytes: int) -> dict[str, Any]:
    """A tensor as the page has it."""
    return {"name": name, "shape": list(shape), "type": kind, "bytes": nbytes}


@dataclass(frozen=True)
class Teller:
    """Says what runs were given, in a pass of `tokens` tokens from position `start` on."""

    weights: dict[int, Weight]
    start: int
    tokens: int

    def tensor(self, ref: Ref, runs: Sequence[Run]) -> dict[str, Any]:
        found = [run for run in runs if ref.of in ("", run.file)][ref.call].given[ref.argument]
        assert found is not None
        shape = found.shape
        if ref.rows != "all":
            shape = (self.tokens if ref.rows == "new" else self.start + self.tokens, *shape[1:])
        nbytes = found.nbytes * shape[0] // found.shape[0]
        return shown(ref.label, shape, str(found.dtype), nbytes)

    def read(self, runs: Sequence[Run], rows: int = 0) -> list[dict[str, Any]]:
        """The weights that the runs read, each once. Of a table only so many `rows` are, if that is given."""
        seen = {id(one.buffer): one for run in runs for one in run.given if one is not None and id(one.buffer) in self.weights}
        made = []
        for key, tensor in seen.items():
            w = self.weights[key]
            looked_up = bool(rows) and len(w.shape) == 2
            shape = (rows, *w.shape[1:]) if looked_up else w.shape
            made.append(
                shown(
                    f"{w.name}, rows looked up" if looked_up else w.name, shape, w.kind, tensor.nbytes * shape[0] // w.shape[0]
                )
            )
        return made

    def stage(self, stage: Stage, runs: Sequence[Run], *, rows: int = 0) -> dict[str, Any]:
        """All of a stage but its times."""
        return {
            **named(stage, [run.file for run in runs]),
            "ins": [self.tensor(ref, runs) for ref in stage.ins],
            "weights": self.read(runs, rows),
            "outs": [self.tensor(ref, runs) for ref in stage.outs],
        }


def named(stage: Stage, files: Sequence[str]) -> dict[str, Any]:
    return {
        "title": stage.title,
        "what": stage.what,
        "page": stage.page,
        "files": [f"milestones/{file}.metal" for file in files],
    }


def times(part: Sequence[Sequence[Run]]) -> list[list[int]]:
    """[stage][run] microseconds."""
    return [[run.us for run in runs] for runs in part]
