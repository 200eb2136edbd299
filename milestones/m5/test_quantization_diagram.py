"""The quantization diagram: codes, scales and errors are the `gguf` package's, and the next token is that of such weights."""

from __future__ import annotations

from types import SimpleNamespace

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType, quants

from milestones.errors import UserError
from milestones.m1.config import BIASED, LlamaConfig, implied_tensors
from milestones.m1.model_file import open_model
from milestones.m2.model import Model
from milestones.m5.diagram import quantization as diagram
from milestones.m5.diagram.requantized import Requantized
from milestones.m5.weights import Weights
from tests.tiny import NAMES, random_model, write_gguf

SIZES = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "heads": 4, "kv_heads": 2, "head_dim": 16}
IDS = [3, 130, 7, 7, 64, 0, 99]


def device_of(gpu, path):
    """What the endpoints need of a Device."""
    kept: dict = {}
    file = open_model(path)
    return SimpleNamespace(
        gpu=gpu,
        file=file,
        tokenizer=SimpleNamespace(token_bytes=lambda token: b"%d" % token),
        naive=SimpleNamespace(model=Model(gpu, Weights(gpu, file))),
        encode=lambda text: IDS if text == "x" else [0] * len(text),
        kept=lambda name, make: kept[name] if name in kept else kept.setdefault(name, make()),
    )


@pytest.fixture(scope="module", params=[True, False], ids=["tied", "untied"])
def tiny(request, whole_gpu, tmp_path_factory):
    """A tiny model in floats: the device, and the path."""
    path = write_gguf(random_model(3, tied=request.param, **SIZES), tmp_path_factory.mktemp("tiny") / "floats.gguf")
    return device_of(whole_gpu, path), path


@pytest.fixture(scope="module")
def real(whole_gpu, model_path):
    """The default model, without its weights on the device."""
    file = open_model(model_path)
    kept: dict = {}
    device = SimpleNamespace(
        gpu=whole_gpu, file=file, kept=lambda name, make: kept.setdefault(name, make()),
        tokenizer=SimpleNamespace(token_bytes=lambda token: b"?"),
    )  # fmt: skip
    return device, {t.name: t for t in gguf.GGUFReader(model_path).tensors}


PLACES = [
    ("token_embd", 0, 7042, 17),
    ("token_embd", 0, 0, 0),
    ("attn_k", 29, 191, 5),
    ("ffn_down", 13, 575, 47),
    ("attn_q", 0, 3, 9),
]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: "-".join(map(str, place)))
def test_a_block_of_the_model_is_what_gguf_makes_of_it(real, place):
    """The weights, and their codes in each type: the bytes behind the numbers are those of everyone's files."""
    device, tensors = real
    _, _, row, block = place
    told = diagram.block(device, *place)
    stored = tensors[told["name"]]
    line = quants.dequantize(stored.data[row : row + 1], stored.tensor_type)[0]
    here = slice(32 * block, 32 * block + 32)
    assert told["kind"] == stored.tensor_type.name and np.array_equal(told["values"], line[here])
    assert [one["type"] for one in told["formats"]] == ["F16", *diagram.TYPES]
    for one in told["formats"]:
        kind = GGMLQuantizationType[one["type"]]
        back = quants.dequantize(quants.quantize(line, kind), kind)
        assert np.array_equal(one["values"], back[here])
        errors = back.astype(np.float64) - line
        assert np.array_equal(one["errors"], errors[here])
        assert one["rms"] == pytest.approx(np.sqrt((errors[here] ** 2).mean()), rel=1e-12)
        assert one["row"] == pytest.approx(np.linalg.norm(errors) / np.linalg.norm(line), rel=1e-6)
        if one["type"] != "F16":
            assert all(one["least"] <= code <= one["most"] for code in one["codes"])
            meant = np.array([one["scale"] * (code - one["middle"]) + (one["minimum"] or 0) for code in one["codes"]])
            assert np.array_equal(np.float32(meant), one["values"]), "what is drawn as ticks is what the codes mean"


def test_a_matrix_that_is_q4_1_already_loses_nothing_in_it_again(real):
    """The page says so: the file has no floats to start from."""
    for row in range(0, 576, 97):
        told = {one["type"]: one["rms"] for one in diagram.block(real[0], "ffn_down", 4, row, row % 48)["formats"]}
        assert told.pop("Q4_1") == 0 < min(told.values())


def test_halves_are_shown_by_their_bits(real):
    one = diagram.block(real[0], "token_embd", 0, 7042, 3)["formats"][0]
    assert [np.array([int(bits, 16)], np.uint16).view(np.float16)[0] for bits in one["codes"]] == list(
        np.float16(one["values"])
    )


def test_the_largest_outlier_is_the_one_of_all_blocks(real):
    device, tensors = real
    told = diagram.outlier(device, "attn_v", 7)
    stored = tensors["blk.7.attn_v.weight"]
    blocks = quants.dequantize(stored.data, stored.tensor_type).reshape(192, 18, 32)
    ratios = np.abs(blocks).max(axis=2) / np.sqrt((blocks.astype(np.float64) ** 2).mean(axis=2))
    assert ratios[told["row"], told["block"]] == pytest.approx(ratios.max(), rel=1e-6)
    assert told["ratio"] == pytest.approx(ratios.max(), rel=1e-6)


def expected(path, ids, kind, names):
    """ln p of the next token, by transformers, with some tensors put through gguf's own quantization."""
    reader = gguf.GGUFReader(path)
    tied = not any(t.name == "output.weight" for t in reader.tensors)
    model = random_model(3, tied=tied, **SIZES)
    parts = {ours: theirs for theirs, ours in NAMES.items()}
    state = model.state_dict()
    for name in names:
        part = name.removesuffix(".weight").split(".")
        theirs = {"token_embd": "model.embed_tokens.weight", "output": "lm_head.weight"}.get(part[0])
        theirs = theirs or f"model.layers.{part[1]}.{parts[part[2]]}.weight"
        values = state[
            theirs
        ].numpy()  # a row keeps its blocks wherever it stands: the order of Q's and K's rows does not matter
        made = quants.dequantize(quants.quantize(values, GGMLQuantizationType[kind]), GGMLQuantizationType[kind])
        state[theirs].copy_(torch.from_numpy(made))
        if tied and part[0] == "token_embd":
            state["lm_head.weight"].copy_(torch.from_numpy(made))
    model.load_state_dict(state)
    with torch.no_grad():
        return torch.log_softmax(model(torch.tensor([ids])).logits[0, -1].double(), 0).numpy()


CHOSEN = [("tensor", "ffn_up", 1), ("tensor", "token_embd", 0), ("blocks", "attn_q", 0), ("all", "attn_q", 0)]


@pytest.mark.parametrize(("scope", "part", "layer"), CHOSEN)
def test_the_next_token_is_that_of_a_model_with_such_weights(tiny, scope, part, layer):
    """transformers runs the same model with the weights that gguf quantized: the distributions are the same."""
    device, path = tiny
    names = [t.name for t in gguf.GGUFReader(path).tensors if not t.name.endswith("norm.weight")]
    if scope == "tensor":
        names = [diagram.tensor_name(part, layer)]
    elif scope == "blocks":
        names = [name for name in names if name.startswith("blk.")]
    lines = list(diagram.effect(device, "x", scope, part, layer))
    assert [line["type"] for line in lines] == ["file", *diagram.TYPES]
    own = expected(path, IDS, "Q8_0", [])
    assert {line["tensors"] for line in lines} == {len(names)}
    for line in lines:
        want = own if line["type"] == "file" else expected(path, IDS, line["type"], names)
        order = np.argsort(-want)[: diagram.TOP]
        assert [one["id"] for one in line["top"]] == order.tolist()
        assert [one["p"] for one in line["top"]] == pytest.approx(np.exp(want[order]), rel=2e-3)
        assert [one["own"] for one in line["top"]] == pytest.approx(np.exp(own[order]), rel=2e-3)
        assert line["kl"] == pytest.approx((np.exp(own) * (own - want)).sum(), rel=5e-3, abs=1e-6)
        assert line["same"] == (want.argmax() == own.argmax())
    assert lines[-1]["kl"] > 1e-4, "four bits must be felt"
    again = next(diagram.effect(device, "x", scope, part, layer))
    assert again == lines[0], "the model itself must stay as it is"


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (lambda device: diagram.block(device, "attn_q", 0, 64, 0), "row 64 is not there.* rows 0 to 63"),
        (lambda device: diagram.block(device, "attn_q", 0, 0, 2), "block 2 is not there.* blocks 0 to 1"),
        (lambda device: diagram.block(device, "attn_q", 2, 0, 0), "no blk.2.attn_q.weight"),
        (lambda device: diagram.outlier(device, "ffn_up", 9), "no blk.9.ffn_up.weight"),
        (lambda device: next(diagram.effect(device, "x" * 49, "all", "attn_q", 0)), "49 tokens, this picture takes 48"),
    ],
    ids=["row", "block", "layer", "outlier's layer", "prompt"],
)
def test_what_is_not_there_is_refused_in_words(tiny, asked, words):
    with pytest.raises(UserError, match=words):
        asked(tiny[0])


def test_what_can_be_chosen_is_what_the_file_has(tiny):
    told = diagram.model(tiny[0])
    assert told["layers"] == 2 and ("output" in told["parts"]) is not told["tied"]
    assert told["parts"]["ffn_down"] == {"rows": 64, "blocks": 3, "kinds": ["F32", "F32"]}


def test_the_worked_example_is_true():
    import doctest

    assert doctest.testmod(diagram).attempted and not doctest.testmod(diagram).failed


def test_biases_and_norms_of_heads_stay_as_they_are(whole_gpu):
    """Qwen's blocks hold more than matrices; nothing put through a type is the model itself."""
    config = LlamaConfig(
        blocks=2, width=64, ffn=96, heads=4, kv_heads=2, head_dim=16, rope_base=10000.0, eps=1e-5, context=64, vocabulary=131,
        tied=True, biases=BIASED, qk_norm=True,
    )  # fmt: skip
    random = np.random.default_rng(5)
    tensors = {
        name: whole_gpu.tensor(random.standard_normal(shape) * 0.3, np.float32) for name, shape in implied_tensors(config)
    }
    base = Model(whole_gpu, SimpleNamespace(config=config, tensor=tensors.__getitem__))
    weights = SimpleNamespace(tensor=tensors.__getitem__, stored=lambda name: (tensors[name], "F32", tensors[name].shape))
    expected = base.forward(IDS)
    whole_gpu.sync()
    expected = expected.numpy().copy()
    for names, same in (((), True), (("blk.0.attn_q.weight",), False)):
        logits = Requantized(whole_gpu, base, weights, "Q4_0", names).forward(IDS)
        whole_gpu.sync()
        assert np.array_equal(logits.numpy(), expected) is same
