"""The spec of flash_prefill. Sources: Dao et al., FlashAttention (2022); m4's attention over a cache."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import WIDTHS, examples
from metal.tensor import Tensor
from milestones.m4.test_decode_attention import expected as bounded
from milestones.m4.test_decode_attention import inputs
from milestones.m6.flash_prefill import FlashPrefill
from reference.compare import assert_close, assert_same
from reference.diagnosis import watched
from reference.flash_prefill import flash_prefill
from reference.mistakes.flash_prefill import MISTAKES
from reference.tolerance import EPSILON
from tests.packed import tiled, with_room


@watched("flash_prefill")
def run(gpu, q, k, v, position, capacity=None, kept=np.float32):
    """The cache has the dtype of k, its rows after the last query's are poison; so must be what is after the answer, which is
    `kept` as floats or halves."""
    seen, capacity = position + len(q), capacity or position + len(q) + 5
    room = gpu.empty((-(-capacity // 32) * 32, *k.shape[1:]), k.dtype)  # keys come 32 rows together
    keys = tiled(k[:seen]).reshape(-1)
    room.numpy().reshape(-1)[: keys.size] = keys
    caches = [Tensor(room.buffer, (capacity, *k.shape[1:]), k.dtype), gpu.empty((capacity, *v.shape[1:]), v.dtype)]
    caches[1].numpy()[:seen] = v[:seen]
    y, check = with_room(gpu, q.shape, kept)
    FlashPrefill(gpu)(gpu.tensor(q), *caches, y, position=position)
    gpu.sync()
    check()
    return y.numpy()


def expected(q, k, v, position, kept=np.float32):
    """m4's bound of attention over a cache, and for each 32 rows a factor on the sums, exp of at most −128 and a product:
    (3 + 2.5 · x + 2) ε, where all the x together are what the largest score grows by: at most the spread of the scores. An
    answer that is kept as a half is off by 2⁻¹¹ of itself more, or by 2⁻²⁵ where it is tiny.
    """
    y, allowed = bounded(q, k.astype(np.float32), v.astype(np.float32), position)
    d, group = q.shape[2], q.shape[1] // k.shape[1]
    keys = np.repeat(k.astype(np.float64), group, axis=1)
    scores = np.einsum("thd,shd->ths", q.astype(np.float64), keys) / d**0.5
    steps = 5 * (len(k) // 32 + 1) + 2.5 * np.clip(np.ptp(scores, axis=2), 0, 128)
    size = np.abs(np.repeat(v.astype(np.float64), group, axis=1)).max(axis=0)
    allowed = allowed + (2 * steps * EPSILON[np.dtype(np.float32)])[..., None] * size
    return y, allowed if kept == np.float32 else allowed + 2.0**-11 * (np.abs(y) + allowed) + 2.0**-25


def test_one_query_worked_by_hand(gpu):
    """d = 2, scale 1/√2. At position 1 the scores are 0 and ln 3: weights 1/4 and 3/4 of 2 and 4. Row 2 is not seen."""
    q, v = np.float32([[[2**0.5, 0]]]), np.float32([[[2, 0]], [[4, 8]]])
    assert_close(run(gpu, q, np.float32([[[0, 9]], [[np.log(3), -9]]]), v, 1), np.float32([[[3.5, 6]]]), 1e-5)


SHAPES = [(33, 0, 9, 3, 64), (5, 31, 4, 4, 30), (64, 7, 2, 1, 32), (2, 70, 2, 1, 128)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("kept", [np.float32, np.float16])
def test_equals_torch_functional(gpus, shape, dtype, kept):
    """An oracle nobody here wrote: torch's scaled_dot_product_attention, in float64, with the mask written out."""
    tokens, position = shape[:2]
    q, k, v = inputs(7, *shape)
    k, v = k.astype(dtype), v.astype(dtype)
    seen = torch.arange(position + tokens)[None] <= position + torch.arange(tokens)[:, None]
    heads_first = [torch.from_numpy(a).double().transpose(0, 1)[None] for a in (q, k, v)]
    y = torch.nn.functional.scaled_dot_product_attention(*heads_first, attn_mask=seen, enable_gqa=True)
    assert_close(
        run(gpus(64), q, k, v, position, kept=kept), y[0].transpose(0, 1).float().numpy(), expected(q, k, v, position, kept)[1]
    )


@examples(16)
@given(
    seed=st.integers(0, 2**32 - 1),
    tokens=st.integers(1, 40),
    position=st.integers(0, 60),
    kv_heads=st.integers(1, 2),
    group=st.integers(1, 3),
    half=st.integers(1, 64),
    scale=st.sampled_from([1e-3, 1.0, 10.0]),
    kept=st.sampled_from([np.float32, np.float16]),
    width=st.sampled_from(WIDTHS),
)
@example(seed=0, tokens=33, position=31, kv_heads=2, group=3, half=33, scale=10.0, kept=np.float32, width=32)
@example(seed=0, tokens=1, position=0, kv_heads=1, group=1, half=1, scale=1.0, kept=np.float32, width=1024)
@example(seed=0, tokens=5, position=40, kv_heads=2, group=2, half=20, scale=1.0, kept=np.float16, width=256)
@example(seed=0, tokens=33, position=0, kv_heads=1, group=34, half=1, scale=1.0, kept=np.float32, width=64)  # 34 threadgroups
def test_equals_the_reference_for_any_shape_scale_and_width(
    gpus, seed, tokens, position, kv_heads, group, half, scale, kept, width
):
    """Blocks of tokens and of rows that are not whole; scores that grow by hundreds from one 32 rows to the next; answers as
    floats and as halves, which are tiny here and there."""
    q, k, v = inputs(seed, tokens, position, kv_heads * group, kv_heads, 2 * half, scale)
    if kept == np.float16:
        v *= np.float32(2.0) ** -(np.arange(2 * half) % 18).astype(np.float32)  # subnormal halves among them
    y = flash_prefill(*(torch.from_numpy(a).double() for a in (q, k, v)), position).float().numpy()
    assert_close(run(gpus(width), q, k, v, position, kept=kept), y, expected(q, k, v, position, kept)[1])


def test_what_is_no_number_stays_none(gpus):
    """A NaN among the values that a token sees is its answer, kept as a half too, and what is too large for a half is infinite:
    a damaged model must not look like a sound one."""
    q, v = np.ones((1, 1, 4), np.float32), np.float32([[[1, np.nan, 2e6, -2e6]]])
    exact, halves = (run(gpus(64), q, np.ones_like(v), v, 0, kept=kept)[0, 0] for kept in (np.float32, np.float16))
    assert np.isnan(exact).tolist() == np.isnan(halves).tolist() == [False, True, False, False], f"got {halves}"
    assert exact[2:].tolist() == [2e6, -2e6] and halves[2:].tolist() == [np.inf, -np.inf]


@pytest.mark.parametrize("row", [20, 21], ids="row{}".format)
def test_a_row_changes_nothing_before_itself(gpus, row):
    """Causality within a chunk, bit for bit: rows after a query's own are stored already, and have no part in its answer, be
    their number even or odd."""
    q, k, v = inputs(3, 40, 3, 4, 2, 24)
    before = run(gpus(64), q, k, v, 3)
    k[row], v[row] = 1e4, -1e30
    after = run(gpus(64), q, k, v, 3)
    assert_same(after[: row - 3], before[: row - 3])
    assert (after[row - 3 :] != before[row - 3 :]).any(axis=(1, 2)).all(), "whoever sees the row must see the change"
    k, v = inputs(3, 40, 3, 4, 2, 24)[1:]
    assert_close(before, *expected(q, k, v, 3))


@pytest.mark.parametrize("capacity", [43, 44, 100], ids="capacity{}".format)
def test_the_caches_capacity_changes_no_answer(gpus, capacity):
    """How many rows there is room for is no part of the sum: the rows that nobody wrote hold NaN here."""
    q, k, v = inputs(9, 34, 9, 4, 2, 34)
    assert_close(run(gpus(64), q, k, v, 9, capacity), *expected(q, k, v, 9))


SMALL = [(1, 40, 6, 3, 16), (6, 39, 4, 2, 24), (3, 0, 4, 2, 12)]


@pytest.mark.parametrize("shape", SMALL, ids=str)
def test_the_reference_in_float32_is_well_inside_the_bound(shape):
    """A bound that plain float32 arithmetic barely meets would fail right kernels: it errs by less than half of it."""
    q, k, v = inputs(sum(shape), *shape)
    exact, allowed = expected(q, k, v, shape[1])
    plain = flash_prefill(*(torch.from_numpy(a) for a in (q, k, v)), shape[1]).numpy()
    assert_close(plain, exact, allowed / 2)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_known_mistakes_are_well_outside_the_bound(mistake):
    """A bound that lets a usual mistake pass would prove nothing: each is more than 8 times too far off, somewhere."""
    found = []
    for shape in SMALL:
        q, k, v = inputs(sum(shape), *shape)
        exact, allowed = expected(q, k, v, shape[1])
        found.append((np.abs(MISTAKES[mistake](q, k, v, shape[1]) - exact) / allowed).max())
    assert max(found) > 8


@pytest.mark.parametrize(
    ("q", "k", "v", "position", "message"),
    [
        ((1, 8), (4, 1, 8), (4, 1, 8), 0, "q must have three dimensions"),
        ((1, 8, 16), (4, 3, 16), (4, 3, 16), 0, "the cache has 3 heads, q has 8; q heads must be a multiple"),
        ((1, 2, 8), (4, 2, 8), (4, 1, 8), 0, "cache_k has shape"),
        ((2, 2, 8), (4, 2, 8), (4, 2, 8), 3, "2 queries at position 3 look past a cache of 4 rows"),
        ((1, 2, 8), (4, 0, 8), (4, 0, 8), 0, "there is nothing in cache_k"),
        ((1, 2, 8), (8, 8), (8, 8), 0, "cache_k must have three dimensions"),
        ((1, 2, 130), (4, 2, 130), (4, 2, 130), 0, "an even number of elements up to 128, not 130"),
    ],
)
def test_a_misfit_is_named_before_launch(gpus, q, k, v, position, message):
    gpu = gpus(256)
    with pytest.raises(ValueError, match=message):
        FlashPrefill(gpu)(gpu.empty(q), gpu.empty(k), gpu.empty(v), gpu.empty(q), position=position)
