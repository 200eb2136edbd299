"""Each architecture that is run, as a tiny random model, against transformers: every checkpoint, the same greedy text.

Each is saved by transformers as a Hugging Face folder, and written as a GGUF file as llama.cpp's converter would.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from metal.health import spec_gpu
from milestones.m1.model_file import open_model
from milestones.m1.weights import Weights
from milestones.m2.model import Model
from milestones.m7.loop import Loop
from tests.test_against_transformers import checkpoints_of, checkpoints_of_oracle, first_divergence
from tests.tiny import randomized, write_gguf

IDS = [3, 130, 7, 7, 64, 0, 99, 12, 12]
SIZES = {"vocab_size": 131, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "max_position_embeddings": 256}
HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": None}
LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}
MODELS = {
    "llama-3": {"model_type": "llama", "rope_parameters": {"rope_type": "llama3", "rope_theta": 500.0, **LLAMA3}},
}


def oracle_of(name: str, tied: bool):
    torch.manual_seed(11)
    settings = {**SIZES, **HEADS, **MODELS[name]}
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
@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", MODELS)
def test_a_folder_equals_transformers(tmp_path, name, kind):
    """The weights are rounded to `kind` when they are saved; both sides then compute in float32."""
    saved = oracle_of(name, tied=kind == torch.float16)
    saved.to(kind).save_pretrained(tmp_path)
    check(type(saved).from_pretrained(tmp_path, dtype=torch.float32).eval(), tmp_path, halves=True)


@pytest.mark.slow
@pytest.mark.parametrize("tied", [True, False], ids=["tied-head", "own-head"])
@pytest.mark.parametrize("name", MODELS)
def test_a_gguf_file_equals_transformers(tmp_path, name, tied):
    oracle = oracle_of(name, tied)
    factors = None
    if oracle.config.rope_parameters["rope_type"] == "llama3":  # what the oracle divides its frequencies by
        theirs, d = oracle.model.rotary_emb.inv_freq.double().numpy(), oracle.config.head_dim
        factors = 500.0 ** (-np.arange(0, d, 2) / d) / theirs
        assert factors.max() > 7
    halves = oracle.config.model_type in ("qwen2", "qwen3")
    check(oracle, write_gguf(oracle, tmp_path / "tiny.gguf", factors), halves=halves)
