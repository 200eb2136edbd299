"""A Hugging Face folder that transformers wrote, against transformers reading it back: every checkpoint, the same text."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

from metal.health import spec_gpu
from milestones.errors import UserError
from milestones.m1.hf_model import HfModel
from milestones.m1.model_file import open_model
from milestones.m1.test_hf_model import write
from milestones.m1.weights import Weights
from milestones.m2.model import Model
from milestones.m7.engine import Engine
from milestones.m7.golden.make import PROMPTS
from milestones.m7.loop import Loop
from tests.test_against_transformers import checkpoints_of, checkpoints_of_oracle, first_divergence
from tests.tiny import random_model


@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("tied", [True, False], ids=["tied-head", "own-head"])
@pytest.mark.parametrize("shards", ["10GB", "40KB"], ids=["one-file", "shards"])
def test_a_tiny_random_folder_equals_transformers(tmp_path, kind, tied, shards):
    """The weights are rounded to `kind` when they are saved; both sides then compute in float32."""
    saved = random_model(seed=5, tied=tied, heads=6, kv_heads=3)
    saved.to(kind).save_pretrained(tmp_path, max_shard_size=shards)
    assert (len(list(tmp_path.glob("*.safetensors"))) > 2) == (shards == "40KB")
    oracle = type(saved).from_pretrained(tmp_path, dtype=torch.float32).eval()
    gpu = spec_gpu(256, checks="off")
    weights = Weights(gpu, open_model(tmp_path))
    weights.check()
    model = Model(gpu, weights)
    ids = [3, 130, 7, 7, 64, 0, 99, 12, 12]
    assert first_divergence(checkpoints_of(model, ids), checkpoints_of_oracle(oracle, ids)) is None
    with torch.no_grad():
        expected = oracle.generate(torch.tensor([ids]), max_new_tokens=20, do_sample=False, eos_token_id=None)[0, len(ids) :]
    assert [choice.id for choice in Loop(gpu, model).generate(ids, 20)] == expected.tolist()


def test_settings_left_out_have_the_defaults_of_transformers(tmp_path):
    left_out = {"rope_theta": None, "rms_norm_eps": None, "num_key_value_heads": None, "tie_word_embeddings": None}
    config, theirs = HfModel(write(tmp_path, left_out)).config(), LlamaConfig()
    assert (config.rope_base, config.eps) == (theirs.rope_parameters["rope_theta"], theirs.rms_norm_eps)
    assert config.tied is theirs.tie_word_embeddings and config.kv_heads == config.heads


@pytest.mark.slow
def test_the_default_model_as_a_folder_says_what_it_says_as_a_gguf_file(tmp_path, model_path, oracle):
    """transformers reads the GGUF file and writes a folder in shards, tokenizer and template too; the texts must not change."""
    settings = {key: value for key, value in oracle.config.to_dict().items() if key != "quantization_config"}
    plain = LlamaForCausalLM(LlamaConfig(**settings))  # one read from GGUF refuses to be saved
    plain.load_state_dict(oracle.state_dict())
    plain.save_pretrained(tmp_path, max_shard_size="150MB")
    AutoTokenizer.from_pretrained(model_path.parent, gguf_file=model_path.name).save_pretrained(tmp_path)
    assert len(list(tmp_path.glob("*.safetensors"))) > 2
    folder, file = Engine(tmp_path), Engine(model_path)
    assert folder.chat_template == file.chat_template and folder.tokenizer.ends == file.tokenizer.ends
    for prompt in PROMPTS.values():
        assert folder.encode(prompt) == file.encode(prompt)
        texts = ["".join(token.text for token in engine.generate(prompt, max_tokens=16)) for engine in (folder, file)]
        assert texts[0] == texts[1]
    command = [str(Path(sys.executable).parent / "firstlight"), "generate", "The capital of France is", "--max-tokens", "2"]
    done = subprocess.run([*command, "--model", str(tmp_path)], capture_output=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, b" Paris.\n", b"")


def test_a_tiny_random_mistral_equals_transformers(tmp_path):
    """A Llama by another name, as long as it has no sliding window: that is named, left out or not."""
    torch.manual_seed(6)
    sizes = {"vocab_size": 131, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = MistralConfig(**sizes, num_key_value_heads=2, head_dim=16, max_position_embeddings=128, sliding_window=None)
    oracle = MistralForCausalLM(config).float().eval()
    oracle.save_pretrained(tmp_path)
    gpu = spec_gpu(256, checks="off")
    weights = Weights(gpu, open_model(tmp_path))
    weights.check()
    ids = [3, 130, 7, 7, 64, 0, 99]
    assert first_divergence(checkpoints_of(Model(gpu, weights), ids), checkpoints_of_oracle(oracle, ids)) is None
    settings = json.loads((tmp_path / "config.json").read_text())
    for window, words in ((64, "sliding_window is 64, a feature that is not supported"), ("", "sliding_window is missing")):
        changed = (
            {**settings, "sliding_window": window} if window else {k: v for k, v in settings.items() if k != "sliding_window"}
        )
        (tmp_path / "config.json").write_text(json.dumps(changed))
        with pytest.raises(UserError, match=words):
            open_model(tmp_path).config()
