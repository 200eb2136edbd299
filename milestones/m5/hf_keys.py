"""The keys that a GGUF file needs, made of a Hugging Face folder's model: its sizes, its tokenizer, its chat template."""

from __future__ import annotations

from typing import Any

from milestones.errors import UserError
from milestones.m0.vocabulary import Vocabulary, alphabet
from milestones.m1.architectures import ARCHITECTURES, unrotated_blocks
from milestones.m1.config import LlamaConfig
from milestones.m1.model_file import ModelFile

NORMAL, CONTROL, USER_DEFINED, UNUSED = 1, 3, 4, 5  # GGUF's types of tokens


def keys_of(file: ModelFile) -> dict[str, Any]:
    """Key → value. Raises UserError if the folder has no tokenizer, or one that GGUF has no words for."""
    c = file.config()
    sizes: dict[str, Any] = {
        "block_count": c.blocks,
        "context_length": c.context,
        "embedding_length": c.width,
        "feed_forward_length": c.ffn,
        "attention.head_count": c.heads,
        "attention.head_count_kv": c.kv_heads,
        "attention.key_length": c.head_dim,
        "attention.value_length": c.head_dim,
        "attention.layer_norm_rms_epsilon": c.eps,
        "rope.dimension_count": c.head_dim,
        "rope.freq_base": c.rope_base,
        "vocab_size": c.vocabulary,
    }
    if c.stretched:
        how = c.stretched
        sizes |= {"rope.scaling.type": how.kind, "rope.scaling.factor": how.factor}
        if how.kind == "yarn":
            sizes |= {"rope.scaling.original_context_length": how.original}
            others = {"yarn_beta_fast": how.fast, "yarn_beta_slow": how.slow} if (how.fast, how.slow) != (32.0, 1.0) else {}
            sizes |= {f"rope.scaling.{key}": value for key, value in others.items()}
    name = file.path.resolve().name
    _refuse_unsayable(c)
    general = {"general.architecture": c.architecture, "general.type": "model", "general.name": name}
    return (
        general
        | {f"{c.architecture}.{key}": value for key, value in sizes.items()}
        | _tokenizer(file.vocabulary(), file.chat_template)
    )


def _refuse_unsayable(c: LlamaConfig) -> None:
    """Raises UserError for what the GGUF files of an architecture do not have: llama.cpp would not load it, or ignore it."""
    own = ARCHITECTURES[c.architecture]
    unsayable = {
        "other blocks without RoPE than every fourth": c.unrotated != unrotated_blocks(c.blocks, own.unrotated_every),
        "scaled RoPE": c.architecture != "llama" and bool(c.rope_factors) and c.stretched is None,
        "an attention factor of its own": c.stretched is not None and c.stretched.attention is not None,
        "biases by choice": c.architecture != "llama" and c.biases != own.biases,
    }
    found = next((what for what, there in unsayable.items() if there), None)
    if found is not None:
        raise UserError(f"the model has {found}, which cannot be said in a GGUF file of the architecture {c.architecture}")


def _tokenizer(v: Vocabulary, template: str | None) -> dict[str, Any]:
    if v.whole_first != (v.pre_tokenizer == "llama-bpe"):
        raise UserError(f"the tokenizer's ignore_merges with pre-tokenizer {v.pre_tokenizer!r} cannot be said in a GGUF file")
    if v.merge_ranks is not None or not len(v.merges):
        raise UserError("the tokenizer has no list of merges, which a GGUF file needs")
    letters = {byte: letter for letter, byte in alphabet().items()}
    added = set(v.special.values())
    texts = [_text(i, token, i in added, letters) for i, token in enumerate(v.tokens)]
    types = [_type(i, token, i in added, v) for i, token in enumerate(v.tokens)]
    found: dict[str, Any] = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": v.pre_tokenizer,
        "tokenizer.ggml.tokens": texts,
        "tokenizer.ggml.token_type": types,
        "tokenizer.ggml.merges": [f"{texts[left]} {texts[right]}" for left, right in v.merges.tolist()],
        "tokenizer.ggml.add_bos_token": v.add_bos,
        "tokenizer.ggml.bos_token_id": v.bos,
        "tokenizer.ggml.eos_token_id": v.eos,
        "tokenizer.chat_template": template,
    }
    return {key: value for key, value in found.items() if value is not None}


def _text(index: int, token: bytes, added: bool, letters: dict[int, str]) -> str:
    """A token in GPT-2's alphabet, an added one as it is; ids that nobody uses get names of their own, for llama.cpp."""
    if added:
        return token.decode()
    return "".join(letters[byte] for byte in token) if token else f"[PAD{index}]"


def _type(index: int, token: bytes, added: bool, v: Vocabulary) -> int:
    if added:
        return USER_DEFINED if index in v.written else CONTROL
    return NORMAL if token else UNUSED
