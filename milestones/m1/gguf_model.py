"""A model in a GGUF file: its keys read as the sizes of a model, its tokenizer, its chat template."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from milestones.m0.vocabulary import Vocabulary
from milestones.m1.architectures import ARCHITECTURES, unrotated_blocks
from milestones.m1.config import BIASED, LARGEST_FLOAT, ROPE_FACTORS, Keys, LlamaConfig, stretched
from milestones.m1.gguf_file import GgufFile
from milestones.m1.gguf_values import LISTS, quoted
from milestones.m1.rope_scaling import Stretch

# keys of the architecture that are read, or that change nothing in a forward pass
_KNOWN = {
    *("block_count", "embedding_length", "feed_forward_length", "context_length", "vocab_size", "attention.head_count"),
    *("attention.head_count_kv", "attention.key_length", "attention.value_length", "attention.layer_norm_rms_epsilon"),
    *("rope.dimension_count", "rope.freq_base", "rope.scaling.original_context_length", "rope.scaling.finetuned"),
    *("rope.scaling.type", "rope.scaling.factor", "rope.scale_linear"),
    *("rope.scaling.yarn_beta_fast", "rope.scaling.yarn_beta_slow"),
    *("tensor_data_layout",),
}
# keys of features that the engine lacks → values with which they do nothing
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "rope.scaling.attn_factor": (0.0, 1.0),
    "rope.scaling.yarn_attn_factor": (1.0,),
    "rope.scaling.yarn_ext_factor": (1.0,),
    "attention.sliding_window": (0,),
    "attention.causal": (True,),
    "use_parallel_residual": (False,),
    "expert_count": (0,),
    "expert_used_count": (0,),
    "logit_scale": (0.0, 1.0),
}


class GgufModel(GgufFile):
    """A GGUF file as a model. Opening it checks the file, not yet whether the model is one that can be run."""

    def __init__(self, path: Path | str, content: bytes | None = None):
        super().__init__(path, content)
        data = self.metadata
        self.format = f"GGUF version {self.version}, {len(data)} keys"
        template = data.get("tokenizer.chat_template")
        self.chat_template = template if isinstance(template, str) else None

    @property
    def facts(self) -> dict[str, Any]:
        """The file's own words, for a person: name, licence, architecture and its keys, tokenizer."""
        data = self.metadata
        names = {"general.name": "name", "general.license": "licence", "general.architecture": "architecture"}
        found = {ours: data[key] for key, ours in names.items() if key in data}
        prefix = f"{data.get('general.architecture')}."
        found |= {key: value for key, value in data.items() if key.startswith(prefix) and not isinstance(value, LISTS)}
        return found | {"tokenizer": self._tokenizer()}

    def _tokenizer(self) -> str:
        data = self.metadata
        kinds = [str(data[key]) for key in ("tokenizer.ggml.model", "tokenizer.ggml.pre") if key in data]
        lists = {word: data.get(f"tokenizer.ggml.{word}") for word in ("tokens", "merges")}
        sizes = [f"{len(found):,} {word}" for word, found in lists.items() if isinstance(found, LISTS)]
        return ", ".join([" ".join(kinds) or "of no stated kind", *sizes]) if kinds or sizes else "none"

    def own_name(self, name: str) -> str:
        return name

    def vocabulary(self) -> Vocabulary:
        """The tokenizer. Raises UserError naming what is missing, damaged or not supported."""
        return Vocabulary.from_gguf(self.metadata)

    def config(self) -> LlamaConfig:
        """The sizes. Raises UserError naming the key that is missing, impossible, or asks for what is not built."""
        architecture = self.metadata.get("general.architecture")
        prefix = f"{architecture}."
        read = Keys(self.path, self.metadata, prefix)
        if architecture is None:
            read.refuse("the key general.architecture is missing, so this is no model file")
        if architecture not in ARCHITECTURES:
            read.refuse(f"its architecture is {quoted(architecture)}; only {', '.join(ARCHITECTURES)} are supported")
        self._refuse_unbuilt(read, prefix)
        own = ARCHITECTURES[architecture]
        blocks, width, heads = read.count("block_count"), read.count("embedding_length"), read.count("attention.head_count")
        kv_heads = read.count("attention.head_count_kv", heads)
        head_dim = read.count("attention.key_length", width // heads or None)
        if f"{prefix}attention.key_length" not in self.metadata and width % heads:
            read.refuse(f"{prefix}embedding_length is {width}, no multiple of head_count {heads}")
        for key in ("attention.value_length", "rope.dimension_count"):
            if read.count(key, head_dim) != head_dim:
                read.refuse(f"{prefix}{key} is {read.count(key)} where heads have {head_dim}: that is not supported")
        tokens = self.metadata.get("tokenizer.ggml.tokens")
        config = LlamaConfig(
            blocks=blocks,
            width=width,
            ffn=read.count("feed_forward_length"),
            heads=heads,
            kv_heads=kv_heads,
            head_dim=head_dim,
            rope_base=read.number("rope.freq_base", 10000.0, least=1.0),  # the format's default
            eps=read.number("attention.layer_norm_rms_epsilon"),
            context=read.count("context_length"),
            vocabulary=len(tokens) if isinstance(tokens, LISTS) and tokens else read.count("vocab_size"),
            rope_halves=own.halves,
            tied="output.weight" not in self.tensors,
            architecture=architecture,
            biases=tuple(name for name in BIASED if name in own.biases or f"blk.0.{name}.bias" in self.tensors),
            qk_norm=own.qk_norm,
            unrotated=unrotated_blocks(blocks, own.unrotated_every),
        )
        read.check_heads(config)
        stretch = self._stretch(read, prefix, config)
        if ROPE_FACTORS not in self.tensors:
            return stretched(config, stretch, read) if stretch else config
        if stretch:
            read.refuse(f"it scales RoPE twice, by the tensor {ROPE_FACTORS} and by {prefix}rope.scaling.factor")
        return replace(config, rope_factors=self._rope_factors(read, head_dim // 2))

    def _stretch(self, read: Keys, prefix: str, c: LlamaConfig) -> Stretch | None:
        """One factor for RoPE, among the keys: where they name no kind it is linear, as in llama.cpp; 0 and 1 are none."""
        kind = self.metadata.get(f"{prefix}rope.scaling.type", "linear")
        key = next((key for key in ("rope.scaling.factor", "rope.scale_linear") if read.has(key)), None)
        factor = read.number(key, least=0.0) if key else 1.0
        if kind not in ("none", "linear", "yarn"):
            read.refuse(f"{prefix}rope.scaling.type is {quoted(kind)}, a feature that is not supported")
        if factor in (0.0, 1.0):
            return None
        if kind == "none" or factor < 1:
            read.refuse(f"{prefix}{key} is {factor:g} where rope.scaling.type is {kind}: that is not supported")
        if kind == "linear":
            return Stretch("linear", factor)
        fast, slow = read.number("rope.scaling.yarn_beta_fast", 32.0), read.number("rope.scaling.yarn_beta_slow", 1.0)
        return Stretch("yarn", factor, read.count("rope.scaling.original_context_length", c.context), fast, slow)

    def _rope_factors(self, read: Keys, pairs: int) -> tuple[float, ...]:
        """Scaled RoPE lies in the file as a tensor, which belongs to the sizes: the tables of angles are made from it."""
        info = self.tensors[ROPE_FACTORS]
        if (info.type, info.shape) != ("F32", (pairs,)):
            read.refuse(f"tensor {ROPE_FACTORS} is {info.type} of shape {info.shape}, expected F32 of shape {(pairs,)}")
        factors = np.frombuffer(self.raw(ROPE_FACTORS), "<f4").tolist()
        wrong = next((f for f in factors if not 1e-30 <= f < LARGEST_FLOAT), None)
        if wrong is not None:
            read.refuse(f"tensor {ROPE_FACTORS} has a factor of {wrong:g}, no number above 0")
        return tuple(factors)

    def _refuse_unbuilt(self, read: Keys, prefix: str) -> None:
        if self.metadata.get("split.count", 1) not in (0, 1):
            read.refuse("this is one part of a model in several files (split.count), which is not supported")
        for full, value in self.metadata.items():
            key = full.removeprefix(prefix)
            if key != full and key not in _KNOWN and value not in _NEUTRAL.get(key, ()):
                read.refuse(f"{quoted(full)} is {quoted(value)}, a feature that is not supported")
