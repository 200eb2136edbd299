"""The spec of flash_decode. Sources: Milakov & Gimelshein (2018), one pass; Flash-Decoding, the pieces; m4's contract."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import WIDTHS, examples
from milestones.m6.flash_decode import FlashDecode
from reference.compare import assert_close
from reference.decode_attention import decode_attention
from reference.diagnosis import watched
from reference.mistakes.flash_decode import MISTAKES
from reference.prepare import scale
from reference.tolerance import EPSILON, EXTRA, TINY
from tests.packed import assert_left, tiled, with_room


@watched("flash_decode")
def run(gpu, q, k, v, position, piece=32, nibbles=False, spare=0):
    """What is left; rows of the caches after `position` are poison, and so are the spare pieces and the room behind. Where
    the position fills a tile, the caches end there."""
    return attended(gpu, q, k, v, position, piece, nibbles, spare)


def attended(gpu, q, k, v, position, piece=32, nibbles=False, spare=0, stale=np.nan):
    """The same; what is in the spare pieces may be given."""
    heads, d = q.shape
    caches = []
    for n, rows in enumerate((k, v)):
        cache = gpu.empty((position + (1 if position % 32 == 31 else 38), *rows.shape[1:]), rows.dtype)
        seen = tiled(rows[: position + 1]) if n == 0 else rows[: position + 1]
        cache.numpy().reshape(-1)[: seen.size] = seen.reshape(-1)
        caches.append(cache)
    flash = FlashDecode(gpu, piece)
    out, check = with_room(gpu, (heads * d + heads * d // 16,))
    parts = flash.room(heads, d, position // piece + 1 + spare)
    spares = parts.numpy()[position // piece + 1 if parts.shape[0] > 1 else 0 :]  # a single piece is not put down
    if not np.isnan(stale):
        spares[:] = stale
    flash(gpu.tensor(q), *caches, gpu.tensor(np.uint32([3, position])), parts, out, nibbles=int(nibbles))
    gpu.sync()
    check()
    assert np.array_equal(spares, np.full_like(spares, stale), equal_nan=True), (
        "pieces after the position were written, or a single one"
    )
    return out.numpy()[: heads * d + heads * d // 32]


def expected(q, k, v, position, piece=32, nibbles=False, spare=0):
    """As m4's attention: (d + 2) ε of Σ|q·k|/√d for a score, which becomes a relative error of its weight, and exp's own, 3 +
    2.5|x| ulp.

    A weight is a product of exps whose arguments add up to score − largest: one for itself, one for each time that the
    largest may have grown (every 32 rows), one for the pieces. Each has 3 ulp, and the product rounds: 4 ε for each.
    """
    q64, k64, v64 = (torch.from_numpy(np.asarray(a, np.float64)) for a in (q, k, v))
    y = decode_attention(q64[None], k64, v64, position)[0].numpy()
    epsilon, (heads, d), seen = EPSILON[np.dtype(np.float32)], q.shape, position + 1
    error = np.empty_like(y)
    for h in range(heads):
        g = h // (heads // k.shape[1])
        keys, values = k64[:seen, g], v64[:seen, g].abs()
        scores = keys @ q64[h] / d**0.5
        below = (scores.amax() - scores).clamp(0, 128)
        r = (d + 2) * epsilon * (keys.abs() @ q64[h].abs()) / d**0.5 + (2.5 * below + 4 * (piece / 32 + 3)) * epsilon
        weights, r = torch.softmax(scores, dim=0), torch.expm1(r)
        mean = (weights * r).sum() + (2 * seen + EXTRA["attention"]) * epsilon
        error[h] = ((weights * (r + mean)) @ values + 2 * seen * TINY * values.amax()).numpy()
    return y.flatten(), error.flatten() + TINY


def inputs(seed, position, heads, kv_heads, d, spread=1.0):
    """Normal q, k and v with an outlier in each, two equal keys and one value far from the rest; scores grow with the row."""
    rng, seen = np.random.default_rng(seed), position + 1
    q = (rng.standard_normal((heads, d)) * spread).astype(np.float32)
    k, v = (rng.standard_normal((seen, kv_heads, d)).astype(np.float32) for _ in "kv")
    k *= np.linspace(0.5, 2, seen, dtype=np.float32)[:, None, None]
    q.reshape(-1)[q.size // 2] *= 5
    k.reshape(-1)[k.size // 3] *= 5
    k[seen // 2] = k[0]
    v[seen // 3] += 30
    return q, k, v


def check(gpu, q, k, v, position, **options):
    value, error = expected(q, k.astype(np.float32), v.astype(np.float32), position, **options)
    nibbles = options.get("nibbles", False)
    assert_left(run(gpu, q, k, v, position, **options), value, error, np.ones(len(value)), nibbles, squares=False)


def test_two_rows_worked_by_hand(gpu):
    """Scores 0 and ln 3 make weights 1/4 and 3/4, of 2 and 4: 3.5, whose sum over the block is 112."""
    q, k, v = np.zeros((1, 32), np.float32), np.zeros((2, 1, 32), np.float32), np.full((2, 1, 32), 2, np.float32)
    q[0, 0], k[1, 0, 0], v[1] = 1, np.log(3) * 32**0.5, 4
    assert_close(run(gpu, q, k, v, 1), np.float32([3.5] * 32 + [112]), 1e-4)


@pytest.mark.parametrize("position", [0, 30, 31, 32, 63, 64, 100])
def test_pieces_and_rounds_of_rows_meet_without_a_seam(gpus, position):
    """One row, a round of 32 less one, and one more; a piece, and one row more; the spare pieces of a longer recording."""
    check(gpus(64), *inputs(position, position, 6, 2, 64), position, piece=64, nibbles=True, spare=2)


def test_pieces_that_a_longer_text_left_behind_do_not_count(gpus):
    """A recording is replayed for another text: behind this one's pieces lie another's, with numbers larger than any here."""
    q, k, v = inputs(6, 70, 2, 1, 64)
    value, error = expected(q, k, v, 70)
    got = attended(gpus(64), q, k, v, 70, spare=1, stale=1e30)
    assert_left(got, value, error, np.ones(len(value)), False, squares=False)


@examples(12)
@given(
    seed=st.integers(0, 2**32 - 1),
    position=st.integers(0, 150),
    kv_heads=st.integers(1, 3),
    group=st.integers(1, 4),
    d=st.sampled_from([32, 64, 96, 128]),
    piece=st.sampled_from([32, 64, 256]),
    half=st.booleans(),
    spread=st.sampled_from([1e-3, 1.0, 10.0]),
    width=st.sampled_from(WIDTHS),
)
@example(seed=0, position=70, kv_heads=2, group=2, d=64, piece=32, half=True, spread=1.0, width=1024)
@example(seed=0, position=3, kv_heads=1, group=1, d=96, piece=32, half=True, spread=1.0, width=32)
@example(seed=1, position=40, kv_heads=1, group=2, d=128, piece=32, half=True, spread=1.0, width=64)
@example(seed=2, position=40, kv_heads=1, group=1, d=96, piece=32, half=True, spread=1.0, width=64)  # a tail where pieces meet
@example(seed=3, position=70, kv_heads=2, group=3, d=64, piece=256, half=True, spread=1.0, width=64)  # a single piece
@example(seed=3, position=40, kv_heads=3, group=4, d=96, piece=32, half=False, spread=1.0, width=64)  # 36 blocks
def test_equals_the_reference(gpus, seed, position, kv_heads, group, d, piece, half, spread, width):
    """Any number of rows and pieces, caches of floats and of halves (which become floats exactly), at any width."""
    q, k, v = inputs(seed, position, kv_heads * group, kv_heads, d, spread)
    if half:
        k, v = k.astype(np.float16), v.astype(np.float16)
    check(gpus(width), q, k, v, position, piece=piece, nibbles=bool(seed % 2), spare=seed % 3)


@pytest.mark.parametrize("group", [5, 6, 7, 9])
def test_any_number_of_heads_shares_a_cache_head(gpus, group):
    """More than a SIMD-group takes: runs that are full (6, 9), and a last one that begins among the one before (5, 7)."""
    check(gpus(64), *inputs(group, 70, 2 * group, 2, 32), 70, piece=64, spare=1)


def test_every_simdgroup_of_a_threadgroup_has_room_for_its_weights(gpus):
    """33 SIMD-groups have work: all 32 of the widest threadgroup, each with the weights of two heads."""
    check(gpus(1024), *inputs(8, 350, 6, 3, 32), 350)


@pytest.mark.parametrize("rising", [True, False])
def test_scores_of_hundreds_neither_overflow_nor_vanish(gpus, rising):
    """The largest so far is subtracted before exp: scores of hundreds that rise from round to round, or fall."""
    q, k, v = inputs(5, 90, 2, 1, 32)
    q *= 60
    k, v = (k, v) if rising else (k[::-1].copy(), v[::-1].copy())
    value, error = expected(q, k, v, 90)
    got = run(gpus(64), q, k, v, 90, nibbles=True)
    assert_close(got[:64] / np.tile(scale(True).float().numpy(), 2), value.astype(np.float32), error)


@pytest.mark.parametrize("position", [4, 36])
def test_rows_that_are_not_there_have_no_score(gpus, position):
    """The first head's scores are below −200, in a round of five rows: a lane without one has no score of 0 to exceed them."""
    q, k, v = inputs(9, position, 2, 1, 32)
    k -= 40 * q[:1]
    check(gpus(64), q, k, v, position)


def test_equals_torch_functional(gpus):
    """An oracle nobody here wrote: torch's scaled_dot_product_attention in float32."""
    q, k, v = inputs(7, 300, 9, 3, 64)
    y = torch.nn.functional.scaled_dot_product_attention(
        torch.from_numpy(q)[None, :, None], *(torch.from_numpy(a).transpose(0, 1)[None] for a in (k, v)), enable_gqa=True
    )
    got = run(gpus(1024), q, k, v, 300, piece=64)
    assert_close(got[: 9 * 64], y.flatten(), expected(q, k, v, 300, piece=64)[1] * 2)  # both round


@pytest.mark.parametrize("mistake", MISTAKES)
def test_known_mistakes_are_well_outside_the_bound(mistake):
    """A bound that lets a usual mistake pass would prove nothing: each is more than 8 times too far off, somewhere."""
    case = (*inputs(5, 90, 4, 2, 32), 90)
    y, allowed = expected(*case)
    assert (np.abs(MISTAKES[mistake](*case, piece=32)[: len(y)] - y) > 8 * allowed).any()


def test_a_misfit_is_named_before_launch(gpus):
    gpu = gpus(256)
    flash, state = FlashDecode(gpu, 32), gpu.tensor(np.uint32([0, 0]))
    q, cache, out = gpu.empty((2, 32)), gpu.empty((4, 2, 32)), gpu.empty((68,))
    with pytest.raises(ValueError, match=r"parts has shape \(1, 2, 32\), q has \(2, 32\)"):
        flash(q, cache, cache, state, gpu.empty((1, 2, 32)), out, nibbles=0)
    with pytest.raises(ValueError, match="the cache has 3 heads, q has 2"):
        flash(q, gpu.empty((4, 3, 32)), cache, state, flash.room(2, 32, 1), out, nibbles=0)
    with pytest.raises(ValueError, match="pieces must be a multiple of 32 rows, got 33"):
        FlashDecode(gpu, 33)
