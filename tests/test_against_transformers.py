"""The whole forward pass and the whole loop against transformers in float32, on the very same file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from conftest import one_in
from metal.health import spec_gpu
from milestones.m1.gguf_model import GgufModel
from milestones.m1.weights import Weights
from milestones.m2.model import Model
from milestones.m7.golden.make import NEW_TOKENS, PROMPTS
from milestones.m7.loop import Loop
from milestones.m7.template import ChatTemplate
from reference.golden import load
from tests.tiny import random_model, write_gguf

GOLDEN = Path(__file__).parent.parent / "milestones" / "m7" / "golden"
CLOSE = {"atol": 1e-4, "rtol": 1e-4}
EXCUSED_GAP = 1e-3  # two right engines may part ways where the two largest logits are this near


def first_divergence(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> str | None:
    """The first checkpoint, in the order of the data's way, at which the two differ; None if none does."""
    for name, expected in theirs.items():
        actual = ours[name]
        assert actual.shape == expected.shape, f"{name}: got shape {actual.shape}, expected {expected.shape}"
        wrong = ~np.isclose(actual, expected, **CLOSE)
        if wrong.any():
            worst = np.nanmax(np.abs(actual - expected))
            return f"first divergence at '{name}': {wrong.sum()} of {wrong.size} elements, the largest error {worst:.3g}"
    return None


def checkpoints_of(model: Model, ids: list[int]) -> dict[str, np.ndarray]:
    seen: dict[str, np.ndarray] = {}
    model.forward(ids, watch=lambda name, array: seen.__setitem__(name, array), all_rows=True)
    return seen


def checkpoints_of_oracle(oracle, ids: list[int]) -> dict[str, np.ndarray]:
    with torch.no_grad():
        out = oracle(torch.tensor([ids]), output_hidden_states=True)
    hidden = [h[0].numpy() for h in out.hidden_states]  # the last one has been through the last norm already
    blocks = {f"block {n}": h for n, h in enumerate(hidden[1:-1])}
    return {"embedding": hidden[0], **blocks, "norm": hidden[-1], "logits": out.logits[0].numpy()}


@pytest.mark.slow
def test_every_checkpoint_of_a_prompt_equals_transformers(engine, oracle):
    """Embedding, every block but the last (transformers does not show it), last norm and logits of a 5-token prompt."""
    ids = [504, 3575, 282, 4649, 314]  # "The capital of France is"
    theirs = checkpoints_of_oracle(oracle, ids)
    assert abs(theirs["logits"][-1].max() - 17.3713) < 1e-3, "this is not the model the figures were taken from"
    assert first_divergence(checkpoints_of(engine.model, ids), theirs) is None


@pytest.mark.slow
def test_a_divergence_is_named_by_the_first_checkpoint_that_shows_it(engine, oracle):
    """The check above can fail, and says where: a flaw planted in block 3's norm must be found at block 3."""
    ids = [504, 3575, 282]
    theirs = checkpoints_of_oracle(oracle, ids)
    weight = engine.model.blocks[3]["attn_norm"].numpy()
    before = weight.copy()
    try:
        weight *= 1.01
        found = first_divergence(checkpoints_of(engine.model, ids), theirs)
    finally:
        weight[:] = before
    assert found is not None and "first divergence at 'block 3'" in found


@pytest.mark.parametrize("name", one_in(3, PROMPTS))
def test_greedy_text_equals_transformers(engine, name):
    """The naive kernels: see `check_greedy`."""
    check_greedy(engine, name)


@pytest.mark.parametrize("name", PROMPTS)
def test_greedy_text_of_the_fast_kernels_equals_transformers(fast, name):
    """m6's kernels, on packed weights, with a recorded step: see `check_greedy`."""
    check_greedy(fast, name)


def check_greedy(engine, name):
    """The same ids up to the first step whose two largest logits are closer than 10⁻³ (golden: gaps are recorded)."""
    golden = load(GOLDEN, "greedy")
    expected, gaps = golden[f"{name}_new"].tolist(), golden[f"{name}_gaps"]
    excused = np.flatnonzero(gaps < EXCUSED_GAP)
    certain = int(excused[0]) if excused.size else len(expected)
    assert certain >= 8, "a fixture that excuses nearly everything proves nothing"
    prompt = engine.encode(PROMPTS[name])
    assert prompt == golden[f"{name}_prompt"].tolist(), "the prompt's token ids differ"
    got = [token.id for token in engine.generate(PROMPTS[name], max_tokens=NEW_TOKENS)]
    assert got[:certain] == expected[:certain]


@pytest.mark.parametrize("tied", [True, False], ids=["tied-head", "own-head"])
@pytest.mark.parametrize("heads,kv_heads,width", [(6, 2, 32), (4, 4, 448), (5, 1, 1024)], ids=["gqa-32", "mha-448", "mqa-1024"])
def test_a_tiny_random_model_equals_transformers(tmp_path, tied, heads, kv_heads, width):
    """No download: odd sizes (width 60, heads of 8, FFN 97, 131 tokens) that no kernel can be tuned to.

    Each kernel is checked in its own spec, at every width; here one model of the six runs with the checks on.
    """
    oracle = random_model(seed=heads, tied=tied, heads=heads, kv_heads=kv_heads)
    file = GgufModel(write_gguf(oracle, tmp_path / "tiny.gguf"))
    gpu = spec_gpu(width, checks=None if tied and width == 32 else "off")
    weights = Weights(gpu, file)
    weights.check()
    model = Model(gpu, weights)
    ids = [3, 130, 7, 7, 64, 0, 99, 12, 12]
    assert first_divergence(checkpoints_of(model, ids), checkpoints_of_oracle(oracle, ids)) is None

    with torch.no_grad():
        expected = oracle.generate(torch.tensor([ids]), max_new_tokens=20, do_sample=False, eos_token_id=None)[
            0, len(ids) :
        ].tolist()
    for cached in (True, False):
        assert [choice.id for choice in Loop(gpu, model, cached=cached).generate(ids, 20)] == expected


def said(*contents):
    return [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(contents)]


def test_a_conversation_is_rendered_as_transformers_renders_it(engine):
    """The library's own rendering of the same template, by conversation."""
    from transformers.utils.chat_template_utils import render_jinja_template

    template = ChatTemplate(engine.chat_template, engine.tokenizer)
    for messages in (
        said("Hello"),
        said("a", "b", "c"),
        [{"role": "system", "content": "Be brief."}, *said("x")],
    ):
        for prompt in (True, False):
            theirs, _ = render_jinja_template([messages], chat_template=engine.chat_template, add_generation_prompt=prompt)
            assert template.plain(template.render(messages, prompt=prompt)) == theirs[0]
