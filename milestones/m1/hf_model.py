"""A model in a Hugging Face folder: config.json read as the sizes of a model, tokenizer.json, the chat template.

Whatever config.json asks for that is not built is refused by name; keys
that transformers does not read either, for a model of that type, are left aside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from milestones.m0.tokenizer_json import vocabulary_of
from milestones.m0.vocabulary import Vocabulary
from milestones.m1.architectures import ARCHITECTURES, unrotated_blocks
from milestones.m1.config import BIASED, Keys, LlamaConfig, stretched
from milestones.m1.gguf_values import quoted
from milestones.m1.hf_folder import HfFolder
from milestones.m1.rope_scaling import Stretch, llama3_factors

# config.json's keys of features that the engine lacks → values with which they do nothing (null always does)
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "hidden_act": ("silu",),
    "mlp_bias": (False,),
    "quantization_config": (),
    "partial_rotary_factor": (1.0,),
    "use_sliding_window": (False,),
}
# model_type → the architecture, keys that must be there since transformers' defaults are not what others take them for, and
# keys as above that only this model_type reads
_TYPES: dict[str, tuple[str, tuple[str, ...], dict[str, tuple[Any, ...]]]] = {
    "llama": ("llama", (), {"sliding_window": ()}),
    "mistral": ("llama", ("sliding_window", "num_key_value_heads"), {"sliding_window": (), "attention_bias": (False,)}),
    "qwen2": ("qwen2", ("num_key_value_heads",), {}),
    "qwen3": ("qwen3", ("num_key_value_heads", "head_dim"), {}),
    "smollm3": ("smollm3", ("num_key_value_heads",), {}),
}
_BIAS_BY_CHOICE = ("llama", "qwen3", "smollm3")  # model_types in which attention_bias gives all four projections a bias
# rope_type, once "type" → the numbers that belong to it
_ORIGINAL = "original_max_position_embeddings"
_ROPE: dict[str, tuple[str, ...]] = {
    "default": (),
    "llama3": ("factor", "low_freq_factor", "high_freq_factor", _ORIGINAL),
    "linear": ("factor",),
    "yarn": ("factor", _ORIGINAL, "attention_factor", "beta_fast", "beta_slow"),
}
_NEUTRAL_ROPE: dict[str, tuple[Any, ...]] = {"factor": (1.0,), "partial_rotary_factor": (1.0,), "truncate": (True,)}


def _scaled(c: LlamaConfig, rope: Keys, kind: str) -> LlamaConfig:
    """The sizes with RoPE scaled as its settings say."""
    if kind == "default":
        return c
    factor = rope.number("factor", least=1.0)
    if kind == "llama3":
        low, high = rope.number("low_freq_factor"), rope.number("high_freq_factor")
        if low >= high:
            rope.refuse(f"high_freq_factor is {high:g}, not above low_freq_factor {low:g}")
        original = rope.count(_ORIGINAL)
        factors = llama3_factors(c.rope_base, c.head_dim, factor=factor, low=low, high=high, original=original)
        return replace(c, rope_factors=factors)
    made = Stretch("linear", factor)
    if kind == "yarn":
        attention = rope.number("attention_factor") if rope.has("attention_factor") else None
        fast, slow = rope.number("beta_fast", 32.0), rope.number("beta_slow", 1.0)
        made = Stretch("yarn", factor, rope.count(_ORIGINAL, c.context), fast, slow, attention)
    return stretched(c, made, rope)


class HfModel(HfFolder):
    """A Hugging Face folder as a model. Opening it checks the files, not yet whether the model is one that can be run."""

    def __init__(self, path: Path | str):
        super().__init__(path)
        self.chat_template = self._chat_template()

    @property
    def facts(self) -> dict[str, Any]:
        found = {"architecture": self.settings.get("model_type")}
        found |= {f"config.{key}": value for key, value in self.settings.items() if isinstance(value, (int, float, str))}
        return found | {"tokenizer": "tokenizer.json" if (self.path / "tokenizer.json").exists() else "none"}

    def config(self) -> LlamaConfig:
        """The sizes. Raises UserError naming the key that is missing, impossible, or asks for what is not built."""
        read = Keys(self.path / "config.json", self.settings)
        kind = self.settings.get("model_type")
        if not isinstance(kind, str) or kind not in _TYPES:
            problem = f"its model_type is {quoted(kind)}; only {', '.join(_TYPES)} are supported"
            read.refuse(problem if kind else "the key model_type is missing")
        architecture, required, neutral = _TYPES[kind]
        for key in required:
            if key not in self.settings:
                read.refuse(f"the key {key} is missing")
        rope, scaling = self._refuse_unbuilt(read, _NEUTRAL | neutral)
        own, smollm3 = ARCHITECTURES[architecture], kind == "smollm3"
        blocks, width, heads = read.count("num_hidden_layers"), read.count("hidden_size"), read.count("num_attention_heads")
        if self.settings.get("head_dim") is None and width % heads:
            read.refuse(f"hidden_size is {width}, no multiple of num_attention_heads {heads}")
        head_dim = read.count("head_dim", width // heads or None)
        config = LlamaConfig(
            blocks=blocks,
            width=width,
            ffn=read.count("intermediate_size"),
            heads=heads,
            kv_heads=read.count("num_key_value_heads", heads),
            head_dim=head_dim,
            rope_base=rope.number("rope_theta", 2e6 if smollm3 else 1e4, least=1.0),  # transformers' default
            eps=read.number("rms_norm_eps", 1e-6),  # transformers' default
            context=read.count("max_position_embeddings"),
            vocabulary=read.count("vocab_size"),
            rope_halves=True,
            tied=read.flag("tie_word_embeddings", smollm3),
            architecture=architecture,
            biases=BIASED if kind in _BIAS_BY_CHOICE and read.flag("attention_bias") else own.biases,
            qk_norm=own.qk_norm,
            unrotated=self._unrotated(read, blocks) if smollm3 else (),
        )
        read.check_heads(config)
        return _scaled(config, rope, scaling)

    def _unrotated(self, read: Keys, blocks: int) -> tuple[int, ...]:
        """SmolLM3's blocks without RoPE. The list, whatever its name says, has a 1 for each block with RoPE."""
        turned = self.settings.get("no_rope_layers")
        if turned is None:
            return unrotated_blocks(blocks, read.count("no_rope_layer_interval", ARCHITECTURES["smollm3"].unrotated_every))
        if not isinstance(turned, list) or len(turned) != blocks or any(flag not in (0, 1) for flag in turned):
            read.refuse(f"no_rope_layers is {quoted(turned)}: not a 0 or a 1 for each of {blocks} blocks")
        return tuple(block for block, flag in enumerate(turned) if not flag)

    def _refuse_unbuilt(self, read: Keys, neutral: Mapping[str, tuple[Any, ...]]) -> tuple[Keys, str]:
        """The settings of RoPE and their kind, one of _ROPE, after everything that is not built has been refused."""
        kinds = self.settings.get("layer_types")
        other = next((kind for kind in kinds if kind != "full_attention"), None) if isinstance(kinds, list) else kinds
        if other is not None:
            read.refuse(f"layer_types asks for {quoted(other)}, a feature that is not supported")
        for key, values in neutral.items():
            value = self.settings.get(key)
            if value is not None and value not in values:
                read.refuse(f"{key} is {quoted(value)}, a feature that is not supported")
        found: dict[str, Any] = {"rope_theta": self.settings.get("rope_theta")}
        scaling = "default"
        for name in ("rope_scaling", "rope_parameters"):  # transformers before and since version 5
            rope = self.settings.get(name)
            if rope is None:
                continue
            if not isinstance(rope, dict):
                read.refuse(f"{name} is {quoted(rope)}: of the wrong kind")
            kinds = [rope[key] for key in ("rope_type", "type") if rope.get(key) is not None]  # the first is transformers' own
            kind = next((kind for kind in kinds if kind != "default"), "default")
            built = (kind,) if isinstance(kind, str) and kind in _ROPE else ()
            numbers = ("rope_theta", *(number for name_ in built for number in _ROPE[name_]))
            for key, value in sorted(rope.items(), key=lambda pair: pair[0] not in ("rope_type", "type")):  # its name first
                known = (*built, "default") if key in ("rope_type", "type") else _NEUTRAL_ROPE.get(key, ())
                if key not in numbers and value not in (None, *known):
                    read.refuse(f"{name} asks for {quoted(key)} {quoted(value)}, a feature that is not supported")
            found |= {key: rope[key] for key in numbers if rope.get(key) is not None}
            scaling = scaling if kind == "default" else kind
        if _ORIGINAL in _ROPE[scaling] and self.settings.get(_ORIGINAL) is not None:
            found[_ORIGINAL] = self.settings[_ORIGINAL]  # beside them, it comes first: in transformers too
        return Keys(self.path / "config.json", found), scaling

    def vocabulary(self) -> Vocabulary:
        """The tokenizer. Raises UserError naming what is missing, damaged or not supported."""
        data = self.read_json("tokenizer.json", required=False)
        if data is None:
            self.refuse("there is no tokenizer.json, so the model has no tokenizer")
        eos: list[int] = []
        for settings in (self.settings, self.read_json("generation_config.json", required=False) or {}):
            value = settings.get("eos_token_id")
            eos += [i for i in (value if isinstance(value, list) else [value]) if type(i) is int]
        bos = self.settings.get("bos_token_id")
        found = vocabulary_of(data, eos=eos, bos=bos if type(bos) is int else None)
        embedding = self.tensors.get("token_embd.weight")
        if embedding is None or not embedding.shape:
            return found
        unused = embedding.shape[0] - len(found.tokens)
        if unused < 0:
            counts = f"{len(found.tokens)} tokens, the embedding only {embedding.shape[0]} rows"
            self.refuse(f"tokenizer.json has {counts}: get the folder again")
        return replace(found, tokens=[*found.tokens, *[b""] * unused])  # rows that fill the embedding up to a round number

    def _chat_template(self) -> str | None:
        alone = self.path / "chat_template.jinja"
        if self._is_file(alone.name):
            return self.text(alone.name)
        found = (self.read_json("tokenizer_config.json", required=False) or {}).get("chat_template")
        if isinstance(found, list):  # several, by name
            named = [entry.get("template") for entry in found if isinstance(entry, dict) and entry.get("name") == "default"]
            found = next(iter(named), None)
        return found if isinstance(found, str) else None
