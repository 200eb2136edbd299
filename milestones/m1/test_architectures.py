"""The spec of what an architecture adds to a Llama, from a folder's settings and from a GGUF file: read, or named.

That what was read is run as it should be: tests/test_architectures.py, against transformers.
"""

from __future__ import annotations

import gguf
import numpy as np
import pytest

from milestones.errors import UserError
from milestones.m1.architectures import ARCHITECTURES, unrotated_blocks
from milestones.m1.config import implied_tensors
from milestones.m1.gguf_model import GgufModel
from milestones.m1.hf_model import HfModel
from milestones.m1.model_file import check_tensors
from milestones.m1.test_hf_model import write
from milestones.m1.test_weights import CONFIG, KEYS

QKV, ALL = ("attn_q", "attn_k", "attn_v"), ("attn_q", "attn_k", "attn_v", "attn_output")
ATTENTION = "model.layers.{}.self_attn.{}"
BIASES = {"q_proj.bias": 64, "k_proj.bias": 32, "v_proj.bias": 32, "o_proj.bias": 64}
NORMS = {"q_norm.weight": 16, "k_norm.weight": 16}


def added(sizes, *names):
    """Vectors of these sizes in both blocks, those of `names` if any are given."""
    kept = {name: n for name, n in sizes.items() if not names or name.split("_")[0] in names}
    return {ATTENTION.format(block, name): np.ones(n, np.float32) for block in (0, 1) for name, n in kept.items()}


@pytest.mark.parametrize(
    ("settings", "tensors", "found"),
    [
        ({"attention_bias": True}, added(BIASES), {"biases": ALL}),
        ({"model_type": "qwen2"}, added(BIASES, "q", "k", "v"), {"architecture": "qwen2", "biases": QKV}),
        ({"model_type": "qwen3", "head_dim": 16}, added(NORMS), {"architecture": "qwen3", "qk_norm": True}),
        ({"model_type": "smollm3"}, {}, {"architecture": "smollm3"}),  # two blocks: the fourth would be the first without
        ({"model_type": "smollm3", "no_rope_layer_interval": 2}, {}, {"architecture": "smollm3", "unrotated": (1,)}),
        ({"model_type": "smollm3", "no_rope_layers": [0, 1]}, {}, {"architecture": "smollm3", "unrotated": (0,)}),
    ],
    ids=lambda value: ",".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_a_folder_says_it_by_its_type_and_its_settings(tmp_path, settings, tensors, found):
    """Only what was asked for is different from a Llama's, and all tensors are used."""
    file = HfModel(write(tmp_path / "model", settings, tensors))
    config = file.config()
    check_tensors(file, config)
    assert {**vars(CONFIG), "rope_halves": True, **found} == vars(config)


def test_settings_of_smollm3_that_are_left_out_have_the_defaults_of_transformers(tmp_path):
    left_out = {"model_type": "smollm3", "rope_theta": None, "tie_word_embeddings": None, "num_hidden_layers": 9}
    config = HfModel(write(tmp_path / "model", left_out)).config()
    assert (config.rope_base, config.tied, config.unrotated) == (2e6, True, (3, 7))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        *(
            ({"model_type": kind, "head_dim": 16, "num_key_value_heads": None}, "the key num_key_value_heads is missing")
            for kind in ("qwen2", "qwen3", "smollm3")
        ),
        ({"model_type": "qwen3"}, "the key head_dim is missing"),
        ({"model_type": "qwen2", "use_sliding_window": True}, "use_sliding_window is True, a feature"),
        (
            {"model_type": "qwen2", "layer_types": ["full_attention", "sliding_attention"]},
            "layer_types asks for sliding_attention",
        ),
        ({"layer_types": "chunked"}, "layer_types asks for chunked"),
        ({"model_type": "qwen2", "rope_scaling": {"type": "longrope", "factor": 4.0}}, "rope_scaling asks for type longrope"),
        ({"model_type": "smollm3", "no_rope_layers": [1]}, "no_rope_layers is .* not a 0 or a 1 for each of 2 blocks"),
        ({"model_type": "smollm3", "no_rope_layers": [1, "no"]}, "no_rope_layers is"),
        ({"model_type": "smollm3", "no_rope_layer_interval": 0}, "no_rope_layer_interval must be a whole number above 0"),
        ({"model_type": ["llama"]}, "its model_type is"),
        *(
            ({"model_type": kind}, f"its model_type is {kind}; only llama")
            for kind in ("gemma2", "qwen3_moe", "mixtral", "phi3")
        ),
    ],
    ids=lambda value: ",".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_a_setting_that_is_missing_or_asks_for_what_is_not_built_is_named(tmp_path, settings, words):
    with pytest.raises(UserError, match=words):
        HfModel(write(tmp_path / "model", settings)).config()


@pytest.mark.parametrize(
    ("settings", "tensors", "words"),
    [
        ({"model_type": "qwen2"}, {}, r"tensor model.layers.0.self_attn.q_proj.bias of shape \(64,\) is missing"),
        ({"model_type": "qwen2"}, added(BIASES), "tensor model.layers.0.self_attn.o_proj.bias belongs to a feature"),
        (
            {"model_type": "qwen3", "head_dim": 16},
            {},
            r"tensor model.layers.0.self_attn.q_norm.weight of shape \(16,\) is missing",
        ),
        ({}, added(NORMS), "self_attn.[qk]_norm.weight belongs to a feature"),
        (
            {"model_type": "qwen3", "head_dim": 16},
            added(dict.fromkeys(NORMS, 64)),
            r"q_norm.weight has shape \(64,\), expected",
        ),
    ],
    ids=["no-bias", "a-bias-too-many", "no-norm", "a-norm-too-many", "a-norm-of-the-whole-row"],
)
def test_a_tensor_that_is_missing_misshapen_or_unused_is_named(tmp_path, settings, tensors, words):
    file = HfModel(write(tmp_path / "model", settings, tensors))
    with pytest.raises(UserError, match=words):
        check_tensors(file, file.config())


def gguf_of(tmp_path, architecture, config, keys=None, drop=()):
    """A file with the keys of CONFIG under the architecture's name, and the tensors that `config` implies."""
    writer = gguf.GGUFWriter(str(tmp_path / "model.gguf"), architecture)
    own = {key.replace("llama.", f"{architecture}."): value for key, value in KEYS.items() if key.startswith("llama.")}
    for key, value in {**own, **(keys or {})}.items():
        (writer.add_uint32 if isinstance(value, int) else writer.add_float32)(key, value)
    for name, shape in implied_tensors(config):
        if name not in drop:
            writer.add_tensor(name, np.ones(shape, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return GgufModel(tmp_path / "model.gguf")


@pytest.mark.parametrize(
    ("architecture", "found"),
    [
        ("llama", {}),
        ("llama", {"biases": ALL}),
        ("qwen2", {"biases": QKV, "rope_halves": True}),
        ("qwen3", {"qk_norm": True, "rope_halves": True}),
        ("smollm3", {"blocks": 9, "unrotated": (3, 7)}),
    ],
    ids=["llama", "llama-biases", "qwen2", "qwen3", "smollm3"],
)
def test_a_gguf_file_says_it_by_its_architecture_and_its_tensors(tmp_path, architecture, found):
    config = type(CONFIG)(**{**vars(CONFIG), "architecture": architecture, **found})
    file = gguf_of(tmp_path, architecture, config, {f"{architecture}.block_count": config.blocks})
    assert file.config() == config
    check_tensors(file, config)
    other = f"{architecture}.attention.sliding_window"
    with pytest.raises(UserError, match=f"{other} is 64, a feature that is not supported"):
        gguf_of(tmp_path, architecture, config, {other: 64}).config()


def test_a_tensor_of_the_architecture_that_a_gguf_file_lacks_is_named(tmp_path):
    config = type(CONFIG)(**{**vars(CONFIG), "architecture": "qwen2", "biases": QKV, "rope_halves": True})
    file = gguf_of(tmp_path, "qwen2", config, drop=("blk.1.attn_k.bias",))
    with pytest.raises(UserError, match=r"tensor blk.1.attn_k.bias of shape \(32,\) is missing"):
        check_tensors(file, file.config())


def test_blocks_without_rope_are_every_so_manieth():
    """SmolLM3 has 36 blocks, of which the 4th, 8th, … are not turned."""
    assert unrotated_blocks(36, ARCHITECTURES["smollm3"].unrotated_every) == (3, 7, 11, 15, 19, 23, 27, 31, 35)
    assert unrotated_blocks(36, 0) == ()
