"""The spec of Hugging Face folders: tensors as `safetensors` reads them, settings as transformers means them, damage named."""

from __future__ import annotations

import io
import json
import os
from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest
from rich.console import Console
from safetensors.numpy import load_file, save_file

from milestones.errors import UserError
from milestones.m1.config import implied_tensors
from milestones.m1.hf_folder import HfFolder
from milestones.m1.hf_model import HfModel
from milestones.m1.inspect import show
from milestones.m1.model_file import open_model
from milestones.m1.test_weights import CONFIG as GGUF_CONFIG
from milestones.m1.weights import Weights
from reference.compare import assert_same

CONFIG = replace(GGUF_CONFIG, rope_halves=True)
SETTINGS = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "num_hidden_layers": 2,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "rope_theta": 500.0,
    "rms_norm_eps": 2.0**-17,
    "max_position_embeddings": 128,
    "vocab_size": 33,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "use_cache": True,
}
DTYPES = [np.float32, np.float16, ml_dtypes.bfloat16]


def their_name(name: str) -> str:
    """GGUF's name → Hugging Face's, spelled out here so that the reader's own table is not its own proof."""
    parts = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_output": "self_attn.o_proj"}
    parts |= {f"attn_{x}": f"self_attn.{x}_proj" for x in "qkv"} | {f"ffn_{x}": f"mlp.{x}_proj" for x in ("gate", "up", "down")}
    outside = {"token_embd": "embed_tokens", "output_norm": "norm"}
    words = name.removesuffix(".weight").split(".")
    if words[0] == "output":
        return "lm_head.weight"
    return f"model.{outside[words[0]] if words[0] in outside else f'layers.{words[1]}.{parts[words[2]]}'}.weight"


def random_tensors(config=CONFIG) -> dict[str, np.ndarray]:
    """By Hugging Face's names, in the three types by turns."""
    rng = np.random.default_rng(3)
    shapes = list(implied_tensors(config))
    return {their_name(name): rng.standard_normal(shape).astype(DTYPES[turn % 3]) for turn, (name, shape) in enumerate(shapes)}


def write(folder, settings=None, tensors=None, *, shards: int = 1):
    """A small model's folder. None takes a setting or a tensor away."""
    folder.mkdir(exist_ok=True)
    data = {key: value for key, value in {**SETTINGS, **(settings or {})}.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(data))
    held = {name: value for name, value in {**random_tensors(), **(tensors or {})}.items() if value is not None}
    if shards == 1:
        save_file(held, folder / "model.safetensors")
        return folder
    places = {name: f"model-{n % shards + 1:05}-of-{shards:05}.safetensors" for n, name in enumerate(held)}
    for file in set(places.values()):
        save_file({name: held[name] for name, place in places.items() if place == file}, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return folder


def refused(gpus, folder, *words: str) -> None:
    with pytest.raises(UserError) as problem:
        Weights(gpus(256), open_model(folder)).check()
    message = str(problem.value)
    assert folder.name in message and message.isprintable(), message
    for word in words:
        assert word in message, f"{word!r} is not in {message!r}"


@pytest.mark.parametrize("shards", [1, 3])
def test_every_tensor_equals_safetensors_bit_for_bit(gpus, tmp_path, shards):
    """F32, F16 and BF16, in one file and in three: each value is the stored one, widened."""
    folder = write(tmp_path / "model", shards=shards)
    weights = Weights(gpus(256), open_model(folder))
    weights.check()
    assert weights.config == CONFIG
    stored: dict[str, np.ndarray] = {}
    for file in folder.glob("*.safetensors"):
        stored |= load_file(file)
    names = [name for name, _ in implied_tensors(CONFIG)]
    assert len(stored) == len(names) == len(weights.file.tensors)
    for name in names:
        got = weights.tensor(name)
        gpus(256).sync()
        assert_same(got.numpy(), stored[their_name(name)].astype(np.float32), what=name)
    assert {info.type for info in weights.file.tensors.values()} == {"F32", "F16", "BF16"}
    assert sum(info.nbytes for info in weights.file.tensors.values()) == sum(value.nbytes for value in stored.values())


def test_an_output_head_of_its_own_is_read_and_a_stored_copy_of_the_embedding_is_not(gpus, tmp_path):
    head, embedding = np.ones((33, 64), np.float16), random_tensors()["model.embed_tokens.weight"]
    own = Weights(gpus(256), open_model(write(tmp_path / "a", {"tie_word_embeddings": False}, {"lm_head.weight": head})))
    own.check()
    assert not own.config.tied and own.file.tensors["output.weight"].name == "lm_head.weight"
    copied = Weights(gpus(256), open_model(write(tmp_path / "b", {}, {"lm_head.weight": embedding})))
    copied.check()
    assert copied.config.tied and "output.weight" not in copied.file.tensors
    refused(gpus, write(tmp_path / "c", {}, {"lm_head.weight": embedding + 1}), "tensor lm_head.weight belongs to a feature")
    refused(gpus, write(tmp_path / "d", {"tie_word_embeddings": None}), "tensor lm_head.weight of shape (33, 64) is missing")


def test_frequencies_that_old_versions_of_transformers_stored_are_left_aside(gpus, tmp_path):
    extra = {"model.layers.1.self_attn.rotary_emb.inv_freq": np.ones(8, np.float32)}
    Weights(gpus(256), open_model(write(tmp_path / "model", {}, extra))).check()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"model_type": "mamba2"}, "model_type is mamba2; only llama, mistral, qwen2, qwen3, smollm3 are"),
        ({"model_type": None}, "the key model_type is missing"),
        *(({key: None}, f"the key {key} is missing") for key in ("num_hidden_layers", "hidden_size", "vocab_size")),
        *(({key: None}, f"{key} is missing") for key in ("intermediate_size", "max_position_embeddings")),
        ({"num_hidden_layers": "two"}, "num_hidden_layers must be a whole number above 0, it is two"),
        ({"num_hidden_layers": 2.0}, "num_hidden_layers must be a whole number"),
        ({"num_hidden_layers": 2**40}, "num_hidden_layers"),
        ({"num_key_value_heads": 3}, "4 attention heads, no multiple of its 3"),
        ({"num_attention_heads": 5, "num_key_value_heads": 5}, "hidden_size is 64, no multiple of num_attention_heads 5"),
        ({"head_dim": 15}, "cannot be rotated"),
        ({"rms_norm_eps": float("nan")}, "rms_norm_eps must be a number from 1e-30"),
        ({"rope_theta": -1.0}, "rope_theta must be a number from 1 to 3.4e+38"),
        ({"rope_theta": 0.5}, "rope_theta must be a number from 1"),
        ({"rope_theta": 10**400}, "rope_theta must be a number from 1"),
        ({"rms_norm_eps": 1e39}, "rms_norm_eps must be a number"),
        ({"head_dim": 258}, "heads of 258 elements are not supported: at most 256"),
        ({"hidden_act": "gelu"}, "hidden_act is gelu, a feature"),
        ({"attention_bias": True}, "model.layers.0.self_attn.q_proj.bias of shape (64,) is missing"),
        ({"attention_bias": "no"}, "attention_bias is no: neither true nor false"),
        ({"mlp_bias": True}, "mlp_bias is True"),
        ({"quantization_config": {"bits": 4}}, "quantization_config"),
        ({"rope_scaling": {"rope_type": "longrope", "factor": 8.0}}, "rope_scaling asks for rope_type longrope"),
        ({"rope_scaling": {"type": "dynamic", "factor": 2.0}}, "rope_scaling asks for type dynamic"),
        ({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4}}, "the key factor is missing"),
        ({"rope_scaling": {"rope_type": "yarn", "type": "linear", "factor": 2.0}}, "rope_scaling asks for type linear"),
        ({"rope_scaling": {"rope_type": ["yarn"], "factor": 2.0}}, "rope_scaling asks for rope_type"),
        (
            {"rope_parameters": {"factor": 4.0, "rope_type": "longrope", "rope_theta": 1e4}},
            "rope_parameters asks for rope_type longrope",
        ),
        ({"rope_scaling": "linear"}, "rope_scaling is linear: of the wrong kind"),
        ({"tie_word_embeddings": "yes"}, "tie_word_embeddings is yes: neither true nor false"),
        ({"vocab_size": 34}, "model.embed_tokens.weight has shape (33, 64), expected (34, 64)"),
        ({"num_hidden_layers": 3}, "tensor model.layers.2.input_layernorm.weight of shape (64,) is missing"),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else "",
)
def test_a_setting_that_is_missing_or_asks_for_what_is_not_built_is_named(gpus, tmp_path, settings, words):
    refused(gpus, write(tmp_path / "model", settings), words)


def test_what_changes_nothing_is_accepted(tmp_path):
    neutral = {"head_dim": 16, "rope_scaling": {"rope_type": "default"}, "attention_bias": False, "hidden_act": "silu"}
    assert HfModel(write(tmp_path / "a", neutral)).config() == CONFIG
    moved = {"rope_theta": None, "rope_parameters": {"rope_type": "default", "rope_theta": 500.0}}
    assert HfModel(write(tmp_path / "b", moved)).config() == CONFIG


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({"model.layers.1.mlp.up_proj.weight": None}, "tensor model.layers.1.mlp.up_proj.weight of shape (96, 64) is missing"),
        ({"model.norm.weight": np.ones(65, np.float32)}, "tensor model.norm.weight has shape (65,), expected (64,)"),
        ({"model.norm.weight": np.ones(64, np.int64)}, "tensor model.norm.weight has type I64; only F32, F16, BF16"),
        ({"model.norm.weight": np.ones(64, ml_dtypes.float8_e4m3fn)}, "has type F8_E4M3; only"),
        ({"model.layers.0.self_attn.q_proj.bias": np.ones(64, np.float32)}, "self_attn.q_proj.bias belongs to a feature"),
        ({"model.layers.0.self_attn.q_norm.weight": np.ones(16, np.float32)}, "self_attn.q_norm.weight belongs to a feature"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_tensor_that_is_missing_misshapen_or_unused_is_named(gpus, tmp_path, tensors, words):
    refused(gpus, write(tmp_path / "model", {}, tensors), words)


# --- damage -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["config.json", "model.safetensors.index.json", "model-00002-of-00003.safetensors"])
def test_a_file_that_is_cut_is_named(gpus, tmp_path, name):
    folder = write(tmp_path / "model", shards=3)
    whole = (folder / name).read_bytes()
    for end in (0, 1, 7, 8, 9, len(whole) // 2, len(whole) - 1):
        (folder / name).write_bytes(whole[:end])
        refused(gpus, folder, name, "get the folder again")


@pytest.mark.parametrize("content", [b"[1]", b"null", b"\xff\xfe{}", b"[" * 100_000, b'{"a": 1' + b"0" * 5000 + b"}", b"hello"])
def test_json_that_is_none_is_named(gpus, tmp_path, content):
    folder = write(tmp_path / "model")
    (folder / "config.json").write_bytes(content)
    refused(gpus, folder, "config.json", "again")


def forged(tmp_path, header: bytes, data: bytes = b"", length: int | None = None):
    folder = write(tmp_path / "model")
    size = (len(header) if length is None else length).to_bytes(8, "little")
    (folder / "model.safetensors").write_bytes(size + header + data)
    return folder


@pytest.mark.parametrize(
    ("header", "length"),
    [
        (b"{}", 2**63),
        (b"{}", 2**40),
        (b"not json", None),
        (b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}', None),
        (b'{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}', None),
        (b'{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}', None),
        (b'{"a":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}}', None),
        (b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}', None),
        (b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[18446744073709551615,3]}}', None),
    ],
)
def test_a_forged_safetensors_header_is_one_line(gpus, tmp_path, header, length):
    refused(gpus, forged(tmp_path, header, bytes(8), length), "model.safetensors is damaged or foreign")


def test_an_index_may_name_only_files_of_the_folder(gpus, tmp_path):
    """It comes from a stranger: no path that leads elsewhere is opened."""
    folder = write(tmp_path / "model")
    save_file({"x": np.ones(1, np.float32)}, tmp_path / "outside.safetensors")
    for name in ("a" * 300, "a\0b"):
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"x": name}}))
        refused(gpus, folder, "is missing")
    for name in ("../outside.safetensors", str(tmp_path / "outside.safetensors"), "..", ""):
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"x": name}}))
        refused(gpus, folder, "which is no file of the folder")
    for content in ({}, {"weight_map": []}, {"weight_map": {"x": 3}}, {"weight_map": {}}):
        (folder / "model.safetensors.index.json").write_text(json.dumps(content))
        refused(gpus, folder, "has no weight_map")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"x": "gone.safetensors"}}))
    refused(gpus, folder, "the file gone.safetensors is missing")


def test_a_tensor_in_two_shards_is_named(gpus, tmp_path):
    folder = write(tmp_path / "model", shards=2)
    first, second = sorted(folder.glob("*.safetensors"))
    save_file({**load_file(first), **load_file(second)}, first)
    refused(gpus, folder, "is there twice")


def test_a_folder_that_is_no_model_says_what_it_lacks(gpus, tmp_path):
    refused(gpus, tmp_path, "a folder without config.json")
    folder = write(tmp_path / "model")
    os.remove(folder / "model.safetensors")
    refused(gpus, folder, "there is no model.safetensors: give")
    (folder / "pytorch_model.bin").write_bytes(b"PK")
    refused(gpus, folder, "pytorch_model.bin: PyTorch's own files are programs")
    os.mkfifo(folder / "model.safetensors")
    refused(gpus, folder, "model.safetensors is missing")  # and is not waited for


# --- tokenizer and template --------------------------------------------------------------------------------------------
def with_tokenizer(folder, tokens: int = 30, **files):
    vocab = {chr(ord("a") + n) if n < 26 else f"<{n}>": n for n in range(tokens)}
    special = [{"id": n, "content": f"<{n}>", "special": True} for n in range(26, tokens)]
    data = {
        "added_tokens": special,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False},
        "model": {"type": "BPE", "vocab": {k: v for k, v in vocab.items() if v < 26}, "merges": []},
    }
    (folder / "tokenizer.json").write_text(json.dumps(data))
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content if isinstance(content, str) else json.dumps(content))
    return HfModel(folder)


def test_end_tokens_come_from_both_files_and_the_vocabulary_is_filled_up_to_the_embedding(tmp_path):
    folder = write(tmp_path / "model", {"eos_token_id": 26})
    vocabulary = with_tokenizer(folder, generation_config__json={"eos_token_id": [26, 28]}).vocabulary()
    assert vocabulary.ends == {26, 28} and vocabulary.special["<27>"] == 27
    assert len(vocabulary.tokens) == 33 and vocabulary.tokens[30:] == [b""] * 3 and vocabulary.tokens[1] == b"b"


def test_a_tokenizer_that_is_missing_or_too_large_is_named(tmp_path):
    folder = write(tmp_path / "model")
    with pytest.raises(UserError, match=r"no tokenizer\.json"):
        HfModel(folder).vocabulary()
    with pytest.raises(UserError, match=r"tokenizer\.json has 40 tokens, the embedding only 33 rows"):
        with_tokenizer(folder, 40).vocabulary()


def test_the_chat_template_is_found_wherever_it_is_kept(tmp_path):
    folder = write(tmp_path / "model")
    assert with_tokenizer(folder).chat_template is None
    assert with_tokenizer(folder, tokenizer_config__json={"chat_template": "one"}).chat_template == "one"
    several = [{"name": "tools", "template": "no"}, {"name": "default", "template": "two"}]
    assert with_tokenizer(folder, tokenizer_config__json={"chat_template": several}).chat_template == "two"
    assert with_tokenizer(folder, chat_template__jinja="three").chat_template == "three"


def test_inspect_shows_a_folder(tmp_path):
    out = io.StringIO()
    show(write(tmp_path / "model", shards=3), Console(file=out, width=110))
    text = out.getvalue()
    for words in ("safetensors in 3 files", "llama", "head dim", "model.layers.1.mlp.up_proj.weight", "96 × 64", "BF16"):
        assert words in text
    assert "can be run" in text and "cannot" not in text
    out = io.StringIO()
    show(write(tmp_path / "other", {"model_type": "mamba2"}), Console(file=out, width=110))
    assert "cannot be run: config.json: its model_type is mamba2" in " ".join(out.getvalue().split())


def test_reading_a_folder_reads_no_weights(tmp_path):
    """Names and shapes come from the header: a folder of any size opens at once."""
    folder = write(tmp_path / "model", {}, {"big": np.zeros((1 << 24,), np.float32)})
    with open("/proc/self/statm") as status:
        before = int(status.read().split()[1])
        HfFolder(folder)
        status.seek(0)
        assert (int(status.read().split()[1]) - before) * os.sysconf("SC_PAGE_SIZE") < 1 << 24
