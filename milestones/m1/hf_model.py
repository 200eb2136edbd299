"""A model in a Hugging Face folder: config.json read as a Llama-type model's sizes, tokenizer.json, the chat template.

Whatever config.json asks for that is not built is refused by name; keys
that transformers' Llama does not read either are left aside.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from milestones.m0.tokenizer_json import vocabulary_of
from milestones.m0.vocabulary import Vocabulary
from milestones.m1.config import Keys, LlamaConfig
from milestones.m1.gguf_values import quoted
from milestones.m1.hf_folder import HfFolder
from milestones.m1.rope_scaling import llama3_factors

# config.json's keys of features that the engine lacks → values with which they do nothing (null always does)
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "hidden_act": ("silu",),
    "attention_bias": (False,),
    "mlp_bias": (False,),
    "quantization_config": (),
    "partial_rotary_factor": (1.0,),
    "sliding_window": (),
}
_NEUTRAL_ROPE: dict[str, tuple[Any, ...]] = {
    "rope_type": ("default", "llama3"),
    "type": ("default", "llama3"),
    "factor": (1.0,),
    "partial_rotary_factor": (1.0,),
}
_LLAMA3_ROPE = ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings")


def _rope_factors(rope: Keys, base: float, d: int) -> tuple[float, ...]:
    if not rope.flag("scaled"):
        return ()
    low, high = rope.number("low_freq_factor"), rope.number("high_freq_factor")
    if low >= high:
        rope.refuse(f"high_freq_factor is {high:g}, not above low_freq_factor {low:g}")
    original = rope.count("original_max_position_embeddings")
    return llama3_factors(base, d, factor=rope.number("factor", least=1.0), low=low, high=high, original=original)


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
        if kind not in ("llama", "mistral"):
            problem = f"its model_type is {quoted(kind)}; only llama and mistral are supported"
            read.refuse(problem if kind else "the key model_type is missing")
        if kind == "mistral":  # a Llama, where it has no sliding window; left out, these have other values than a Llama's
            for key in ("sliding_window", "num_key_value_heads"):
                if key not in self.settings:
                    read.refuse(f"the key {key} is missing")
        rope = self._refuse_unbuilt(read)
        width, heads = read.count("hidden_size"), read.count("num_attention_heads")
        if self.settings.get("head_dim") is None and width % heads:
            read.refuse(f"hidden_size is {width}, no multiple of num_attention_heads {heads}")
        head_dim = read.count("head_dim", width // heads or None)
        rope_base = rope.number("rope_theta", 10000.0, least=1.0)  # transformers' default
        config = LlamaConfig(
            blocks=read.count("num_hidden_layers"),
            width=width,
            ffn=read.count("intermediate_size"),
            heads=heads,
            kv_heads=read.count("num_key_value_heads", heads),
            head_dim=head_dim,
            rope_base=rope_base,
            eps=read.number("rms_norm_eps", 1e-6),  # transformers' default
            context=read.count("max_position_embeddings"),
            vocabulary=read.count("vocab_size"),
            rope_halves=True,
            tied=read.flag("tie_word_embeddings"),
        )
        read.check_heads(config)
        return replace(config, rope_factors=_rope_factors(rope, rope_base, head_dim))

    def _refuse_unbuilt(self, read: Keys) -> Keys:
        """The settings of RoPE, after everything that is not built has been refused."""
        for key, neutral in _NEUTRAL.items():
            value = self.settings.get(key)
            if value is not None and value not in neutral:
                read.refuse(f"{key} is {quoted(value)}, a feature that is not supported")
        found: dict[str, Any] = {"rope_theta": self.settings.get("rope_theta")}
        for name in ("rope_scaling", "rope_parameters"):  # transformers before and since version 5
            rope = self.settings.get(name)
            if rope is None:
                continue
            if not isinstance(rope, dict):
                read.refuse(f"{name} is {quoted(rope)}: of the wrong kind")
            scaled = "llama3" in (rope.get("rope_type"), rope.get("type"))
            numbers = ("rope_theta", *(_LLAMA3_ROPE if scaled else ()))
            for key, value in rope.items():
                if key not in numbers and value is not None and value not in _NEUTRAL_ROPE.get(key, ()):
                    read.refuse(f"{name} asks for {quoted(key)} {quoted(value)}, a feature that is not supported")
            found |= {key: rope[key] for key in numbers if rope.get(key) is not None}
            found["scaled"] = found.get("scaled") or scaled
        return Keys(self.path / "config.json", found)

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
