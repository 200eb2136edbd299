"""The sizes of a Llama-type model, and which tensors follow from them.

A feature that the engine lacks is refused by name, never ignored: the model would run and be wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

from milestones.errors import UserError
from milestones.m1.gguf_values import quoted
from milestones.m1.rope_scaling import Stretch

MAX_HEAD_DIM = 256  # what m2's and m4's attention kernels hold in registers
LARGEST_FLOAT = 3.4e38
BIASED = ("attn_q", "attn_k", "attn_v", "attn_output")  # projections that may add a bias
ROPE_FACTORS = "rope_freqs.weight"  # GGUF's name for the tensor of `LlamaConfig.rope_factors`


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
    tied: bool = True  # the embedding serves as the output head too
    architecture: str = "llama"  # GGUF's name, one of ARCHITECTURES
    biases: tuple[str, ...] = ()  # projections that add a bias, of BIASED
    qk_norm: bool = False  # RMSNorm on each head of q and k, before RoPE
    unrotated: tuple[int, ...] = ()  # blocks without RoPE
    rope_factors: tuple[float, ...] = ()  # each pair's frequency is divided by its factor; none: by 1
    rope_scale: float = 1.0  # what RoPE turns is multiplied by it
    stretched: Stretch | None = None  # what the last two were made of, where the settings name one factor


def implied_tensors(c: LlamaConfig) -> Iterator[tuple[str, tuple[int, ...]]]:
    """(name, shape) of every tensor that such a model must have."""
    wide, narrow = c.heads * c.head_dim, c.kv_heads * c.head_dim
    rows = {"attn_q": wide, "attn_k": narrow, "attn_v": narrow, "attn_output": c.width}
    yield "token_embd.weight", (c.vocabulary, c.width)
    yield "output_norm.weight", (c.width,)
    for layer in range(c.blocks):
        yield f"blk.{layer}.attn_norm.weight", (c.width,)
        yield f"blk.{layer}.attn_q.weight", (wide, c.width)
        yield f"blk.{layer}.attn_k.weight", (narrow, c.width)
        yield f"blk.{layer}.attn_v.weight", (narrow, c.width)
        yield f"blk.{layer}.attn_output.weight", (c.width, wide)
        for name in c.biases:
            yield f"blk.{layer}.{name}.bias", (rows[name],)
        if c.qk_norm:
            yield f"blk.{layer}.attn_q_norm.weight", (c.head_dim,)
            yield f"blk.{layer}.attn_k_norm.weight", (c.head_dim,)
        yield f"blk.{layer}.ffn_norm.weight", (c.width,)
        yield f"blk.{layer}.ffn_gate.weight", (c.ffn, c.width)
        yield f"blk.{layer}.ffn_up.weight", (c.ffn, c.width)
        yield f"blk.{layer}.ffn_down.weight", (c.width, c.ffn)
    if not c.tied:
        yield "output.weight", (c.vocabulary, c.width)


def stretched(c: LlamaConfig, how: Stretch, read: Keys) -> LlamaConfig:
    """The sizes with RoPE for longer texts; as they are for none. Raises UserError for what no angles can be made of."""
    if how.factor == 1 and how.attention is None:
        return c
    if how.kind == "yarn" and how.fast <= how.slow:
        read.refuse(f"beta_fast is {how.fast:g}, not above beta_slow {how.slow:g}")
    if how.kind == "yarn" and c.rope_base <= 1:
        read.refuse("YaRN needs a RoPE whose base is above 1")
    return replace(c, rope_factors=how.factors(c.rope_base, c.head_dim), rope_scale=how.scale, stretched=how)


class Keys:
    """A model's settings by key, read with complaints that name them."""

    def __init__(self, path: Path, values: Mapping[str, Any], prefix: str = ""):
        self._path, self._values, self._prefix = path, values, prefix

    def refuse(self, problem: str) -> NoReturn:
        raise UserError(f"{quoted(self._path)}: {problem}: give another model")

    def has(self, key: str) -> bool:
        """Whether the key is there, and not null."""
        return self._values.get(self._prefix + key) is not None

    def count(self, key: str, default: int | None = None) -> int:
        """A whole number above 0; `default` where the key is missing or null."""
        value = self._value(key, default)
        if type(value) is not int or not 0 < value < 1 << 31:
            self.refuse(f"{self._prefix}{key} must be a whole number above 0, it is {quoted(value)}")
        return value

    def number(self, key: str, default: float | None = None, *, least: float = 1e-30) -> float:
        """A number from `least` on that float32 can hold; `default` where the key is missing or null."""
        value = self._value(key, default)
        if type(value) not in (int, float) or not (least <= value < LARGEST_FLOAT):
            self.refuse(f"{self._prefix}{key} must be a number from {least:g} to {LARGEST_FLOAT:.4g}, it is {quoted(value)}")
        return float(value)

    def flag(self, key: str, default: bool = False) -> bool:
        """True or false; `default` where the key is missing or null."""
        value = self._value(key, default)
        if not isinstance(value, bool):
            self.refuse(f"{self._prefix}{key} is {quoted(value)}: neither true nor false")
        return value

    def check_heads(self, c: LlamaConfig) -> None:
        """Raises UserError for heads that cannot be grouped, or rotated."""
        if c.heads % c.kv_heads:
            self.refuse(f"it has {c.heads} attention heads, no multiple of its {c.kv_heads} key-value heads")
        if c.head_dim % 2:
            self.refuse(f"heads of {c.head_dim} elements cannot be rotated in pairs")
        if c.head_dim > MAX_HEAD_DIM:
            self.refuse(f"heads of {c.head_dim} elements are not supported: at most {MAX_HEAD_DIM}")

    def _value(self, key: str, default: Any) -> Any:
        value = self._values.get(self._prefix + key)
        value = default if value is None else value
        if value is None:
            self.refuse(f"the key {self._prefix}{key} is missing")
        return value
