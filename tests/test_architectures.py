"""Each architecture that is run, as a tiny random model, against transformers: every checkpoint, the same greedy text.

Each is saved by transformers as a Hugging Face folder, and written as a GGUF file as llama.cpp's converter would.
"""

from __future__ import annotations

from functools import partial

import gguf
import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from metal.health import spec_gpu
from milestones.m1.model_file import open_model
from milestones.m1.weights import Weights
from milestones.m2.model import Model
from milestones.m4.cache import KvCache
from milestones.m5.quantize_file import quantize_file
from milestones.m5.test_quantize_file import add_tokenizer
from milestones.m6.model import FastModel, unsupported
from milestones.m7.loop import Loop
from reference.compare import assert_close, assert_same
from tests.test_against_transformers import checkpoints_of, checkpoints_of_oracle, first_divergence
from tests.tiny import randomized, write_gguf

IDS = [3, 130, 7, 7, 64, 0, 99, 12, 12]
SIZES = {"vocab_size": 131, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "max_position_embeddings": 256}
HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": None}
LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}
YARN = {"rope_type": "yarn", "rope_theta": 500.0, "factor": 4.0, "original_max_position_embeddings": 64}
MODELS = {
    "llama-3": {"model_type": "llama", "rope_parameters": {"rope_type": "llama3", "rope_theta": 500.0, **LLAMA3}},
    "llama-biases": {"model_type": "llama", "attention_bias": True},
    "qwen2": {"model_type": "qwen2", "use_sliding_window": False, "sliding_window": 8},
    "qwen3": {"model_type": "qwen3", "head_dim": 24},  # wider together than the stream
    "qwen3-biases": {"model_type": "qwen3", "head_dim": 16, "attention_bias": True},
    "smollm3": {"model_type": "smollm3", "num_hidden_layers": 4},
    "llama-linear": {"model_type": "llama", "rope_parameters": {"rope_type": "linear", "rope_theta": 500.0, "factor": 4.0}},
    "qwen2-yarn": {"model_type": "qwen2", "use_sliding_window": False, "rope_parameters": YARN},
    "smollm3-yarn": {"model_type": "smollm3", "num_hidden_layers": 4, "rope_parameters": YARN},
    "mistral": {"model_type": "mistral", "sliding_window": None},
}


def oracle_of(name: str, tied: bool, **others):
    torch.manual_seed(11)
    settings = {**SIZES, **HEADS, **MODELS[name], **others}
    config = AutoConfig.for_model(settings.pop("model_type"), **settings, tie_word_embeddings=tied)
    return randomized(AutoModelForCausalLM.from_config(config))


def check(oracle, path, *, halves):
    """Every checkpoint of IDS, and 20 greedy tokens after them, with and without the cache."""
    gpu = spec_gpu(256, checks="off")
    weights = Weights(gpu, open_model(path))
    weights.check()
    assert weights.config.rope_halves is halves
    model = Model(gpu, weights)
    assert first_divergence(checkpoints_of(model, IDS), checkpoints_of_oracle(oracle, IDS)) is None
    with torch.no_grad():
        expected = oracle.generate(torch.tensor([IDS]), max_new_tokens=20, do_sample=False, eos_token_id=None)[0, len(IDS) :]
    assert len(set(expected.tolist())) > 1, "the expected text must not be trivial"
    for cached in (True, False):
        assert [choice.id for choice in Loop(gpu, model, cached=cached).generate(IDS, 20)] == expected.tolist()
    return model


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kind"),
    [*((name, torch.bfloat16) for name in MODELS), ("qwen2", torch.float16), ("qwen3", torch.float32)],
    ids=str,
)
def test_a_folder_equals_transformers(tmp_path, name, kind):
    """The weights are rounded to `kind` when they are saved; both sides then compute in float32."""
    saved = oracle_of(name, tied=kind == torch.float16 or name in ("llama-3", "smollm3", "qwen2-yarn"))
    saved.to(kind).save_pretrained(tmp_path)
    check(type(saved).from_pretrained(tmp_path, dtype=torch.float32).eval(), tmp_path, halves=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_a_gguf_file_equals_transformers(tmp_path, name):
    oracle = oracle_of(name, tied=name in ("qwen2", "qwen3", "mistral"))
    factors = None
    if oracle.config.rope_parameters["rope_type"] == "llama3":  # what the oracle divides its frequencies by
        theirs, d = oracle.model.rotary_emb.inv_freq.double().numpy(), oracle.config.head_dim
        factors = 500.0 ** (-np.arange(0, d, 2) / d) / theirs
        assert factors.max() > 7
    halves = oracle.config.model_type in ("qwen2", "qwen3")
    check(oracle, write_gguf(oracle, tmp_path / "tiny.gguf", factors), halves=halves)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["Q4_1", "Q8_0"])
@pytest.mark.parametrize("name", ["llama-3", "llama-linear", "qwen2", "qwen2-yarn", "qwen3", "smollm3-yarn", "mistral"])
def test_the_fast_kernels_say_what_the_plain_ones_say(tmp_path, name, kind):
    """On the same packed weights: logits of a prompt in one piece and token by token, and the same greedy text after it."""
    head = {} if name.startswith("qwen2") else {"head_dim": 64}
    oracle_of(name, tied=False, vocab_size=264, hidden_size=128, **head).save_pretrained(tmp_path)
    add_tokenizer(tmp_path)
    quantize_file(tmp_path, tmp_path / "packed.gguf", kind)
    gpu = spec_gpu(256, checks="off")
    weights = Weights(gpu, open_model(tmp_path / "packed.gguf"))
    assert unsupported(weights) is None
    plain, fast = Model(gpu, weights), FastModel(gpu, weights)
    found = []
    for make in (plain.forward, fast.forward, partial(token_by_token, gpu, fast)):
        logits = make(IDS)
        gpu.sync()
        found.append(logits.numpy().copy())
    for logits in found[1:]:
        assert_close(logits, found[0], 1e-4 * np.abs(found[0]).max())
    texts = [[choice.id for choice in Loop(gpu, model).generate(IDS, 20)] for model in (plain, fast)]
    assert texts[0] == texts[1] and len(set(texts[0])) > 1


def token_by_token(gpu, model, ids):
    c = model.config
    cache = KvCache(gpu, c.blocks, c.kv_heads, c.head_dim, len(ids))
    for at, token in enumerate(ids):
        logits = model.forward([token], cache.attend, start=at)
        cache.advance(1)
    return logits


@pytest.mark.slow
@pytest.mark.parametrize("name", ["llama-3", "llama-linear", "llama-biases", "qwen2", "qwen2-yarn", "qwen3", "smollm3"])
def test_a_folder_becomes_a_packed_file_of_its_architecture(tmp_path, name):
    """Bit for bit what the `gguf` package makes of the file above, vectors as they are, and the same sizes."""
    oracle = oracle_of(name, tied=False, vocab_size=264)
    oracle.save_pretrained(tmp_path)
    add_tokenizer(tmp_path)
    quantize_file(tmp_path, tmp_path / "packed.gguf", "Q8_0")
    ours, theirs = open_model(tmp_path / "packed.gguf"), open_model(tmp_path)
    assert ours.facts["architecture"] == name.split("-")[0]
    config = theirs.config()
    assert {**vars(config), "eps": 0, "rope_halves": ours.config().rope_halves} == {**vars(ours.config()), "eps": 0}
    packed = {t.name: t.data for t in gguf.GGUFReader(tmp_path / "packed.gguf").tensors}
    assert bool(config.stretched) == name.endswith(("-linear", "-yarn"))
    if config.rope_factors and not config.stretched:
        assert packed.pop("rope_freqs.weight").tolist() == list(config.rope_factors)
    floats = gguf.GGUFReader(write_gguf(oracle, tmp_path / "floats.gguf")).tensors
    assert set(packed) == {t.name for t in floats}
    for t in floats:
        wanted = t.data if t.data.ndim == 1 else gguf.quants.quantize(t.data, gguf.GGMLQuantizationType.Q8_0)
        assert_same(packed[t.name], wanted, what=t.name)
