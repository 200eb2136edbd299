"""A model on disk, whichever way it is written: what `weights.py`, `inspect.py` and the engine ask of one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Protocol

from milestones.errors import UserError
from milestones.m0.vocabulary import Vocabulary
from milestones.m1.config import ROPE_FACTORS, LlamaConfig, implied_tensors
from milestones.m1.dequantize import KINDS
from milestones.m1.gguf_values import quoted


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """What is known of a stored tensor without reading it. `shape` is row-major, outermost first."""

    name: str  # the file's own name for it
    shape: tuple[int, ...]
    type: str  # "Q4_1", "F32", …
    nbytes: int  # 0 where the type's size is not known


class ModelFile(Protocol):
    """A model on disk. Its tensors go by GGUF's names ("blk.0.attn_q.weight"), whatever the file calls them."""

    path: Path
    format: str  # for a person: "GGUF version 3, 33 keys"
    chat_template: str | None  # Jinja source

    @property
    def tensors(self) -> Mapping[str, TensorInfo]: ...

    @property
    def facts(self) -> Mapping[str, Any]:
        """The file's own words, for a person: name, licence, architecture, tokenizer; settings have a dot in their names."""

    def own_name(self, name: str) -> str:
        """What the file calls, or would call, the tensor that GGUF calls `name`."""

    def raw(self, name: str) -> memoryview:
        """A tensor's bytes. Raises UserError if there is none of that name, or its bytes cannot be had."""

    def release(self) -> None:
        """Give the memory that reading took back to the system; what is asked for again is read again."""

    def config(self) -> LlamaConfig:
        """The model's sizes. Raises UserError naming the key that is missing, impossible, or asks for what is not built."""

    def vocabulary(self) -> Vocabulary:
        """The model's tokenizer. Raises UserError if there is none, or none that can be used."""


def open_model(path: Path | str) -> ModelFile:
    """The model in a GGUF file or a Hugging Face folder. Raises UserError, one line, if it is neither or damaged."""
    try:
        folder = Path(path).is_dir()
    except OSError as problem:  # a name too long, say
        raise UserError(f"{quoted(path)}: cannot be opened ({problem.strerror}): give a .gguf file or a folder") from None
    if folder:
        from milestones.m1.hf_model import HfModel  # here: its reader is a package that GGUF files do not need

        return HfModel(path)
    from milestones.m1.gguf_model import GgufModel

    return GgufModel(path)


def check_tensors(file: ModelFile, config: LlamaConfig, kinds: Collection[str] = KINDS) -> None:
    """Raises UserError naming a tensor that is missing, has another shape or an unknown type, or that nothing would use.

    `kinds` are the types that can be read: m1's, or more.
    """
    used = set()
    for name, shape in implied_tensors(config):
        info = file.tensors.get(name)
        if info is None:
            _refuse(file, f"tensor {file.own_name(name)} of shape {shape} is missing")
        if info.shape != shape:
            _refuse(file, f"tensor {info.name} has shape {info.shape}, expected {shape}")
        check_kind(file, info, kinds)
        used.add(name)
    if config.rope_factors and config.stretched is None:
        used.add(ROPE_FACTORS)  # where a file has them as a tensor, they have been read with the sizes
    unused = next((info.name for name, info in file.tensors.items() if name not in used), None)
    if unused is not None:
        _refuse(file, f"tensor {quoted(unused)} belongs to a feature that is not supported")


def check_kind(file: ModelFile, info: TensorInfo, kinds: Collection[str] = KINDS) -> None:
    """Raises UserError naming the tensor unless its type is one of `kinds`."""
    if info.type not in kinds:
        _refuse(file, f"tensor {quoted(info.name)} has type {info.type}; only {', '.join(kinds)} are supported")


def _refuse(file: ModelFile, problem: str) -> NoReturn:
    raise UserError(f"{quoted(file.path)}: {problem}: give another model")
