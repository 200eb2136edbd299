"""What a Llama-type model's metadata says about its build, and which tensors follow from it.

A feature that the engine lacks is refused by name, never ignored: the model would run and be wrong.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from milestones.errors import UserError
from milestones.m1.dequantize import KINDS
from milestones.m1.gguf_file import GgufFile
from milestones.m1.gguf_values import quoted


@dataclass(frozen=True)
class LlamaConfig:
    """The sizes and constants of a Llama-type model."""

    blocks: int
    width: int  # of the residual stream
    ffn: int  # width inside the feed-forward part
    heads: int
    kv_heads: int
    head_dim: int
    rope_base: float
    eps: float  # of RMSNorm
    context: int  # most tokens at once
    vocabulary: int  # tokens, rows of the embedding
    rope_halves: bool = False  # RoPE pairs i with i + d/2 (Hugging Face's rows), not 2i with 2i + 1 (GGUF's)


# llama.* keys that are read, or that change nothing in a forward pass
_KNOWN = {
    *("block_count", "embedding_length", "feed_forward_length", "context_length", "vocab_size", "attention.head_count"),
    *("attention.head_count_kv", "attention.key_length", "attention.value_length", "attention.layer_norm_rms_epsilon"),
    *("rope.dimension_count", "rope.freq_base", "rope.scaling.original_context_length", "rope.scaling.finetuned"),
    *("tensor_data_layout",),
}
# llama.* keys of features that the engine lacks → values with which they do nothing
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "rope.scaling.type": ("none",),
    "rope.scaling.factor": (0.0, 1.0),
    "rope.scaling.attn_factor": (0.0, 1.0),
    "rope.scale_linear": (0.0, 1.0),
    "attention.sliding_window": (0,),
    "attention.causal": (True,),
    "use_parallel_residual": (False,),
    "expert_count": (0,),
    "expert_used_count": (0,),
    "logit_scale": (0.0, 1.0),
}


def read_config(file: GgufFile) -> LlamaConfig:
    """The model's LlamaConfig. Raises UserError naming the key that is missing, impossible, or asks for what is not built."""
    read = _Keys(file)
    architecture = file.metadata.get("general.architecture")
    if architecture is None:
        read.refuse("the key general.architecture is missing, so this is no model file")
    if architecture != "llama":
        read.refuse(f"its architecture is {quoted(architecture)}; only llama is supported")
    read.refuse_unbuilt()
    width, heads = read.count("embedding_length"), read.count("attention.head_count")
    kv_heads = read.count("attention.head_count_kv", heads)
    if heads % kv_heads:
        read.refuse(f"llama.attention.head_count is {heads}, no multiple of head_count_kv {kv_heads}")
    head_dim = read.count("attention.key_length", width // heads or None)
    if "llama.attention.key_length" not in file.metadata and width % heads:
        read.refuse(f"llama.embedding_length is {width}, no multiple of head_count {heads}")
    for key in ("attention.value_length", "rope.dimension_count"):
        if read.count(key, head_dim) != head_dim:
            read.refuse(f"llama.{key} is {read.count(key)} where heads have {head_dim}: that is not supported")
    if head_dim % 2:
        read.refuse(f"heads of {head_dim} elements cannot be rotated in pairs")
    tokens = file.metadata.get("tokenizer.ggml.tokens")
    return LlamaConfig(
        blocks=read.count("block_count"),
        width=width,
        ffn=read.count("feed_forward_length"),
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        rope_base=read.number("rope.freq_base", 10000.0),  # the format's default
        eps=read.number("attention.layer_norm_rms_epsilon"),
        context=read.count("context_length"),
        vocabulary=len(tokens) if isinstance(tokens, list) and tokens else read.count("vocab_size"),
    )


def implied_tensors(c: LlamaConfig) -> Iterator[tuple[str, tuple[int, ...]]]:
    """(name, shape) of every tensor that such a model must have."""
    wide, narrow = c.heads * c.head_dim, c.kv_heads * c.head_dim
    yield "token_embd.weight", (c.vocabulary, c.width)
    yield "output_norm.weight", (c.width,)
    for layer in range(c.blocks):
        yield f"blk.{layer}.attn_norm.weight", (c.width,)
        yield f"blk.{layer}.attn_q.weight", (wide, c.width)
        yield f"blk.{layer}.attn_k.weight", (narrow, c.width)
        yield f"blk.{layer}.attn_v.weight", (narrow, c.width)
        yield f"blk.{layer}.attn_output.weight", (c.width, wide)
        yield f"blk.{layer}.ffn_norm.weight", (c.width,)
        yield f"blk.{layer}.ffn_gate.weight", (c.ffn, c.width)
        yield f"blk.{layer}.ffn_up.weight", (c.ffn, c.width)
        yield f"blk.{layer}.ffn_down.weight", (c.width, c.ffn)


def check_tensors(file: GgufFile, config: LlamaConfig) -> None:
    """Raises UserError naming a tensor that is missing, has another shape or an unknown type, or that nothing would use."""
    read, used = _Keys(file), {"output.weight"}
    for name, shape in implied_tensors(config):
        if name not in file.tensors:
            read.refuse(f"tensor {name} of shape {shape} is missing")
        _check_tensor(read, name, shape)
        used.add(name)
    if "output.weight" in file.tensors:  # without one, the embedding serves as the output head
        _check_tensor(read, "output.weight", (config.vocabulary, config.width))
    unused = next((name for name in file.tensors if name not in used), None)
    if unused is not None:
        read.refuse(f"tensor {quoted(unused)} belongs to a feature that is not supported")


def _check_tensor(read: _Keys, name: str, shape: tuple[int, ...]) -> None:
    info = read.file.tensors[name]
    if info.shape != shape:
        read.refuse(f"tensor {name} has shape {info.shape}, expected {shape}")
    if info.type not in KINDS:
        read.refuse(f"tensor {name} has type {info.type}; only {', '.join(KINDS)} are supported")


class _Keys:
    """A file's `llama.` keys, read with complaints that name them."""

    def __init__(self, file: GgufFile):
        self.file = file

    def refuse(self, problem: str) -> NoReturn:
        raise UserError(f"{quoted(self.file.path)}: {problem}: give another model")

    def count(self, key: str, default: int | None = None) -> int:
        value = self.file.metadata.get(f"llama.{key}", default)
        if value is None:
            self.refuse(f"the key llama.{key} is missing")
        if type(value) is not int or not 0 < value < 1 << 31:
            self.refuse(f"llama.{key} must be a whole number above 0, it is {quoted(value)}")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        value = self.file.metadata.get(f"llama.{key}", default)
        if value is None:
            self.refuse(f"the key llama.{key} is missing")
        if type(value) not in (int, float) or not (0 < value < math.inf):
            self.refuse(f"llama.{key} must be a number above 0, it is {quoted(value)}")
        return float(value)

    def refuse_unbuilt(self) -> None:
        if self.file.metadata.get("split.count", 1) not in (0, 1):
            self.refuse("this is one part of a model in several files (split.count), which is not supported")
        for full, value in self.file.metadata.items():
            key = full.removeprefix("llama.")
            if key != full and key not in _KNOWN and value not in _NEUTRAL.get(key, ()):
                self.refuse(f"{quoted(full)} is {quoted(value)}, a feature that is not supported")
