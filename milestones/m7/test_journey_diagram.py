"""The journey's diagram: shapes and bytes follow from the model's sizes, tokens are PyTorch's, every time is counted once."""

from __future__ import annotations

import dataclasses
import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from conftest import need_device
from metal.health import spec_gpu
from metal.source import ROOT
from metal.timed import TimedGpu
from milestones.errors import UserError
from milestones.m1.config import implied_tensors
from milestones.m2.model import Model
from milestones.m6.model import FastModel
from milestones.m6.test_model import CONFIG as C
from milestones.m6.test_model import Source
from milestones.m7.diagram import journey as diagram
from milestones.m7.diagram.stages import KERNELS, NAIVE
from milestones.m7.diagram.traced import Run, Sorted, split
from reference.forward import forward

IDS = [5, 17, 74, 3, 3]
BYTES = {"float32": 4, "uint32": 4, "uint8": 1, "Q4_1": 20 / 32, "Q8_0": 34 / 32}  # of a number, with its share of the scales
WIDE, NARROW = C.heads * C.head_dim, C.kv_heads * C.head_dim
BOTH = pytest.mark.parametrize("kernels", ["naive", "fast"])


@pytest.fixture(scope="module")
def device():
    """A Device with a small model on both sets of kernels, whose text is a list of ids."""
    need_device()
    kept, gpu = {}, TimedGpu(device=spec_gpu(checks="off").device)
    gpu.timing = False
    source = Source(gpu, C, "Q4_1")
    tokenizer = SimpleNamespace(
        encode=lambda text: [int(word) for word in text.split()],
        decode=lambda ids: b"",
        token_bytes=lambda token: b"%d" % token,
        prefix=[],
        ends=set(),
    )
    return SimpleNamespace(
        gpu=gpu,
        naive=SimpleNamespace(model=Model(gpu, source)),
        engine=SimpleNamespace(model=FastModel(gpu, source)),
        tokenizer=tokenizer,
        encode=tokenizer.encode,
        kept=lambda name, make: kept[name] if name in kept else kept.setdefault(name, make()),
        weights={name: torch.from_numpy(source.tensor(name).numpy()).double() for name in source._rows},
    )


def likeliest(device, ids):
    """PyTorch's next token, and its probability."""
    made = forward(ids, device.weights, blocks=C.blocks, heads=C.heads, kv_heads=C.kv_heads, eps=C.eps, base=C.rope_base)
    p = made.logits[-1].softmax(0)
    return int(p.argmax()), float(p.max())


def told(device, kernels, ids=IDS):
    return diagram.journey(device, " ".join(map(str, ids)), kernels)


def shapes(stages, of):
    """title → {name: shape} of a kind of tensors."""
    return [{one["name"]: tuple(one["shape"]) for one in stage[of]} for stage in stages]


def every(part):
    """All stages of a pass, a block's once."""
    return [*part["before"], *(stage for kind in part["kinds"] for stage in kind), *part["after"]]


@BOTH
def test_the_tokens_are_those_that_pytorch_chooses(device, kernels):
    prompt, step = told(device, kernels)["passes"]
    for part, ids in ((prompt, IDS), (step, [*IDS, prompt["chosen"]["id"]])):
        token, probability = likeliest(device, ids)
        assert part["chosen"]["id"] == token and part["chosen"]["probability"] == pytest.approx(probability, rel=1e-3)
    assert (prompt["start"], prompt["tokens"], step["start"], step["tokens"]) == (0, 5, 5, 1)


def test_the_plain_stages_have_the_shapes_of_the_formulas(device):
    for part in told(device, "naive")["passes"]:
        n, held = part["tokens"], part["start"] + part["tokens"]
        x, q, k, hidden = (n, C.width), (n, C.heads, C.head_dim), (n, C.kv_heads, C.head_dim), (n, C.ffn)
        past = (held, *k[1:])
        (inner,) = part["kinds"]
        assert shapes(inner, "outs") == [
            {"h": x},
            {"Q": (n, WIDE), "K": (n, NARROW), "V": (n, NARROW)},
            {"Q, turned": q, "K, turned": k},
            {"K, new rows": k, "V, new rows": k},
            {"mixed V": q},
            {"stream x": x},
            {"h": x},
            {"gate": hidden, "up": hidden},
            {"hidden": hidden},
            {"stream x": x},
        ]
        assert shapes(inner, "ins")[4] == {"Q": q, "K, all rows": past, "V, all rows": past}
        assert shapes(inner, "weights") == [
            {"attn_norm": (C.width,)},
            {"attn_q": (WIDE, C.width), "attn_k": (NARROW, C.width), "attn_v": (NARROW, C.width)},
            *({}, {}, {}),
            {"attn_output": (C.width, WIDE)},
            {"ffn_norm": (C.width,)},
            {"ffn_gate": (C.ffn, C.width), "ffn_up": (C.ffn, C.width)},
            {},
            {"ffn_down": (C.width, C.ffn)},
        ]
        assert shapes(part["after"], "outs")[1:3] == [{"logits": (1, C.vocabulary)}, {"id": (1,)}]
        assert [len(one) for one in part["blocks"][0]["us"]] == [1, 3, 2, 1, 1, 2, 1, 2, 1, 2]


def test_the_fast_stages_are_fewer_and_read_packed_weights(device):
    prompt, step = told(device, "fast")["passes"]
    three, half = (WIDE + 2 * NARROW, C.width), (2 * C.ffn, C.width)
    (inner,) = prompt["kinds"]
    assert shapes(inner, "weights")[1] == {"attn_q, attn_k, attn_v": three}
    assert shapes(inner, "weights")[6] == {"ffn_gate, ffn_up": half}
    assert shapes(inner, "outs")[2]["K, new rows"] == (5, C.kv_heads, C.head_dim)
    first, last = step["kinds"]  # what the last block prepares is read by the head, by another norm
    assert [sum(map(len, one["us"])) for one in step["blocks"]] == [5, 5]
    assert shapes(first, "ins")[1]["K, all rows"] == (6, C.kv_heads, C.head_dim)
    assert shapes(first, "weights")[0] == {"attn_q, attn_k, attn_v": three} and first[0]["weights"][0]["type"] == "Q4_1"
    assert [shapes(kind, "weights")[4] for kind in (first, last)] == [
        {"ffn_down": (C.width, C.ffn), name: (C.width,)} for name in ("attn_norm", "output_norm")
    ]
    assert shapes(step["before"], "weights") == [{"token_embd, rows looked up": (1, C.width), "attn_norm": (C.width,)}]


@BOTH
def test_bytes_are_the_numbers_times_their_size(device, kernels):
    for part in told(device, kernels)["passes"]:
        tensors = [one for stage in every(part) for of in ("ins", "weights", "outs") for one in stage[of]]
        assert len(tensors) > 20
        for one in tensors:
            if one["type"] in BYTES and not one["name"].startswith("token_embd"):  # whose rows are packed 32 together
                assert one["bytes"] == math.prod(one["shape"]) * BYTES[one["type"]], one


@BOTH
def test_times_are_positive_and_add_up_to_the_total(device, kernels):
    given = told(device, kernels)
    for part in given["passes"]:
        outside = [us for stage in (*part["before"], *part["after"]) for us in stage["us"]]
        inside = [us for block in part["blocks"] for stage in block["us"] for us in stage]
        assert all(type(us) is int and us >= 1 for us in (*outside, *inside)) and part["whole"] >= 1
        assert part["total"] == sum(outside) + sum(inside)
        assert len(part["blocks"]) == C.blocks
    assert given["empty"] > 0


@BOTH
def test_every_kernel_that_ran_is_a_file_that_the_page_links(device, kernels):
    found = {file for part in told(device, kernels)["passes"] for stage in every(part) for file in stage["files"]}
    assert len(found) > 8
    for file in found:
        assert (ROOT / file).is_file() and file in diagram.DIAGRAM.files


def test_every_kernel_of_a_plan_exists_and_no_stage_shares_one_with_the_next():
    assert all((ROOT / "milestones" / f"{file}.metal").is_file() for file in KERNELS)
    stages = [*NAIVE.before, *NAIVE.block, *NAIVE.block, *NAIVE.after]
    assert all(not set(a.files) & set(b.files) for a, b in itertools.pairwise(stages))


def test_a_short_prompt_goes_token_by_token_through_the_fast_kernels(device):
    prompt = told(device, "fast", [5, 17])["passes"][0]
    assert prompt["rounds"] == 2 and prompt["chosen"]["id"] == likeliest(device, [5, 17])[0]
    assert [len(one) for one in prompt["blocks"][0]["us"]] == [2] * 5
    assert shapes(prompt["kinds"][0], "ins")[1]["K, all rows"] == (2, C.kv_heads, C.head_dim)


def test_a_model_with_biases_and_norms_of_q_and_k_and_a_block_without_rope_has_those_stages(device):
    """As Qwen's and SmolLM3's are. A bias is two more runs: looked up for each token, and added."""
    config = dataclasses.replace(C, qk_norm=True, biases=("attn_q", "attn_k", "attn_v"), unrotated=(1,))
    random = np.random.default_rng(5)
    numbers = {name: random.standard_normal(shape).astype(np.float32) * 0.1 for name, shape in implied_tensors(config)}
    source = SimpleNamespace(config=config, tensor=lambda name: device.gpu.tensor(numbers[name]))
    model = Model(device.gpu, source)  # type: ignore[arg-type]
    given = diagram.journey(SimpleNamespace(**{**vars(device), "naive": SimpleNamespace(model=model)}), "5 17 74", "naive")
    prompt = given["passes"][0]
    first, second = prompt["kinds"]
    titles = [stage["title"] for stage in first]
    assert titles[1:5] == ["Q, K and V products", "RMSNorm of Q and K", "RoPE", "KV store"]
    assert [stage["title"] for stage in second] == [title for title in titles if title != "RoPE"]
    assert [list(map(len, one["us"])) for one in prompt["blocks"]] == [
        [1, 9, 2, 2, 1, 1, 2, 1, 2, 1, 2], [1, 9, 2, 1, 1, 2, 1, 2, 1, 2],
    ]  # fmt: skip
    assert shapes(first, "outs")[1] == {"Q": (3, WIDE), "K": (3, NARROW), "V": (3, NARROW)}
    assert {"attn_q.bias": (WIDE,), "attn_v.bias": (NARROW,)}.items() <= shapes(first, "weights")[1].items()
    assert set(shapes(first, "weights")[2]) == {"attn_q_norm", "attn_k_norm"}


def test_the_fast_kernels_read_biases_and_norms_in_the_stage_that_turns_q_and_k(device):
    """They have no stages of their own there: one kernel adds, norms, turns and stores."""
    config = dataclasses.replace(C, qk_norm=True, biases=("attn_q", "attn_k", "attn_v"))
    model = FastModel(device.gpu, Source(device.gpu, config, "Q4_1"))
    given = diagram.journey(SimpleNamespace(**{**vars(device), "engine": SimpleNamespace(model=model)}), "5 17 74 3", "fast")
    beside = {"attn_q, attn_k, attn_v biases": (WIDE + 2 * NARROW,), "attn_q_norm, attn_k_norm": (2, C.head_dim)}
    for part, stage in zip(given["passes"], (2, 0), strict=True):
        assert beside.items() <= shapes(part["kinds"][0], "weights")[stage].items()


def test_a_model_that_the_fast_kernels_cannot_run_is_shown_on_the_plain_ones(device):
    """Then the engine has taken those, and the answer says so."""
    given = diagram.journey(SimpleNamespace(**{**vars(device), "engine": device.naive}), "5 17 74", "fast")
    assert given["kernels"] == "naive" and len(given["passes"][0]["kinds"][0]) == len(NAIVE.block)


def test_a_text_that_the_model_ends_has_no_decode_step(device):
    device.tokenizer.ends.add(likeliest(device, IDS)[0])
    try:
        (prompt,) = told(device, "naive")["passes"]
        assert prompt["chosen"]["ends"]
    finally:
        device.tokenizer.ends.clear()


def test_runs_that_do_not_fit_the_plan_are_not_shown():
    names = [stage.files[0] for stage in (*NAIVE.before, *NAIVE.block, *NAIVE.after)]
    runs, one = [Run(name, 1, ()) for name in names], dataclasses.replace(C, blocks=1)
    assert len(split(Sorted(runs), NAIVE, one, 1)) == 3
    with pytest.raises(RuntimeError, match=r"no run of m2/rope where RoPE was expected"):
        split(Sorted([run for run in runs if run.file != "m2/rope"]), NAIVE, one, 1)
    with pytest.raises(RuntimeError, match=r"m2/rope ran where nothing was expected"):
        Sorted([Run("m2/rope", 1, ())]).end()


def test_a_prompt_that_is_too_long_is_refused(device):
    with pytest.raises(UserError, match="49 tokens, this diagram takes 48"):
        told(device, "naive", [3] * 49)


@pytest.mark.slow
@BOTH
def test_the_real_models_journey_begins_and_ends_as_text(model_path, kernels):
    """The ids are those of the golden fixtures: 504 3575 282 4649 314, and then Paris."""
    from milestones.diagrams.device import Device

    given = diagram.journey(Device(model_path), "The capital of France is", kernels)
    assert [one["id"] for one in given["tokens"]] == [504, 3575, 282, 4649, 314]
    prompt, step = given["passes"]
    assert prompt["chosen"]["text"] == " Paris" and prompt["chosen"]["id"] == 7042
    assert shapes(prompt["before"], "outs") == [{"bytes": (24,)}, {"ids": (5,)}, {"stream x": (5, 576)}]
    assert [stage["files"] for stage in prompt["before"][:2]] == [[], ["milestones/m0/bpe.metal"]]
    for part in (prompt, step):
        assert part["after"][-1]["files"] == ["milestones/m0/detokenize.metal"] and len(part["blocks"]) == 30
    assert shapes(prompt["after"], "outs")[-1] == {"bytes": (6,)}
