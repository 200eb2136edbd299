"""The spec of scaled RoPE's factors, from a folder's settings and from a GGUF file's tensor."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
import torch

from milestones.errors import UserError
from milestones.m1 import rope_scaling, test_weights
from milestones.m1.hf_model import HfModel
from milestones.m1.rope_scaling import llama3_factors
from milestones.m1.test_hf_model import write

SCALED = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}
FACTORS = llama3_factors(500.0, 16, factor=8.0, low=1.0, high=4.0, original=64)


def test_the_worked_example():
    """The third pair turns 1024 · 0.01 / 2π = 1.63 times: 0.21 of the way from 1 to 4, so 1 / (0.79/8 + 0.21) = 3.24."""
    assert doctest.testmod(rope_scaling).failed == 0
    found = llama3_factors(10000.0, 8, factor=8.0, low=1.0, high=4.0, original=1024)
    assert found == (1.0, 1.0, pytest.approx(3.24, abs=0.005), 8.0)


@pytest.mark.slow
@pytest.mark.parametrize("original", [64, 8192])
def test_equals_transformers(original):
    """Llama 3.1's own settings, and ones that a small model can have. transformers computes in float32."""
    from transformers import LlamaConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    scaled = {**SCALED, "original_max_position_embeddings": original}
    config = LlamaConfig(head_dim=128, rope_parameters={"rope_type": "llama3", "rope_theta": 5e5, **scaled})
    theirs, _ = ROPE_INIT_FUNCTIONS["llama3"](config, torch.device("cpu"))
    factors = np.array(llama3_factors(5e5, 128, factor=8.0, low=1.0, high=4.0, original=original))
    assert ((factors > 1) & (factors < 8)).any() and factors[0] == 1 and factors[-1] == 8
    np.testing.assert_allclose(5e5 ** (-np.arange(0, 128, 2) / 128) / factors, theirs.numpy(), rtol=1e-5)


@pytest.mark.parametrize("place", ["rope_scaling", "rope_parameters"])
@pytest.mark.parametrize("key", ["type", "rope_type"])
def test_a_folder_says_it_in_its_settings(tmp_path, place, key):
    config = HfModel(write(tmp_path / "model", {place: {key: "llama3", **SCALED}})).config()
    assert config.rope_factors == FACTORS and 1 < FACTORS[2] < 8


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"factor": None}, "the key factor is missing"),
        ({"factor": 0.5}, "factor must be a number from 1 to"),
        ({"low_freq_factor": None}, "the key low_freq_factor is missing"),
        ({"high_freq_factor": 1.0}, "high_freq_factor is 1, not above low_freq_factor 1"),
        ({"original_max_position_embeddings": None}, "the key original_max_position_embeddings is missing"),
        ({"beta_fast": 32}, "asks for beta_fast 32, a feature that is not supported"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_setting_that_is_missing_or_impossible_is_named(tmp_path, change, words):
    scaling = {key: value for key, value in {"rope_type": "llama3", **SCALED, **change}.items() if value is not None}
    with pytest.raises(UserError, match=words):
        HfModel(write(tmp_path / "model", {"rope_scaling": scaling})).config()


def test_a_gguf_file_holds_the_factors_as_a_tensor(tmp_path):
    file = test_weights.write(tmp_path, tensors={"rope_freqs.weight": np.float32(FACTORS).reshape(8)})
    assert file.tensors["rope_freqs.weight"].type == "F32" and file.config().rope_factors == FACTORS


@pytest.mark.parametrize(
    ("factors", "words"),
    [
        (np.ones(7, np.float32), r"rope_freqs.weight is F32 of shape \(7,\), expected F32 of shape \(8,\)"),
        (np.zeros(8, np.float32), "has a factor of 0, no number above 0"),
        (np.full(8, np.nan, np.float32), "has a factor of nan"),
    ],
    ids=["shape", "zero", "nan"],
)
def test_a_tensor_of_factors_that_cannot_be_is_named(tmp_path, factors, words):
    with pytest.raises(UserError, match=words):
        test_weights.write(tmp_path, tensors={"rope_freqs.weight": factors}).config()
