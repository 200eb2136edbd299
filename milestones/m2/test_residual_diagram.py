"""The residual stream's diagram: lengths, parts and norms are those of a forward pass in PyTorch, on a small model."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from conftest import need_device
from milestones.errors import UserError
from milestones.m1.config import LlamaConfig, implied_tensors
from milestones.m2.diagram import residual as diagram
from milestones.m2.diagram.parts import parts
from milestones.m2.diagram.passes import passed
from reference.attention import attention
from reference.compare import assert_same
from reference.forward import Passed, forward
from reference.matmul import matmul
from reference.rms_norm import rms_norm
from reference.rope import rope
from reference.swiglu import swiglu
from tests.small_device import small_device

CONFIG = LlamaConfig(
    blocks=3, width=64, ffn=96, heads=4, kv_heads=2, head_dim=16, rope_base=10000.0, eps=1e-5, context=128, vocabulary=83,
)  # fmt: skip
TEXT, IDS = "5 17 80 3 3", [5, 17, 80, 3, 3]
PARTS = pytest.mark.parametrize("part", ["attention", "ffn"])


def weights() -> dict[str, np.ndarray]:
    """Random ones of unit-sized effect, so that every block matters."""
    random = np.random.default_rng(4)
    made = {name: random.standard_normal(shape).astype(np.float32) for name, shape in implied_tensors(CONFIG)}
    return {name: 1 + 0.3 * w if w.ndim == 1 else w * 0.2 for name, w in made.items()}


def exact() -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(w).double() for name, w in weights().items()}


def reference(ids) -> Passed:
    c = CONFIG
    return forward(ids, exact(), blocks=c.blocks, heads=c.heads, kv_heads=c.kv_heads, eps=c.eps, base=c.rope_base)


@pytest.fixture(scope="module")
def device(whole_gpu):
    """A Device with a small model, whose text is a list of ids."""
    return small_device(whole_gpu, CONFIG, {name: whole_gpu.tensor(w) for name, w in weights().items()})


def close(actual, expected):
    """Within 10⁻⁵ of the largest: some hundred roundings of a sum in float32."""
    expected = np.asarray(expected)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


class Doubles:
    """A model's weights by name, as float64, each when it is asked for."""

    def __init__(self, model):
        self._model = model

    def __getitem__(self, name):
        kind, *rest = name.split(".")
        whole = {"token_embd": self._model.head, "output_norm": self._model.norm}
        found = self._model.blocks[int(rest[0])][rest[1]] if kind == "blk" else whole[kind]
        return torch.from_numpy(found.numpy()).double()


def real(device, ids) -> Passed:
    """The forward pass of the device's model, in float64."""
    c = device.naive.model.config
    sizes = {"blocks": c.blocks, "heads": c.heads, "kv_heads": c.kv_heads, "eps": c.eps, "base": c.rope_base}
    return forward(ids, Doubles(device.naive.model), **sizes)  # type: ignore[arg-type]


def lengths(streams):
    return torch.stack(list(streams)).norm(dim=2).T


def test_the_lengths_are_pytorchs_in_every_layer_for_every_token(device):
    told, stream = diagram.norms(device, TEXT), reference(IDS).stream
    close(told["before"], lengths(stream[::2]))
    close(told["between"], lengths(stream[1::2]))
    close(told["attention"], lengths(b - a for a, b in zip(stream[:-1:2], stream[1::2], strict=True)))
    close(told["ffn"], lengths(b - a for a, b in zip(stream[1::2], stream[2::2], strict=True)))
    assert [one["text"] for one in told["tokens"]] == TEXT.split() and told["blocks"] == 3 and told["width"] == 64
    assert np.shape(told["before"]) == (5, 4) and np.shape(told["ffn"]) == (5, 3)


def test_the_parts_add_up_to_the_models_own_stream_bit_for_bit(device):
    """So what is drawn as added is what was added."""
    seen = passed(device, IDS)
    made = parts(device, seen)
    assert_same(made.between + made.ffn, seen.stream[1:])
    assert_same(seen.stream[:-1] + made.attention, made.between)


@PARTS
@pytest.mark.parametrize(("token", "layer"), [(0, 0), (2, 1), (4, 2)])
def test_the_norm_is_pytorchs(device, part, token, layer):
    told = diagram.look(device, TEXT, token, layer, part)
    x = reference(IDS).stream[2 * layer + (part == "ffn")][token]
    weight = exact()[f"blk.{layer}.{'attn' if part == 'attention' else 'ffn'}_norm.weight"]
    divided, normed = (rms_norm(x[None], w, CONFIG.eps)[0] for w in (torch.ones_like(x), weight))
    for name, vector in (("x", x), ("divided", divided), ("normed", normed)):
        close(told["vectors"][name], vector)
        assert told["rms"][name] == pytest.approx(float(vector.square().mean().sqrt()), rel=1e-5)
    assert told["rms"]["divided"] == pytest.approx(1, abs=1e-3)
    order = x.abs().argsort(descending=True)[: diagram.LARGEST]
    assert [one["at"] for one in told["largest"]] == order.tolist()
    close([one["weight"] for one in told["largest"]], weight[order])
    close([one["normed"] for one in told["largest"]], normed[order])
    assert told["share"] == pytest.approx(float(x[order].square().sum() / x.square().sum()), rel=1e-5)
    assert told["length"] == pytest.approx(float(x.norm()), rel=1e-5)


def raw(part, x, layer, weights):
    """What the part adds to the last token if it reads the stream itself."""

    def through(x, name):
        return matmul(x, weights[f"blk.{layer}.{name}.weight"])

    if part == "ffn":
        return through(swiglu(through(x, "ffn_gate"), through(x, "ffn_up")), "ffn_down")[-1]
    q, k, v = (through(x, f"attn_{one}").unflatten(1, (-1, CONFIG.head_dim)) for one in "qkv")
    mixed = attention(rope(q, 0, CONFIG.rope_base), rope(k, 0, CONFIG.rope_base), v)
    return through(mixed.flatten(1), "attn_output")[-1]


@PARTS
@pytest.mark.parametrize(("token", "layer"), [(0, 0), (3, 1), (4, 2)])
def test_with_and_without_the_norm_are_what_pytorch_adds(device, part, token, layer):
    told, stream, at = diagram.look(device, TEXT, token, layer, part), reference(IDS).stream, 2 * layer + (part == "ffn")
    assert told["added"] == pytest.approx(float((stream[at + 1] - stream[at])[token].norm()), rel=1e-4)
    assert told["after"] == pytest.approx(float(stream[at + 1][token].norm()), rel=1e-5)
    assert told["without"] == pytest.approx(float(raw(part, stream[at][: token + 1], layer, exact()).norm()), rel=1e-4)
    assert abs(told["without"] / told["added"] - 1) > 0.05, "the norm must make a difference"


def test_what_is_not_there_is_refused_in_words(device):
    for token, layer in ((5, 0), (0, 3)):
        with pytest.raises(UserError, match=f"3 layers and 5 tokens, numbered from 0: no layer {layer} or token {token}"):
            diagram.look(device, TEXT, token, layer, "ffn")
    with pytest.raises(UserError, match="shorten it"):
        diagram.norms(device, "5 " * 49)


@pytest.mark.slow
def test_the_real_models_lengths_are_pytorchs(model_path):
    """The model of the page, its first picture's prompt, every token and layer: within a thousandth."""
    from milestones.diagrams.device import Device

    need_device()
    device, text = Device(model_path), "The cat sat on the mat because it was tired."
    told, stream = diagram.norms(device, text), real(device, device.encode(text)).stream
    for name, expected in (("before", stream[::2]), ("between", stream[1::2])):
        np.testing.assert_allclose(told[name], lengths(expected), rtol=1e-3)
    parts = [b - a for a, b in itertools.pairwise(stream)]
    for name, expected in (("attention", parts[::2]), ("ffn", parts[1::2])):
        np.testing.assert_allclose(told[name], lengths(expected), rtol=1e-3, atol=1e-2)
    assert np.max(told["before"]) > 50 * np.median(told["before"]), "the first token is many times as long as the others"
    shown = diagram.look(device, text, 7, 10, "ffn")
    without = raw("ffn", stream[21][7:8], 10, Doubles(device.naive.model))
    assert shown["without"] == pytest.approx(float(without.norm()), rel=1e-3) and shown["without"] > 100 * shown["added"]
