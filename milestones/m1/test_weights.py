"""The spec of weights, config and inspect: what a model file must hold, and that nothing unknown is ignored."""

from __future__ import annotations

import io
import re

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Kind
from gguf import quants
from rich.console import Console

from metal.tensor import Gpu
from milestones.errors import UserError
from milestones.m1.config import LlamaConfig, implied_tensors
from milestones.m1.gguf_model import GgufModel
from milestones.m1.inspect import show
from milestones.m1.weights import Weights
from reference.compare import assert_same

CONFIG = LlamaConfig(
    blocks=2,
    width=64,
    ffn=96,
    heads=4,
    kv_heads=2,
    head_dim=16,
    rope_base=500.0,
    eps=2.0**-17,
    context=128,
    vocabulary=33,
)
KEYS = {
    "general.architecture": "llama",
    "llama.block_count": 2,
    "llama.embedding_length": 64,
    "llama.feed_forward_length": 96,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
    "llama.rope.freq_base": 500.0,
    "llama.attention.layer_norm_rms_epsilon": 2.0**-17,
    "llama.context_length": 128,
    "llama.vocab_size": 33,
}
REQUIRED = ["block_count", "embedding_length", "feed_forward_length", "attention.head_count", "context_length", "vocab_size"]
REQUIRED += ["attention.layer_norm_rms_epsilon"]
KINDS = [Kind.F32, Kind.F16, Kind.Q8_0, Kind.Q4_1]
Q6_K_ROWS = np.zeros((64, 210), np.uint8)


def write(tmp_path, keys=None, drop=(), tensors=None) -> GgufModel:
    """A small model of random weights in all four types by turns, written by the `gguf` package. None takes a thing away."""
    path = tmp_path / "model.gguf"
    data = {**KEYS, **(keys or {})}
    writer = gguf.GGUFWriter(str(path), data.pop("general.architecture"))
    for key, value in data.items():
        if value is None:
            continue
        if isinstance(value, list):
            writer.add_array(key, value)
        else:
            kinds = {bool: "bool", int: "uint32" if value != -1 else "int32", float: "float32", str: "string"}
            getattr(writer, f"add_{kinds[type(value)]}")(key, value)
    rng = np.random.default_rng(9)
    weights = {name: rng.standard_normal(shape, np.float32) for name, shape in implied_tensors(CONFIG)}
    for turn, (name, values) in enumerate({**weights, **(tensors or {})}.items()):
        if values is None:
            continue
        if values.dtype == np.uint8:
            writer.add_tensor(name, values, raw_dtype=Kind.Q6_K)
            continue
        kind = KINDS[turn % 4] if values.shape[-1] % 32 == 0 else Kind.F32
        writer.add_tensor(name, quants.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return GgufModel(path)


def refused(gpu, file, *words) -> None:
    with pytest.raises(UserError) as problem:
        Weights(gpu, file).check()
    message = str(problem.value)
    assert "model.gguf" in message and "\n" not in message
    for word in words:
        assert word in message, f"{word!r} is not in {message!r}"


@pytest.fixture(scope="module")
def gpu(gpus):
    return gpus(256)


def oracle(path):
    """Every tensor as the `gguf` package reads and dequantizes it."""
    for t in gguf.GGUFReader(path).tensors:
        yield t.name, quants.dequantize(t.data, t.tensor_type).reshape(tuple(reversed(t.shape.tolist())))


def test_every_tensor_equals_gguf_bit_for_bit(gpu, tmp_path):
    file = write(tmp_path)
    weights = Weights(gpu, file)
    weights.check()
    assert weights.config == CONFIG
    assert {info.type for info in file.tensors.values()} == {"F32", "F16", "Q8_0", "Q4_1"}
    for name, values in oracle(file.path):
        got = weights.tensor(name)
        gpu.sync()
        assert_same(got.numpy(), values, what=name)
    assert weights.tensor("token_embd.weight") is weights.tensor("token_embd.weight"), "dequantized once"


def test_the_default_model_is_read_as_gguf_reads_it(model_path):
    """Config as its card says, all tensors fit, and four of its tensors, one of a kind and the last, bit for bit."""
    gpu = Gpu(poison=True)  # without checks: half a gigabyte
    weights = Weights(gpu, GgufModel(model_path))
    weights.check()
    c = weights.config
    assert (c.blocks, c.width, c.ffn, c.heads, c.kv_heads, c.head_dim) == (30, 576, 1536, 9, 3, 64)
    assert (c.rope_base, c.eps, c.context, c.vocabulary) == (100000.0, pytest.approx(1e-5), 8192, 49152)
    assert c.tied and "output.weight" not in weights.file.tensors
    for name in ("token_embd.weight", "blk.0.attn_q.weight", "blk.29.ffn_down.weight", "output_norm.weight"):
        got, info = weights.tensor(name), weights.file.tensors[name]
        gpu.sync()
        values = quants.dequantize(np.frombuffer(weights.file.raw(name), np.uint8), Kind[info.type])
        assert np.abs(values).max() > 0.1
        assert_same(got.numpy(), values.reshape(info.shape), what=name)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"general.architecture": "gemma2"}, "architecture is gemma2; only llama, qwen2, qwen3, smollm3 are"),
        *(({f"llama.{key}": None}, f"llama.{key} is missing") for key in REQUIRED),
        ({"llama.block_count": "two"}, "llama.block_count must be a whole number above 0, it is two"),
        ({"llama.block_count": -1}, "llama.block_count"),
        ({"llama.block_count": True}, "llama.block_count"),
        ({"llama.attention.head_count": [4, 4]}, "llama.attention.head_count must be a whole number"),
        ({"llama.attention.head_count": 0}, "llama.attention.head_count"),
        ({"llama.attention.head_count_kv": 3}, "4 attention heads, no multiple of its 3 key-value heads"),
        ({"llama.attention.head_count": 5, "llama.attention.head_count_kv": 5}, "no multiple of head_count 5"),
        ({"llama.attention.key_length": 15}, "cannot be rotated"),
        ({"llama.attention.key_length": 258}, "heads of 258 elements are not supported: at most 256"),
        ({"llama.rope.freq_base": 0.5}, "llama.rope.freq_base must be a number from 1 to 3.4e+38, it is 0.5"),
        ({"llama.attention.value_length": 8}, "llama.attention.value_length is 8"),
        ({"llama.rope.dimension_count": 8}, "llama.rope.dimension_count is 8"),
        ({"llama.attention.layer_norm_rms_epsilon": float("nan")}, "llama.attention.layer_norm_rms_epsilon"),
        ({"llama.rope.freq_base": float("inf")}, "llama.rope.freq_base"),
        ({"llama.rope.scaling.type": "longrope"}, "llama.rope.scaling.type is longrope, a feature"),
        ({"llama.rope.scaling.type": 2}, "llama.rope.scaling.type is 2, a feature"),
        ({"llama.rope.scaling.factor": 0.5}, "llama.rope.scaling.factor is 0.5 where rope.scaling.type is linear"),
        ({"llama.rope.scaling.factor": float("nan")}, "llama.rope.scaling.factor must be a number from 0"),
        ({"llama.rope.scaling.attn_factor": 1.5}, "llama.rope.scaling.attn_factor is 1.5, a feature"),
        ({"llama.expert_count": 8}, "llama.expert_count is 8"),
        ({"llama.attention.sliding_window": 4096}, "llama.attention.sliding_window"),
        ({"llama.logit_softcap": 30.0}, "llama.logit_softcap is 30.0, a feature"),
        ({"split.count": 3}, "split.count"),
        ({"tokenizer.ggml.tokens": ["a", "b"]}, "token_embd.weight has shape (33, 64), expected (2, 64)"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_key_that_is_missing_or_asks_for_what_is_not_built_is_named(gpu, tmp_path, keys, words):
    refused(gpu, write(tmp_path, keys), words)


def test_a_file_without_an_architecture_is_no_model(gpu, tmp_path):
    (tmp_path / "model.gguf").write_bytes(b"GGUF\3\0\0\0" + bytes(16))
    refused(gpu, GgufModel(tmp_path / "model.gguf"), "general.architecture is missing")


def test_what_changes_nothing_is_accepted(gpu, tmp_path):
    """Neutral values, and the defaults that the format gives to keys left out."""
    neutral = {"llama.rope.scaling.type": "none", "llama.rope.scaling.factor": 1.0, "llama.expert_count": 0}
    neutral |= {"llama.attention.key_length": 16, "llama.attention.value_length": 16, "llama.rope.dimension_count": 16}
    weights = Weights(gpu, write(tmp_path, {**neutral, "tokenizer.ggml.tokens": ["x"] * 33, "llama.vocab_size": None}))
    weights.check()
    assert weights.config == CONFIG
    plain = {"llama.rope.freq_base": None, "llama.attention.head_count_kv": None}
    config = Weights(gpu, write(tmp_path, plain)).config
    assert (config.rope_base, config.kv_heads) == (10000.0, 4)


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({"blk.1.ffn_up.weight": None}, "tensor blk.1.ffn_up.weight of shape (96, 64) is missing"),
        ({"output_norm.weight": None}, "tensor output_norm.weight of shape (64,) is missing"),
        ({"blk.0.attn_k.weight": np.ones((64, 64), np.float32)}, "blk.0.attn_k.weight has shape (64, 64), expected (32, 64)"),
        ({"blk.0.ffn_down.weight": np.ones((96, 64), np.float32)}, "has shape (96, 64), expected (64, 96)"),
        ({"output.weight": np.ones((32, 64), np.float32)}, "output.weight has shape (32, 64), expected (33, 64)"),
        ({"blk.0.attn_q.bias": np.ones(64, np.float32)}, "tensor blk.1.attn_q.bias of shape (64,) is missing"),
        ({"blk.1.attn_q.bias": np.ones(64, np.float32)}, "tensor blk.1.attn_q.bias belongs to a feature"),
        ({"blk.0.ffn_up.bias": np.ones(96, np.float32)}, "tensor blk.0.ffn_up.bias belongs to a feature"),
        ({"blk.0.attn_q_norm.weight": np.ones(16, np.float32)}, "tensor blk.0.attn_q_norm.weight belongs to a feature"),
        ({"blk.2.attn_norm.weight": np.ones(64, np.float32)}, "blk.2.attn_norm.weight"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_tensor_that_is_missing_misshapen_or_unused_is_named(gpu, tmp_path, tensors, words):
    refused(gpu, write(tmp_path, tensors=tensors), words)


def test_a_type_that_is_not_supported_is_named(gpu, tmp_path):
    """Q6_K has blocks of 256, so the model is made as wide: whatever else is wrong with it, the type comes first."""
    keys = {"llama.embedding_length": 256, "llama.attention.key_length": 16, "llama.vocab_size": 64}
    file = write(tmp_path, keys, tensors={"token_embd.weight": Q6_K_ROWS})
    refused(gpu, file, "tensor token_embd.weight has type Q6_K; only F32, F16, BF16, Q8_0, Q4_0, Q4_1 are supported")
    with pytest.raises(UserError, match=r"has type Q6_K; only"):
        Weights(gpu, file).tensor("token_embd.weight")


def test_an_output_head_of_its_own_is_accepted(gpu, tmp_path):
    weights = Weights(gpu, write(tmp_path, tensors={"output.weight": np.ones((33, 64), np.float32)}))
    weights.check()
    assert not weights.config.tied and weights.tensor("output.weight").shape == (33, 64)


def test_a_forged_number_of_blocks_is_refused_at_the_first_missing_tensor(gpu, tmp_path):
    refused(gpu, write(tmp_path, {"llama.block_count": 2**31 - 1}), "tensor blk.2.attn_norm.weight of shape (64,) is missing")


# --- inspect ----------------------------------------------------------------------------------------------------------
def shown(file: GgufModel, width: int = 100) -> str:
    out = io.StringIO()
    show(file.path, Console(file=out, width=width))
    return re.sub(r" +", " ", out.getvalue())


def test_inspect_shows_config_tensors_totals_tokenizer_and_verdict(tmp_path):
    keys = {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.tokens": ["x"] * 33, "tokenizer.ggml.merges": ["x y"]}
    text = shown(write(tmp_path, keys))
    for words in ("GGUF version 3", "architecture llama", "head dim 16", "gpt2, 33 tokens, 1 merges", "20 tensors"):
        assert words in text
    assert "│ blk.1.attn_k.weight │ 32 × 64 │" in text and "│ all │ 20 │" in text
    assert "can be run: every tensor" in text


def test_inspect_shows_a_model_that_cannot_be_run_and_says_why(tmp_path):
    text = shown(write(tmp_path, {"general.architecture": "mamba", "mamba.ssm.conv_kernel": 4}))
    assert "mamba.ssm.conv_kernel 4" in text and "cannot be run: its architecture is mamba" in text
    text = shown(write(tmp_path, tensors={"blk.0.ffn_up.weight": None}))
    assert "cannot be run: tensor blk.0.ffn_up.weight of shape (96, 64) is missing" in text and "19 tensors" in text


def test_inspect_shows_a_files_text_as_it_is(tmp_path):
    """Neither markup nor a terminal's control characters from a stranger's file may take effect."""
    text = shown(write(tmp_path, {"general.name": "[bold]x[/] \x1b[31mred :smile:"}))
    assert r"name [bold]x[/] \x1b[31mred :smile:" in text
