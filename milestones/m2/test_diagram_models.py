"""m2's diagrams of models with more than the default has: biases, norms of heads, scaled RoPE, blocks without RoPE."""

from __future__ import annotations

import numpy as np
import pytest

from milestones.m1.config import BIASED, LlamaConfig, implied_tensors
from milestones.m2.diagram import attention, rope
from milestones.m2.diagram.parts import parts, sublayers
from milestones.m2.diagram.passes import passed
from reference.compare import assert_same
from tests.small_device import small_device

CONFIG = LlamaConfig(
    blocks=3, width=64, ffn=96, heads=4, kv_heads=2, head_dim=16, rope_base=10000.0, eps=1e-5, context=128, vocabulary=83,
    biases=BIASED, qk_norm=True, unrotated=(1,), rope_factors=(1.0, 1.0, 1.5, 2.0, 4.0, 8.0, 8.0, 8.0),
)  # fmt: skip
IDS = [5, 17, 80, 3, 3, 42]
TEXT = " ".join(map(str, IDS))


@pytest.fixture(scope="module")
def device(whole_gpu):
    """A Device with such a model, whose text is a list of ids."""
    random = np.random.default_rng(8)
    shapes = dict(implied_tensors(CONFIG))
    tensors = {
        name: whole_gpu.tensor(random.standard_normal(shape) * 0.3 + ("norm" in name), np.float32)
        for name, shape in shapes.items()
    }
    assert "blk.2.attn_output.bias" in tensors and "blk.2.attn_q_norm.weight" in tensors
    return small_device(whole_gpu, CONFIG, tensors)


@pytest.mark.parametrize("layer", range(CONFIG.blocks))
def test_ropes_score_is_attentions_own(device, layer):
    """The captured queries and keys of the model's pass against those that the page makes and turns."""
    query, key = 5, 2
    own = attention.look(device, TEXT, layer, 3, query, True)["score"][key]
    page = rope.look(device, TEXT, layer, head=3, query=query, key=key, pair=4, position=key, distance=query - key)
    assert abs(page["score"] - own) < 1e-5 * max(1, abs(own))


def test_a_block_without_rope_turns_nothing(device):
    page = rope.look(device, TEXT, 1, head=3, query=5, key=2, pair=4, position=9, distance=4)
    assert not page["radians"].any() and np.ptp(page["by_distance"]["score"]) == 0
    assert_same(page["turned"]["q"], page["plain"]["q"])


def test_scaled_rope_turns_by_the_factors(device):
    radians = rope.look(device, TEXT, 0, head=0, query=5, key=2, pair=0, position=0, distance=0)["radians"]
    expected = 10000.0 ** (-np.arange(0, 16, 2) / 16) / np.array(CONFIG.rope_factors)
    np.testing.assert_allclose(radians, expected, rtol=1e-12)


@pytest.mark.parametrize("layer", range(CONFIG.blocks))
def test_the_residual_streams_parts_are_the_models(device, layer):
    seen = passed(device, IDS)
    made, run, gpu = parts(device, seen), sublayers(device), device.gpu
    assert_same(made.between[layer] + made.ffn[layer], seen.stream[layer + 1])
    normed = run.norm(gpu.tensor(seen.stream[layer]), run.model.blocks[layer]["attn_norm"], eps=CONFIG.eps)
    again = run.attention(layer, normed)
    gpu.sync()
    size = np.abs(made.attention[layer]).max()
    np.testing.assert_allclose(again.numpy(), made.attention[layer], rtol=0, atol=1e-5 * size)
