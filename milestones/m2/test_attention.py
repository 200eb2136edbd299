"""The spec of attention. Sources: Vaswani et al., Attention Is All You Need (2017), eq. 1; Ainslie et al., GQA (2023), §2.2."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import WIDTHS, examples
from metal.tensor import Tensor
from milestones.m2.attention import Attention
from reference.attention import attention, attention_weights
from reference.compare import assert_close, assert_same
from reference.diagnosis import watched
from reference.golden import load
from reference.mistakes.attention import MISTAKES
from reference.tolerance import EPSILON, EXTRA, TINY


def padded(gpu, shape, values=None):
    """A tensor and the room after it, of NaN: what an unguarded tail reads there spoils the output."""
    room = gpu.empty((math.prod(shape) + 4096,))
    tensor = Tensor(room.buffer, shape, room.dtype)
    if values is not None:
        tensor.numpy()[:] = values
    return tensor, room.numpy()[tensor.size :]


@watched("attention")
def run(gpu, q, k, v):
    y, after = padded(gpu, q.shape)
    after[:] = 7  # not NaN, which an unguarded tail may well write
    Attention(gpu)(*(padded(gpu, a.shape, a)[0] for a in (q, k, v)), y)
    gpu.sync()
    assert (after == 7).all(), "elements past the last were written"
    return y.numpy()


def expected(q, k, v):
    """What the weights' errors make of the values. A score is a sum of d products, off by at most (d + 2) ε of Σ|q · k|/√d; exp
    turns that into a relative error of the weight and adds 3 + 2|x| units in the last place of its own. Two sums over the
    tokens and a division follow.

    To first order in the weights' relative errors r. exp is of x = score − largest, at most 0: Metal's table for fast math
    gives 3 + ⌊|2x|⌋ ulp, and x itself is rounded. Numerator and denominator are sums of the weights over the tokens.
    """
    q64, k64, v64 = (torch.from_numpy(a).double() for a in (q, k, v))
    group, epsilon = q.shape[1] // k.shape[1], EPSILON[np.dtype(np.float32)]
    k_of_head, v_of_head = k64.repeat_interleave(group, dim=1), v64.repeat_interleave(group, dim=1).abs()
    tokens, _, d = q.shape
    weights = attention_weights(q64, k64)
    scores = torch.einsum("thd,shd->hts", q64, k_of_head) / d**0.5
    below = (scores.masked_fill(weights == 0, -1e30).amax(-1, keepdim=True) - scores).clamp(0, 104)
    r = (d + 2) * epsilon * torch.einsum("thd,shd->hts", q64.abs(), k_of_head.abs()) / d**0.5 + (3 + 2.5 * below) * epsilon
    r = torch.expm1(r)
    mean_r = (weights * r).sum(-1, keepdim=True) + (2 * tokens + EXTRA["attention"]) * epsilon
    allowed = torch.einsum("hts,shd->thd", weights * (r + mean_r), v_of_head) + 2 * tokens * TINY * v_of_head.amax()
    return attention(q64, k64, v64).numpy().astype(np.float32), allowed.numpy() + TINY


def inputs(seed, tokens, heads, kv_heads, d, scale=1.0):
    """Normal q, k and v with a planted outlier in each, two equal keys (a tie) and one value far from the rest."""
    rng = np.random.default_rng(seed)
    q, k, v = (rng.standard_normal((tokens, n, d)).astype(np.float32) for n in (heads, kv_heads, kv_heads))
    q *= np.float32(scale)
    q.reshape(-1)[q.size // 2] *= 5
    k.reshape(-1)[k.size // 3] *= 5
    k[tokens // 2] = k[0]
    v[tokens // 3] += 30
    return q, k, v


def biting_inputs():
    """6 query heads over 2; d a piece of 32 and a bit; a query like a key, whose score a half would blur; scores past ±88."""
    q, k, v = inputs(8, 9, 6, 2, 35)
    q[4:6, 0] = k[2, 0]
    q[0, 1], q[7, 5] = -60 * k[0, 0], 20 * k[7, 1]
    q[8, 2] = 40 * k[8, 0]
    return q, k, v


def test_two_tokens_worked_by_hand(gpu):
    """d = 1, so scale = 1. Token 0 sees itself; token 1's scores are 0 and ln 3: weights 1/4 and 3/4 of 2 and 4."""
    q, k, v = np.float32([[[9]], [[1]]]), np.float32([[[0]], [[np.log(3)]]]), np.float32([[[2]], [[4]]])
    assert_close(run(gpu, q, k, v), np.float32([[[2]], [[3.5]]]), 3e-6)


@pytest.mark.parametrize(
    ("tokens", "heads", "kv_heads", "d"),
    [
        (5, 9, 3, 64),
        (1, 9, 3, 64),
        (33, 3, 3, 31),
        (31, 2, 1, 33),
        (32, 4, 2, 32),
        (3, 8, 1, 256),
        (67, 1, 1, 1),
        (7, 6, 2, 97),
    ],
    ids=str,
)
def test_equals_the_reference(gpu, tokens, heads, kv_heads, d):
    """The default model's heads and others: d below, at and above whole SIMD-groups; groups of 1, 2, 3 and 8 queries."""
    q, k, v = inputs(tokens, tokens, heads, kv_heads, d)
    y, allowed = expected(q, k, v)
    assert np.abs(y).max() > 0.1, "the expected output must not be trivial"
    assert np.median(allowed / (np.abs(y) + 1)) < 1e-3, "the bound itself must stay small"
    assert_close(run(gpu, q, k, v), y, allowed)


def test_reads_nothing_past_its_inputs(gpus):
    """No room after them here: a lane that has no element of the head, and reads one all the same, is out of bounds."""
    gpu, (q, k, v) = gpus(64), inputs(5, 3, 4, 2, 33)
    y = Attention(gpu)(*(gpu.tensor(a) for a in (q, k, v)))
    gpu.sync()
    assert_close(y.numpy(), *expected(q, k, v))


@pytest.mark.parametrize(("tokens", "heads", "kv_heads"), [(130, 9, 3), (40, 4, 4)], ids=str)
def test_equals_torch_functional(gpus, tokens, heads, kv_heads):
    """An oracle nobody here wrote: torch.nn.functional.scaled_dot_product_attention, causal, grouped, in float32."""
    q, k, v = inputs(7, tokens, heads, kv_heads, 64)
    torch_q, torch_k, torch_v = (torch.from_numpy(a).transpose(0, 1)[None] for a in (q, k, v))
    y = torch.nn.functional.scaled_dot_product_attention(torch_q, torch_k, torch_v, is_causal=True, enable_gqa=True)
    assert_close(run(gpus(1024), q, k, v), y[0].transpose(0, 1), expected(q, k, v)[1] * 2)  # both sides round


def test_equals_the_golden_fixture(gpu):
    """torch.nn.functional.scaled_dot_product_attention, made once (golden/manifest.json says with what)."""
    golden = load(Path(__file__).parent / "golden", "attention")
    q, k, v = golden["q"], golden["k"], golden["v"]
    assert_close(run(gpu, q, k, v), golden["y"], expected(q, k, v)[1] * 2)  # both sides round


def test_the_reference_in_float32_is_well_inside_the_bound():
    """The bound is no trap: plain float32, which rounds as a careful kernel does, needs at most half of it."""
    q, k, v = biting_inputs()
    y, allowed = expected(q, k, v)
    assert_close(attention(*(torch.from_numpy(a) for a in (q, k, v))), y, allowed / 2)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_known_mistakes_are_well_outside_the_bound(mistake):
    """Nor is it a hole: each known mistake is off by more than eight times what is allowed."""
    q, k, v = biting_inputs()
    y, allowed = expected(q, k, v)
    wrong = MISTAKES[mistake](q, k, v)
    assert not (np.abs(wrong - y) <= 8 * allowed).all(), f"these inputs do not tell: {mistake}"


@examples(25)
@given(
    seed=st.integers(0, 2**32 - 1),
    tokens=st.integers(1, 40),
    kv_heads=st.integers(1, 3),
    group=st.integers(1, 3),
    d=st.integers(1, 70),
    scale=st.sampled_from([1e-3, 1.0, 10.0]),
    width=st.sampled_from(WIDTHS),
)
@example(seed=0, tokens=33, kv_heads=3, group=3, d=33, scale=1.0, width=32)
def test_equals_the_reference_for_any_shape_scale_and_width(gpus, seed, tokens, kv_heads, group, d, scale, width):
    q, k, v = inputs(seed, tokens, kv_heads * group, kv_heads, d, scale)
    assert_close(run(gpus(width), q, k, v), *expected(q, k, v))


@examples(20)
@given(seed=st.integers(0, 2**32 - 1), changed=st.integers(0, 19), width=st.sampled_from(WIDTHS))
@example(seed=0, changed=19, width=64)
def test_a_token_changes_nothing_before_itself(gpus, seed, changed, width):
    """Causality, bit for bit: what a later token holds, however large, has no part in an earlier one's output."""
    q, k, v = inputs(seed, 20, 4, 2, 24)
    before = run(gpus(width), q, k, v)
    assert_close(before, *expected(q, k, v))
    q[changed], k[changed], v[changed] = 7, 1e4, -1e30
    after = run(gpus(width), q, k, v)
    assert_same(after[:changed], before[:changed])
    assert (after[changed] != before[changed]).all(), "the token itself must see the change"


@examples(20)
@given(seed=st.integers(0, 2**32 - 1), tokens=st.integers(1, 50), width=st.sampled_from(WIDTHS))
@example(seed=0, tokens=50, width=448)
def test_a_query_of_zeros_takes_the_mean_of_the_values(gpus, seed, tokens, width):
    """All scores 0, all weights equal: token t's output is the plain mean of v[0 … t]."""
    q, k, v = inputs(seed, tokens, 4, 2, 10)
    q[:] = 0
    mean = np.cumsum(v.astype(np.float64), axis=0) / np.arange(1, tokens + 1)[:, None, None]
    assert_close(run(gpus(width), q, k, v), np.repeat(mean, 2, axis=1).astype(np.float32), expected(q, k, v)[1])


@examples(20)
@given(seed=st.integers(0, 2**32 - 1), width=st.sampled_from(WIDTHS))
@example(seed=0, width=832)
def test_permuting_heads_permutes_outputs(gpus, seed, width):
    """Heads know nothing of each other: reorder groups, and heads within their group, and the outputs reorder, bit for bit."""
    q, k, v = inputs(seed, 9, 6, 3, 20)
    rng = np.random.default_rng(seed)
    groups = rng.permutation(3)
    order = np.concatenate([2 * g + rng.permutation(2) for g in groups])
    plain = run(gpus(width), q, k, v)
    assert_close(plain, *expected(q, k, v))
    assert_same(run(gpus(width), q[:, order], k[:, groups], v[:, groups]), plain[:, order])


def test_scores_of_hundreds_neither_overflow_nor_vanish(gpu):
    """The largest score is subtracted before exp, whatever its sign: e^1000 has no float32, nor has e^−1000."""
    k = np.float32([[[1, 0, 0]], [[0, 1, 0]], [[0, 1, 0]], [[0, 0, 1]], [[0, 0, 0]]])
    v = np.float32([[[1, 2, 3]], [[3, 4, 5]], [[5, 6, 7]], [[7, 8, 9]], [[9, 0, 1]]])
    large = np.float32(1000 * 3**0.5)
    q = large * np.float32([[[1, 0, 0]], [[-1, -1, 0]], [[0, 1, 0]], [[0, 0, 1]], [[0, 0, 0]]])
    # token 0 sees itself; then come a tie at −1000, a tie at 1000, one key at 1000, and five keys at 0
    assert_close(run(gpu, q, k, v), np.float32([[[1, 2, 3]], [[2, 3, 4]], [[4, 5, 6]], [[7, 8, 9]], [[5, 4, 5]]]), 5e-6)


@pytest.mark.parametrize(
    ("q", "k", "v", "message"),
    [
        ((4, 8), (4, 1, 8), (4, 1, 8), "q must have three dimensions"),
        ((4, 2, 8), (4, 8), (4, 8), "k must have three dimensions"),
        ((4, 8, 16), (4, 3, 16), (4, 3, 16), "k has 3 heads, q has 8; q heads must be a multiple of k heads"),
        ((4, 2, 8), (4, 4, 8), (4, 4, 8), "k has 4 heads, q has 2; q heads"),
        ((4, 2, 8), (4, 2, 8), (4, 1, 8), r"k has shape \(4, 2, 8\), v has"),
        ((4, 2, 8), (5, 2, 8), (5, 2, 8), "k has 5 tokens, q has 4"),
        ((4, 2, 8), (4, 2, 9), (4, 2, 9), "heads of k have 9 elements, those of q have 8"),
        ((4, 2, 257), (4, 2, 257), (4, 2, 257), "at most 256"),
        ((0, 2, 8), (0, 2, 8), (0, 2, 8), "nothing to attend to"),
    ],
)
def test_a_misfit_is_named_before_launch(gpus, q, k, v, message):
    gpu = gpus(256)
    with pytest.raises(ValueError, match=message):
        Attention(gpu)(gpu.empty(q), gpu.empty(k), gpu.empty(v))


def test_out_may_not_be_an_input_and_all_must_be_float32(gpus):
    gpu = gpus(256)
    q, k, v = (gpu.empty((4, 2, 8)) for _ in "qkv")
    with pytest.raises(ValueError, match="out must not be q"):
        Attention(gpu)(q, k, v, q)
    with pytest.raises(ValueError, match="k must be float32, got float16"):
        Attention(gpu)(q, gpu.empty((4, 2, 8), np.float16), v)
