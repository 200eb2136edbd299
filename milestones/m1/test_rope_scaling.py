"""The spec of scaled RoPE's factors, from a folder's settings and from a GGUF file's tensor."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
import torch

from milestones.errors import UserError
from milestones.m1 import rope_scaling, test_weights
from milestones.m1.hf_model import HfModel
from milestones.m1.rope_scaling import Stretch, llama3_factors
from milestones.m1.test_hf_model import write

SCALED = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}
FACTORS = llama3_factors(500.0, 16, factor=8.0, low=1.0, high=4.0, original=64)


def test_the_worked_example():
    """The third pair turns 1024 · 0.01 / 2π = 1.63 times: 0.21 of the way from 1 to 4, so 1 / (0.79/8 + 0.21) = 3.24."""
    assert doctest.testmod(rope_scaling).failed == 0
    found = llama3_factors(10000.0, 8, factor=8.0, low=1.0, high=4.0, original=1024)
    assert found == (1.0, 1.0, pytest.approx(3.24, abs=0.005), 8.0)


def test_yarn_worked_by_hand():
    """d = 8, base 10⁴, 1024 tokens: 32 turns would take place at pair 0.71, one at pair 2.21. So it is gradual from 0 to 3:
    pair 1 is slowed down by a third, 1 / (⅓ · ¼ + ⅔) = 4/3, pair 2 by two, 1 / (⅔ · ¼ + ⅓) = 2. 0.1 · ln 4 + 1 = 1.1386."""
    how = Stretch("yarn", 4.0, 1024)
    assert how.factors(1e4, 8) == pytest.approx((1, 4 / 3, 2, 4)) and how.scale == pytest.approx(1.1386, abs=1e-4)
    assert Stretch("yarn", 4.0, 1024, attention=0.5).scale == 0.5


YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"rope_type": "linear", "factor": 2.5},
        {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768},
        YARN,
        {**YARN, "beta_fast": 8.0, "beta_slow": 2.0, "attention_factor": 0.75},
        {**YARN, "original_max_position_embeddings": 3},
    ],
    ids=["linear", "long", "short", "own", "too-short"],
)
def test_a_stretch_equals_transformers(tmp_path, settings):
    """Read from a folder's settings. transformers computes in float32."""
    from transformers import LlamaConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    rope = {**settings, "rope_theta": 1e6}
    theirs, scale = ROPE_INIT_FUNCTIONS[rope["rope_type"]](LlamaConfig(head_dim=128, rope_parameters=rope), torch.device("cpu"))
    config = HfModel(write(tmp_path / "model", {"rope_parameters": rope, "head_dim": 128})).config()
    assert len(config.rope_factors) == 64 and config.rope_scale == pytest.approx(scale)
    np.testing.assert_allclose(1e6 ** (-np.arange(0, 128, 2) / 128) / config.rope_factors, theirs.numpy(), rtol=1e-5)


@pytest.mark.parametrize("key", ["type", "rope_type"])
def test_a_folder_says_linear_and_yarn_in_its_settings(tmp_path, key):
    """The first training's length is the model's own where none is given; beside RoPE's settings, it comes first."""
    linear = HfModel(write(tmp_path / "a", {"rope_scaling": {key: "linear", "factor": 2.0}})).config()
    assert linear.rope_factors == (2.0,) * 8 and linear.rope_scale == 1
    plain = HfModel(write(tmp_path / "b", {"rope_scaling": {key: "linear", "factor": 1.0}})).config()
    assert plain.rope_factors == () and plain.stretched is None
    scaling = {key: "yarn", "factor": 4.0}
    for name, more, original in (("c", {}, 64), ("d", {"original_max_position_embeddings": 512}, 512)):
        settings = {"rope_scaling": scaling, "max_position_embeddings": 64, **more}
        assert HfModel(write(tmp_path / name, settings)).config().stretched == Stretch("yarn", 4.0, original)


@pytest.mark.parametrize(
    ("scaling", "words"),
    [
        ({"rope_type": "linear"}, "the key factor is missing"),
        ({"rope_type": "linear", "factor": 0.5}, "factor must be a number from 1 to"),
        ({**YARN, "beta_slow": 40.0}, "beta_fast is 32, not above beta_slow 40"),
        ({**YARN, "attention_factor": 0}, "attention_factor must be a number from"),
        ({**YARN, "mscale": 0.7}, "asks for mscale 0.7, a feature that is not supported"),
        ({**YARN, "truncate": False}, "asks for truncate False, a feature that is not supported"),
        ({**YARN, "rope_theta": 1.0}, "YaRN needs a RoPE whose base is above 1"),
    ],
    ids=str,
)
def test_a_stretch_that_is_impossible_or_not_built_is_named(tmp_path, scaling, words):
    with pytest.raises(UserError, match=words):
        HfModel(write(tmp_path / "model", {"rope_scaling": scaling, "rope_theta": None})).config()


@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        ({"rope.scaling.factor": 2.0}, Stretch("linear", 2.0)),
        ({"rope.scale_linear": 4.0}, Stretch("linear", 4.0)),
        ({"rope.scaling.type": "linear", "rope.scaling.factor": 0.0}, None),
        (
            {"rope.scaling.type": "yarn", "rope.scaling.factor": 4.0, "rope.scaling.original_context_length": 64},
            Stretch("yarn", 4.0, 64),
        ),
        (
            {"rope.scaling.type": "yarn", "rope.scaling.factor": 2.0, "rope.scaling.yarn_beta_fast": 16.0},
            Stretch("yarn", 2.0, 100, 16.0),
        ),
    ],
    ids=["unnamed", "once", "none", "yarn", "own"],
)
def test_a_gguf_file_says_linear_and_yarn_in_its_keys(tmp_path, keys, wanted):
    """Where they name no kind it is linear, and where they give no length it is the model's own: as in llama.cpp."""
    given = {"llama.context_length": 100, **{f"llama.{key}": value for key, value in keys.items()}}
    config = test_weights.write(tmp_path, given).config()
    assert config.stretched == wanted
    assert config.rope_factors == (wanted.factors(config.rope_base, 16) if wanted else ())


def test_a_gguf_file_that_scales_rope_twice_is_refused(tmp_path):
    tensors = {"rope_freqs.weight": np.float32(FACTORS).reshape(8)}
    file = test_weights.write(tmp_path, {"llama.rope.scaling.factor": 2.0}, tensors=tensors)
    with pytest.raises(UserError, match="it scales RoPE twice"):
        file.config()


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
