"""Attention's diagram: the weights are those that make the layer's output, and those of the reference."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from conftest import need_device
from milestones.errors import UserError
from milestones.m2.conftest import CONFIG
from milestones.m2.diagram import attention as diagram
from milestones.m2.diagram.passes import TOKENS, passed
from milestones.m2.diagram.weights import Weights
from milestones.m2.test_attention import expected
from reference.compare import assert_close, assert_same

TEXT = "Firstlight looks back."  # a token each character; more than a head has elements
EPSILON = 2.0**-23


def reference(seen, layer, *, masked):
    """The weights [head][query][token] and their bound: those of the spec of attention, for values that are unit vectors.

    Without the mask a query sees what it would as that of the last token.
    """
    q, k = seen.q[layer], seen.k[layer]
    tokens = len(q)
    unit = np.repeat(np.eye(tokens, dtype=np.float32)[:, None], k.shape[1], axis=1)
    if masked:
        found = expected(q, k, unit)
    else:
        each = [expected(np.repeat(q[t : t + 1], tokens, axis=0), k, unit) for t in range(tokens)]
        found = tuple(np.stack([one[i][-1] for one in each]) for i in (0, 1))
    return tuple(one.swapaxes(0, 1) for one in found)


@pytest.mark.parametrize("masked", [True, False], ids=["causal", "all"])
@pytest.mark.parametrize("layer", range(CONFIG.blocks))
def test_the_weights_are_the_references(device, layer, masked):
    """PyTorch in float64 from the same queries and keys, within the bound that the kernel's own spec derives."""
    seen = passed(device, device.encode(TEXT))
    want, allowed = reference(seen, layer, masked=masked)
    found = Weights(device.gpu)(seen.q[layer], seen.k[layer], masked=masked)
    assert_close(found, want, allowed)
    assert np.median(allowed) < 1e-5 and want.max() > 0.5, "the bound must be small, the weights not trivial"
    if not masked:
        q, k = (torch.from_numpy(a).double() for a in (seen.q[layer], np.repeat(seen.k[layer], 3, axis=1)))
        plain = (torch.einsum("thd,shd->hts", q, k) / CONFIG.head_dim**0.5).softmax(dim=-1)
        assert_close(found, plain.numpy().astype(np.float32), allowed)


@pytest.mark.parametrize("masked", [True, False], ids=["causal", "all"])
def test_a_row_sums_to_1_and_what_is_masked_is_exactly_0(device, masked):
    seen = passed(device, device.encode(TEXT))
    tokens = len(TEXT)
    found = Weights(device.gpu)(seen.q[1], seen.k[1], masked=masked)
    assert found.shape == (CONFIG.heads, tokens, tokens)
    assert_close(found.sum(axis=-1, dtype=np.float64), np.ones(found.shape[:2]), (2 * tokens + 4) * EPSILON)
    future = np.triu(np.ones((tokens, tokens), bool), 1)
    assert not found[:, future].any() if masked else (found[:, future] > 0).all()
    told = diagram.maps(device, TEXT, 1, masked)
    assert_close(told["weights"], found.astype(np.float64), 0.5001e-4)
    assert [token["text"] for token in told["tokens"]] == list(TEXT)


@pytest.mark.parametrize("masked", [True, False], ids=["causal", "all"])
@pytest.mark.parametrize(("layer", "head", "query"), [(0, 0, 0), (1, 2, 9), (1, 3, 21), (2, 5, 13)], ids=str)
def test_the_weighted_sum_of_the_values_is_the_layers_output(device, layer, head, query, masked):
    """What the page adds up, value by value, is what attention hands on; its keys and values are those of its group."""
    seen = passed(device, device.encode(TEXT))
    told = diagram.look(device, TEXT, layer, head, query, masked)
    assert told["kv_head"] == head // 3
    want, allowed = reference(seen, layer, masked=masked)
    assert_close(told["weight"], want[head, query], allowed[head, query])
    values = seen.v[layer][:, head // 3].astype(np.float64)
    if masked:
        output, room = expected(seen.q[layer], seen.k[layer], seen.v[layer])
        assert_same(told["output"], seen.mixed[layer][query, head])
    else:
        asked = np.repeat(seen.q[layer][query : query + 1], len(TEXT), axis=0)
        output, room = (a[[-1] * len(TEXT)] for a in expected(asked, seen.k[layer], seen.v[layer]))
    assert_close(told["output"], output[query, head], room[query, head])
    assert_close(told["weight"].astype(np.float64) @ values, told["output"].astype(np.float64), 2 * room[query, head])
    drawn = sum(part["vector"] for part in told["parts"]) + told["others"]["vector"]
    assert_close(drawn, told["output"].astype(np.float64), 2 * room[query, head])
    assert told["norm"] == pytest.approx(np.linalg.norm(output[query, head]), rel=1e-5)
    visible = query + 1 if masked else len(TEXT)
    assert len(told["parts"]) + told["others"]["count"] == visible
    keys = seen.k[layer][:, head // 3].astype(np.float64)
    q = seen.q[layer][query, head].astype(np.float64)
    room = (CONFIG.head_dim + 3) * EPSILON * (np.abs(keys) @ np.abs(q))
    assert_close(told["score"].astype(np.float64), keys @ q / CONFIG.head_dim**0.5, room)


def test_a_pass_is_the_models_own(device):
    """Looking on changes nothing: what goes into each block is, to the bit, what it is when nobody looks."""
    seen, stream = passed(device, device.encode(TEXT)), []
    device.naive.model.forward(
        device.encode(TEXT), watch=lambda name, tensor: name in ("norm", "logits") or stream.append(tensor)
    )
    assert_same(seen.stream, np.stack(stream))
    for layer in range(CONFIG.blocks):
        assert_close(seen.mixed[layer], *expected(seen.q[layer], seen.k[layer], seen.v[layer]))


def test_what_is_kept_of_an_earlier_prompt_changes_nothing(device):
    """Typing on, taking back and changing the middle: the pass is that of the whole text.

    But for rounding: the last elements of a buffer may get another exp than those in its middle. Each of some ten operations a
    block errs by a few ε of its largest element, and the blocks add up: 3 · 10 · 4 ε.
    """
    whole = {text: passed(device, device.encode(text)) for text in (TEXT, TEXT[:9], TEXT[:9] + " and more", "F", "other")}
    for text, seen in whole.items():
        device.kept("passes", dict).clear()
        alone = passed(device, device.encode(text))
        assert seen.ids == alone.ids == tuple(text.encode())
        for name in ("stream", "q", "k", "v", "mixed"):
            want = getattr(alone, name)
            assert_close(getattr(seen, name), want, 120 * EPSILON * np.abs(want).max(), what=name)
        for layer in range(CONFIG.blocks):
            assert_close(seen.mixed[layer], *expected(seen.q[layer], seen.k[layer], seen.v[layer]))


def test_few_passes_are_kept(device):
    for n in range(12):
        passed(device, [n, n + 1])
    assert len(device.kept("passes", dict)) <= 8


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"text": "x" * (TOKENS + 1)}, f"{TOKENS + 1} tokens, this diagram takes {TOKENS}"),
        ({"layer": 3}, "3 layers, numbered from 0: there is no layer 3"),
        ({"head": 6}, "6 heads and 4 tokens"),
        ({"query": 4}, "no head 0 or token 4"),
    ],
)
def test_what_is_not_there_is_refused_in_words(device, changed, words):
    with pytest.raises(UserError, match=words):
        diagram.look(device, **{"text": "four", "layer": 0, "head": 0, "query": 0, "masked": True, **changed})


@pytest.mark.slow
def test_the_real_models_weights_are_the_references(model_path):
    """The model of the page, its first picture's prompt, layers at both ends and between: within the same bound."""
    from milestones.diagrams.device import Device

    need_device()
    device = Device(model_path)
    seen = passed(device, device.encode("The cat sat on the mat because it was tired."))
    for layer, masked in itertools.product((0, 13, 29), (True, False)):
        want, allowed = reference(seen, layer, masked=masked)
        found = Weights(device.gpu)(seen.q[layer], seen.k[layer], masked=masked)
        assert_close(found, want, allowed)
        assert np.median(allowed) < 1e-4 and len(np.unique(found.argmax(axis=-1))) > 3, "the weights must not be trivial"
