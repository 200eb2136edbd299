"""A tiny Llama-type model with random weights, made in code from a seed: in transformers, and as a GGUF file."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import torch
from gguf import GGUFWriter, RopeScalingType
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def random_model(
    seed: int, *, tied: bool = True, heads: int = 6, kv_heads: int = 2, head_dim: int = 8, **others: int
) -> LlamaForCausalLM:
    """Random weights of unit-sized effect, so that every block matters to the logits."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        **{"vocab_size": 131, "hidden_size": 60, "intermediate_size": 97, "num_hidden_layers": 3, **others},
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=head_dim,
        max_position_embeddings=128,
        rms_norm_eps=1e-5,
        rope_theta=10000.0,
        tie_word_embeddings=tied,
    )
    return randomized(LlamaForCausalLM(config))


def randomized(model: PreTrainedModel) -> PreTrainedModel:
    """The model with weights of unit-sized effect, drawn with torch's seed."""
    with torch.no_grad():
        for name, weight in model.float().eval().named_parameters():
            norm = weight.dim() == 1 and not name.endswith(".bias")
            weight.copy_(torch.randn_like(weight) * (0.2 if weight.dim() == 2 else 0.3) + (1.0 if norm else 0.0))
            if "embed" in name:
                weight.mul_(5)
    return model


def interleaved(rows: np.ndarray, heads: int) -> np.ndarray:
    """Q and K rows from transformers' halves to GGUF's pairs: rows i and i + d/2 of a head come to stand side by side."""
    n, width = rows.shape
    return rows.reshape(heads, 2, n // heads // 2, width).swapaxes(1, 2).reshape(n, width)


def write_gguf(model: PreTrainedModel, path: Path, rope_factors: np.ndarray | None = None) -> Path:
    """The model as a GGUF file of F32 tensors, written by the official `gguf` package. It has no tokenizer."""
    c = model.config
    head_dim = getattr(c, "head_dim", None) or c.hidden_size // c.num_attention_heads
    architecture = "llama" if c.model_type == "mistral" else c.model_type
    writer = GGUFWriter(str(path), architecture)
    writer.add_block_count(c.num_hidden_layers)
    writer.add_embedding_length(c.hidden_size)
    writer.add_feed_forward_length(c.intermediate_size)
    writer.add_head_count(c.num_attention_heads)
    writer.add_head_count_kv(c.num_key_value_heads)
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_rope_dimension_count(head_dim)
    writer.add_rope_freq_base(c.rope_parameters["rope_theta"])
    kind = c.rope_parameters["rope_type"]
    if kind in ("linear", "yarn"):
        writer.add_rope_scaling_type(RopeScalingType(kind))
        writer.add_rope_scaling_factor(c.rope_parameters["factor"])
    if kind == "yarn":
        writer.add_rope_scaling_orig_ctx_len(c.rope_parameters["original_max_position_embeddings"])
    writer.add_layer_norm_rms_eps(c.rms_norm_eps)
    writer.add_context_length(c.max_position_embeddings)
    writer.add_vocab_size(c.vocab_size)
    weights = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    writer.add_tensor("token_embd.weight", weights["model.embed_tokens.weight"])
    writer.add_tensor("output_norm.weight", weights["model.norm.weight"])
    if not c.tie_word_embeddings:
        writer.add_tensor("output.weight", weights["lm_head.weight"])
    if rope_factors is not None:
        writer.add_tensor("rope_freqs.weight", rope_factors.astype(np.float32))
    in_block = {f"{theirs}.{kind}": f"{ours}.{kind}" for theirs, ours in NAMES.items() for kind in ("weight", "bias")}
    for layer, (theirs, ours) in product(range(c.num_hidden_layers), in_block.items()):
        tensor = weights.get(f"model.layers.{layer}.{theirs}")
        if tensor is None:
            continue
        if ours.startswith(("attn_q.", "attn_k.")) and architecture in ("llama", "smollm3"):
            heads = c.num_attention_heads if ours.startswith("attn_q.") else c.num_key_value_heads
            tensor = interleaved(tensor.reshape(len(tensor), -1), heads).reshape(tensor.shape)
        writer.add_tensor(f"blk.{layer}.{ours}", np.ascontiguousarray(tensor))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
