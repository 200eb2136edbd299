"""The spec of decode_attention. Sources: Vaswani et al. (2017), eq. 1; Ainslie et al., GQA (2023); the cache's contract."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import WIDTHS, examples
from metal.tensor import Tensor
from milestones.m4.decode_attention import DecodeAttention
from reference.attention import attention
from reference.compare import assert_close, assert_same
from reference.decode_attention import decode_attention
from reference.diagnosis import watched
from reference.golden import load
from reference.mistakes.decode_attention import MISTAKES
from reference.tolerance import EPSILON, EXTRA, TINY, half_storage


@watched("decode_attention")
def run(gpu, q, k, v, position, capacity=None):
    """The cache has the dtype of k. Its rows after the last query's are poison, as before anything was stored."""
    seen, capacity = position + len(q), capacity or position + len(q) + 5
    caches = []
    for rows in (k, v):
        cache = gpu.empty((capacity, *rows.shape[1:]), k.dtype)
        cache.numpy()[:seen] = rows[:seen]
        assert capacity == seen or np.isnan(cache.numpy()[seen:]).all()
        caches.append(cache)
    y = DecodeAttention(gpu)(gpu.tensor(q), *caches, position=position)
    gpu.sync()
    return y.numpy()


def expected(q, k, v, position):
    """Each of a score's d products and sums may round; exp turns a score's error into a relative error of its weight, and adds
    its own; then two sums over the rows seen round again. The bound adds these up, so it grows with d and with the rows.

    In float64, and the error of float32 under fast math, to first order in the weights' relative errors r. A score is a sum of
    d products times a scale: (d + 2) ε of Σ|q·k|/√d. exp of x = score − largest: Metal's table for fast math gives
    3 + ⌊|2x|⌋ ulp, and x itself is rounded. Numerator and denominator are sums of the weights over the rows seen.
    """
    q64, k64, v64 = (torch.from_numpy(a).double() for a in (q, k, v))
    epsilon, (tokens, heads, d), group = EPSILON[np.dtype(np.float32)], q.shape, q.shape[1] // k.shape[1]
    allowed = torch.empty_like(q64)
    for t in range(tokens):
        seen = position + t + 1
        for h in range(heads):
            keys, values = k64[:seen, h // group], v64[:seen, h // group].abs()
            scores = keys @ q64[t, h] / d**0.5
            below = (scores.amax() - scores).clamp(0, 104)
            r = (d + 2) * epsilon * (keys.abs() @ q64[t, h].abs()) / d**0.5 + (3 + 2.5 * below) * epsilon
            weights, r = torch.softmax(scores, dim=0), torch.expm1(r)
            mean_r = (weights * r).sum() + (2 * seen + EXTRA["attention"]) * epsilon
            allowed[t, h] = (weights * (r + mean_r)) @ values + 2 * seen * TINY * values.amax()
    return decode_attention(q64, k64, v64, position).numpy().astype(np.float32), allowed.numpy() + TINY


def inputs(seed, tokens, position, heads, kv_heads, d, scale=1.0):
    """Normal q, k and v with a planted outlier in each, two equal keys (a tie) and one value far from the rest."""
    rng, seen = np.random.default_rng(seed), position + tokens
    q = (rng.standard_normal((tokens, heads, d)) * scale).astype(np.float32)
    k, v = (rng.standard_normal((seen, kv_heads, d)).astype(np.float32) for _ in "kv")
    q.reshape(-1)[q.size // 2] *= 5
    k.reshape(-1)[k.size // 3] *= 5
    k[seen // 2] = k[0]
    v[seen // 3] += 30
    return q, k, v


def test_one_query_worked_by_hand(gpu):
    """d = 1, so scale = 1. At position 1 the scores are 0 and ln 3: weights 1/4 and 3/4 of 2 and 4. Row 2 is not seen."""
    q, k, v = np.float32([[[1]]]), np.float32([[[0]], [[np.log(3)]]]), np.float32([[[2]], [[4]]])
    assert_close(run(gpu, q, k, v, 1), np.float32([[[3.5]]]), 3e-6)


@pytest.mark.parametrize(
    ("tokens", "position", "heads", "kv_heads", "d"),
    [(1, 0, 9, 3, 64), (1, 100, 9, 3, 64), (1, 32, 2, 1, 33), (5, 31, 4, 4, 31), (33, 0, 3, 1, 32), (2, 7, 8, 1, 256)],
    ids=str,
)
def test_equals_the_reference(gpu, tokens, position, heads, kv_heads, d):
    """Decode and chunks, 1, 32, 33 and more rows, heads of 31 to 256 elements, with and without groups of query heads."""
    q, k, v = inputs(d, tokens, position, heads, kv_heads, d)
    y, allowed = expected(q, k, v, position)
    assert np.abs(y).max() > 0.1, "the expected output must not be trivial"
    assert np.median(allowed / (np.abs(y) + 1)) < 1e-3, "the bound itself must stay small"
    assert_close(run(gpu, q, k, v, position), y, allowed)


@pytest.mark.parametrize(("tokens", "position"), [(1, 300), (7, 60)], ids=str)
def test_equals_torch_functional(gpus, tokens, position):
    """An oracle nobody here wrote: torch's scaled_dot_product_attention in float32, with the mask written out."""
    q, k, v = inputs(7, tokens, position, 9, 3, 64)
    seen = torch.arange(position + tokens)[None] <= position + torch.arange(tokens)[:, None]
    heads_first = [torch.from_numpy(a).transpose(0, 1)[None] for a in (q, k, v)]
    y = torch.nn.functional.scaled_dot_product_attention(*heads_first, attn_mask=seen, enable_gqa=True)
    assert_close(run(gpus(1024), q, k, v, position), y[0].transpose(0, 1), expected(q, k, v, position)[1] * 2)  # both round


def test_equals_the_golden_fixture(gpu):
    """torch's scaled_dot_product_attention, made once (golden/manifest.json says with what): it cannot drift with us."""
    golden = load(Path(__file__).parent / "golden", "decode_attention")
    q, k, v, position = golden["q"], golden["k"], golden["v"], int(golden["position"])
    assert_close(run(gpu, q, k, v, position), golden["y"], expected(q, k, v, position)[1] * 2)


@examples(30)
@given(
    seed=st.integers(0, 2**32 - 1),
    tokens=st.integers(1, 5),
    position=st.integers(0, 60),
    kv_heads=st.integers(1, 3),
    group=st.integers(1, 3),
    d=st.integers(1, 70),
    scale=st.sampled_from([1e-3, 1.0, 10.0]),
    width=st.sampled_from(WIDTHS),
)
@example(seed=0, tokens=1, position=0, kv_heads=1, group=1, d=1, scale=1.0, width=32)
def test_equals_the_reference_for_any_shape_scale_and_width(gpus, seed, tokens, position, kv_heads, group, d, scale, width):
    """The dispatch is rounded up to whole threadgroups: SIMD-groups past the last (token, head) must do nothing."""
    q, k, v = inputs(seed, tokens, position, kv_heads * group, kv_heads, d, scale)
    assert_close(run(gpus(width), q, k, v, position), *expected(q, k, v, position))


def test_a_chunk_gives_what_its_tokens_give_one_by_one(gpus):
    """Chunked prefill and decode agree bit for bit: query t alone at position p + t equals query t of the chunk at p."""
    gpu, (q, k, v) = gpus(256), inputs(3, 6, 10, 4, 2, 24)
    together = run(gpu, q, k, v, 10)
    assert_close(together, *expected(q, k, v, 10))
    for t in range(6):
        assert_same(run(gpu, q[t : t + 1], k[: 11 + t], v[: 11 + t], 10 + t), together[t : t + 1], what=f"query {t} alone")


@examples(20)
@given(seed=st.integers(0, 2**32 - 1), changed=st.integers(0, 11), width=st.sampled_from(WIDTHS))
@example(seed=0, changed=11, width=64)
def test_a_row_changes_nothing_before_itself(gpus, seed, changed, width):
    """Causality within a chunk, bit for bit: rows after a query's own are stored already, and have no part in its answer."""
    q, k, v = inputs(seed, 9, 3, 4, 2, 24)
    before = run(gpus(width), q, k, v, 3)
    k[changed], v[changed] = 1e4, -1e30
    after, first = run(gpus(width), q, k, v, 3), max(0, changed - 3)  # the first query that sees the row
    assert_same(after[:first], before[:first])
    assert (after[first:] != before[first:]).any(axis=(1, 2)).all(), "whoever sees the row must see the change"
    assert_close(before, *expected(q, *inputs(seed, 9, 3, 4, 2, 24)[1:], 3))


@examples(20)
@given(seed=st.integers(0, 2**32 - 1), tokens=st.integers(1, 4), position=st.integers(0, 45), width=st.sampled_from(WIDTHS))
@example(seed=0, tokens=4, position=31, width=448)
def test_a_query_of_zeros_takes_the_mean_of_the_values_so_far(gpus, seed, tokens, position, width):
    """All scores 0, all weights equal: the answer at position p + t is the plain mean of rows 0 … p + t."""
    q, k, v = inputs(seed, tokens, position, 4, 2, 10)
    q[:] = 0
    mean = (np.cumsum(v.astype(np.float64), axis=0) / np.arange(1, len(v) + 1)[:, None, None])[position:]
    allowed = expected(q, k, v, position)[1]
    assert_close(run(gpus(width), q, k, v, position), np.repeat(mean, 2, axis=1).astype(np.float32), allowed)


@examples(20)
@given(seed=st.integers(0, 2**32 - 1), width=st.sampled_from(WIDTHS))
@example(seed=0, width=832)
def test_permuting_heads_permutes_answers(gpus, seed, width):
    """Heads know nothing of each other: reorder groups, and heads within their group: the answers reorder, bit for bit."""
    q, k, v = inputs(seed, 2, 9, 6, 3, 20)
    rng = np.random.default_rng(seed)
    groups = rng.permutation(3)
    order = np.concatenate([2 * g + rng.permutation(2) for g in groups])
    plain = run(gpus(width), q, k, v, 9)
    assert_close(plain, *expected(q, k, v, 9))
    assert_same(run(gpus(width), q[:, order], k[:, groups], v[:, groups], 9), plain[:, order])


def test_a_chunk_at_position_0_is_causal_self_attention(gpu):
    """Over an empty cache it is m2's attention, whose own reference knows nothing of caches."""
    q, k, v = inputs(12, 33, 0, 6, 3, 20)
    wanted = attention(*(torch.from_numpy(a).double() for a in (q, k, v))).numpy().astype(np.float32)
    assert_close(run(gpu, q, k, v, 0), wanted, expected(q, k, v, 0)[1])


@pytest.mark.parametrize("capacity", [12, 13, 100], ids="capacity{}".format)
def test_the_caches_capacity_changes_no_answer(gpus, capacity):
    """How many rows there is room for is no part of the sum: the rows that nobody wrote hold NaN here."""
    q, k, v = inputs(9, 3, 9, 4, 2, 33)
    assert_close(run(gpus(64), q, k, v, 9, capacity), *expected(q, k, v, 9))


SHAPES_THAT_BITE = [(1, 40, 6, 3, 16), (6, 9, 4, 2, 24), (3, 0, 4, 2, 12)]


@pytest.mark.parametrize("shape", SHAPES_THAT_BITE, ids=str)
def test_the_reference_in_float32_is_well_inside_the_bound(shape):
    """A bound that plain float32 arithmetic barely meets would fail right kernels: it errs by less than half of it."""
    q, k, v = inputs(sum(shape), *shape)
    exact, allowed = expected(q, k, v, shape[1])
    plain = decode_attention(*(torch.from_numpy(a) for a in (q, k, v)), shape[1]).numpy()
    assert (np.abs(plain.astype(np.float64) - exact) <= allowed / 2).all()


@pytest.mark.parametrize("mistake", MISTAKES)
def test_known_mistakes_are_well_outside_the_bound(mistake):
    """A bound that lets a usual mistake pass would prove nothing: each is more than 8 times too far off, somewhere."""
    found = []
    for shape in SHAPES_THAT_BITE:
        q, k, v = inputs(sum(shape), *shape)
        exact, allowed = expected(q, k, v, shape[1])
        found.append((np.abs(MISTAKES[mistake](q, k, v, shape[1]) - exact) / allowed).max())
    assert max(found) > 8


HALVES = [(1, 0, 9, 3, 64), (1, 100, 9, 3, 64), (5, 31, 4, 4, 31), (33, 0, 3, 1, 32), (2, 7, 8, 1, 256)]


@pytest.mark.parametrize(("tokens", "position", "heads", "kv_heads", "d"), HALVES, ids=str)
def test_a_cache_of_halves_equals_the_reference_on_the_same_halves(gpu, tokens, position, heads, kv_heads, d):
    """A half becomes a float exactly, so nothing is added to float32's own error."""
    q, k, v = inputs(d, tokens, position, heads, kv_heads, d)
    k, v = k.astype(np.float16), v.astype(np.float16)
    assert_close(run(gpu, q, k, v, position), *expected(q, k.astype(np.float32), v.astype(np.float32), position))


def test_every_half_is_loaded_exactly(gpus):
    """One key, so its weight is 1 and the answer is its value: all finite halves, subnormals too (if the device keeps them)."""
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    every = every[np.isfinite(every)]
    v = np.resize(every, (1, 256, 256))
    q, k = np.zeros((1, 256, 256), np.float32), np.zeros((1, 256, 256), np.float16)
    assert_close(run(gpus(256), q, k, v, 0), v.astype(np.float32), 0)


@examples(30)
@given(
    seed=st.integers(0, 2**32 - 1),
    tokens=st.integers(1, 5),
    position=st.integers(0, 60),
    kv_heads=st.integers(1, 3),
    group=st.integers(1, 3),
    d=st.integers(1, 70),
    scale=st.sampled_from([1e-3, 1.0, 10.0]),
    width=st.sampled_from(WIDTHS),
)
@example(seed=0, tokens=1, position=0, kv_heads=1, group=1, d=1, scale=1.0, width=32)
def test_a_cache_of_halves_stays_within_its_bound_of_the_float_answer(
    gpus, seed, tokens, position, kv_heads, group, d, scale, width
):
    """What storing keys and values as halves costs, against attention over the floats themselves (tolerance.half_storage)."""
    q, k, v = inputs(seed, tokens, position, kv_heads * group, kv_heads, d, scale)
    y, allowed = expected(q, k, v, position)
    allowed = allowed + half_storage(q, k, v, position)
    assert_close(run(gpus(width), q, k.astype(np.float16), v.astype(np.float16), position), y, allowed)


def test_the_bound_of_halves_is_small_and_reached_in_part(gpus):
    """A bound far above the errors there are would prove nothing: the worst is above 1/50 of it, the bound below 1% of y."""
    q, k, v = inputs(1, 4, 200, 9, 3, 64, 0.3)
    y, extra = expected(q, k, v, 200)[0], half_storage(q, k, v, 200)
    error = np.abs(run(gpus(64), q, k.astype(np.float16), v.astype(np.float16), 200).astype(np.float64) - y)
    assert 0.02 < (error / extra).max() <= 1
    assert np.median(extra) < 0.01 * np.abs(y).max()


def test_scores_of_hundreds_neither_overflow_nor_vanish(gpu):
    """The largest score is subtracted before exp, whatever its sign: e^1000 has no float32, nor has e^−1000."""
    v = np.float32([[[1, 2]], [[3, 4]]])
    k = np.float32([[[1, 0]], [[0, 1]]])
    q = np.float32(1000 * 2**0.5) * np.float32([[[1, 0], [0, 1], [-1, -1]]])  # the first key alone, the last, a tie at −1000
    assert_close(run(gpu, q, k, v, 1), np.float32([[[1, 2], [3, 4], [2, 3]]]), 4e-6)


def test_writes_its_own_tokens_and_nothing_past_them(gpus):
    """At the widest threadgroup 29 of 32 SIMD-groups have nothing to do here: the memory behind the answer stays as it was."""
    gpu, (q, k, v) = gpus(1024), inputs(4, 1, 9, 3, 3, 20)
    room = gpu.empty((64, 3, 20))
    y = Tensor(room.buffer, q.shape, room.dtype)
    DecodeAttention(gpu)(gpu.tensor(q), gpu.tensor(k), gpu.tensor(v), y, position=9)
    gpu.sync()
    assert_close(room.numpy()[:1], *expected(q, k, v, 9))
    assert np.isnan(room.numpy()[1:]).all(), "rows past the last were written"


@pytest.mark.parametrize(
    ("q", "k", "v", "position", "message"),
    [
        ((1, 8), (4, 1, 8), (4, 1, 8), 0, "q must have three dimensions"),
        ((1, 8, 16), (4, 3, 16), (4, 3, 16), 0, "the cache has 3 heads, q has 8; q heads must be a multiple"),
        ((1, 2, 8), (4, 2, 8), (4, 1, 8), 0, "cache_k has shape"),
        ((1, 2, 8), (4, 2, 9), (4, 2, 9), 0, "heads of the cache have 9 elements, those of q have 8"),
        ((2, 2, 8), (4, 2, 8), (4, 2, 8), 3, "2 queries at position 3 look past a cache of 4 rows"),
        ((1, 2, 257), (4, 2, 257), (4, 2, 257), 0, "at most 256"),
    ],
)
def test_a_misfit_is_named_before_launch(gpus, q, k, v, position, message):
    gpu = gpus(256)
    with pytest.raises(ValueError, match=message):
        DecodeAttention(gpu)(gpu.empty(q), gpu.empty(k), gpu.empty(v), position=position)


def test_out_may_not_be_an_input(gpus):
    gpu = gpus(256)
    q, cache_k, cache_v = (gpu.empty((1, 2, 8)) for _ in "qkv")
    with pytest.raises(ValueError, match="out must not be q"):
        DecodeAttention(gpu)(q, cache_k, cache_v, q, position=0)
