"""The spec of rope_store. Source: the composition of m2's sum, RMSNorm and RoPE (Su et al., RoFormer, 2021) and m4's store."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import WIDTHS, examples
from milestones.m2.rope import Rope
from milestones.m6.rope_store import RopeStore
from reference.compare import assert_close, assert_same
from reference.diagnosis import watched
from reference.mistakes.rope_store import MISTAKES
from reference.rope_store import rope_store
from tests.packed import EPS, extras, headed, turned_bound, with_room

BASE, ROOM, EPSILON = 1e4, 64, 1e-5


@watched("rope_store")
def run(gpu, qkv, heads, kv_heads, d, position, halves, dtype, bias=None, norms=None, scale=1.0):
    """q, and the new rows of k and v; every other row of the caches must be as before, the memory after q too."""
    q, check = with_room(gpu, (len(qkv), heads, d))
    caches = [gpu.empty((ROOM, kv_heads, d), dtype) for _ in "kv"]
    before = [cache.numpy().copy() for cache in caches]
    more = {"bias": None if bias is None else gpu.tensor(bias), "norms": None if norms is None else gpu.tensor(norms)}
    options = {"position": position, "halves": halves, "eps": EPSILON, "scale": scale, **more}
    RopeStore(gpu)(gpu.tensor(qkv), Rope(gpu).table(BASE, d), q, *caches, **options)
    gpu.sync()
    check()
    new, shape = np.arange(position, position + len(qkv)), (ROOM // 32, kv_heads, d, 32)  # of keys: 32 rows together
    k, v = caches[0].numpy().reshape(shape)[new // 32, :, :, new % 32], caches[1].numpy()[new]
    before[0].reshape(shape)[new // 32, :, :, new % 32], before[1][new] = k, v
    for old, cache in zip(before, caches, strict=True):
        assert_same(cache.numpy(), old, what="other rows of the cache")
    return q.numpy(), k, v


def expected(qkv, heads, kv_heads, d, position, halves, dtype, bias=None, norms=None, scale=1.0):
    """A bias that is added rounds once (ε/2), a head's norm and turn as tests/packed.py says (headed, turned_bound); v is only
    moved. A half is off by 2⁻¹¹ of itself, or by 2⁻²⁵ if it is tiny; what is too large becomes the largest one.
    """
    given = torch.from_numpy(qkv).double(), heads, kv_heads, d
    options = {"base": BASE, "halves": halves, "bias": None if bias is None else torch.from_numpy(bias)}
    there = {"norms": None if norms is None else torch.from_numpy(norms), "eps": EPSILON, "scale": scale}
    found = []
    plain = rope_store(*given, position=0, **options)  # without a turn
    for n, (y, before) in enumerate(zip(rope_store(*given, position=position, **options, **there), plain, strict=True)):
        y, before = y.numpy(), before.numpy()
        allowed = EPS * np.abs(before) * (bias is not None)
        if n < 2:
            before, allowed = (before, allowed) if norms is None else headed(before, allowed, norms[n], EPSILON)
            allowed = turned_bound(before, allowed, halves, scale)
        if n and dtype == np.float16:
            y, allowed = y.clip(-65504, 65504), allowed + 2.0**-11 * (np.abs(y) + allowed) + 2.0**-25
        found.append((y.astype(np.float32), allowed))
    return found


@examples(14)
@given(
    seed=st.integers(0, 2**32 - 1),
    sizes=st.sampled_from([(3, 1, 64), (2, 2, 32), (4, 2, 16), (1, 1, 2), (2, 1, 128), (1, 1, 70)]),
    tokens=st.integers(1, 7),
    position=st.integers(0, 5),
    halves=st.booleans(),
    dtype=st.sampled_from([np.float32, np.float16]),
    which=st.sampled_from(["", "bias", "norms", "bias norms scale"]),
    width=st.sampled_from(WIDTHS),
)
@example(seed=0, sizes=(3, 1, 64), tokens=7, position=27, halves=False, dtype=np.float32, which="", width=32)
@example(seed=0, sizes=(4, 2, 16), tokens=3, position=4, halves=True, dtype=np.float16, which="", width=1024)
@example(seed=0, sizes=(2, 2, 32), tokens=2, position=3, halves=True, dtype=np.float32, which="bias", width=64)
@example(seed=0, sizes=(2, 1, 128), tokens=3, position=5, halves=True, dtype=np.float32, which="norms", width=64)
@example(seed=0, sizes=(2, 1, 128), tokens=2, position=1, halves=True, dtype=np.float32, which="bias norms scale", width=256)
@example(seed=0, sizes=(3, 1, 64), tokens=2, position=31, halves=False, dtype=np.float16, which="bias norms", width=32)
def test_equals_the_composition_of_rope_and_store(gpus, seed, sizes, tokens, position, halves, dtype, which, width):
    """Pairs side by side or half a head apart, caches of floats and of halves, rows up to the cache's last; with biases, heads
    that are normed, and what YaRN multiplies."""
    heads, kv_heads, d = sizes
    qkv = 3 * np.random.default_rng(seed).standard_normal((tokens, (heads + 2 * kv_heads) * d)).astype(np.float32)
    case = (qkv, *sizes, position, halves, dtype, *extras(seed, *sizes, which))
    for name, got, (y, allowed) in zip("qkv", run(gpus(width), *case), expected(*case), strict=True):
        assert_close(got.astype(np.float32), y, allowed, what=name)


def test_position_0_turns_nothing_and_position_1_by_one_radian(gpu):
    """Ones at positions 0 and 1: the first token stays; the second's only pair is turned by a radian."""
    q, k, v = run(gpu, np.ones((2, 6), np.float32), 1, 1, 2, 0, False, np.float32)
    turned = np.float32([[1, 1], [np.cos(1) - np.sin(1), np.cos(1) + np.sin(1)]])
    assert_close(q[:, 0], turned, 3e-6)
    assert_close(k[:, 0], turned, 3e-6)
    assert_close(v[:, 0], np.ones((2, 2), np.float32), 0)


def test_a_bias_is_added_and_then_a_head_is_normed(gpu):
    """Ones, and biases that make (4, 0) of them: a mean square of 8. So q becomes 4 / √8 times its weight 2, k times 3; v keeps
    its 4. Position 0 turns nothing; pairs half a head apart lie as neighbours here, there is but one."""
    bias, norms = np.float32([3, -1] * 3), np.float32([[2, 2], [3, 3]])
    for halves in (False, True):
        q, k, v = run(gpu, np.ones((1, 6), np.float32), 1, 1, 2, 0, halves, np.float32, bias, norms)
        assert_close(q, np.float32([[[2 * 2**0.5, 0]]]), 4e-5)
        assert_close(k, np.float32([[[3 * 2**0.5, 0]]]), 4e-5)
        assert_close(v, np.float32([[[4, 0]]]), 4e-5)


def test_eps_counts_where_a_head_is_small(gpus):
    """A mean square of 3 · 10⁻⁵, to which 10⁻⁵ is added: the root is 0.00632, not 0.00548."""
    small, ones = np.float32([[6e-5**0.5, 0] * 3]), np.ones((2, 2), np.float32)
    q, k, _ = run(gpus(64), small, 1, 1, 2, 0, False, np.float32, None, ones)
    assert_close(q, np.float32([[[1.5**0.5, 0]]]), 1e-5)
    assert_close(k, np.float32([[[1.5**0.5, 0]]]), 1e-5)


def test_what_is_too_large_for_a_half_becomes_the_largest_one(gpus):
    """±2 million: ±65504 is stored, not infinity; q is no half."""
    q, k, v = run(gpus(64), np.float32([[2e6, -2e6] * 3]), 1, 1, 2, 0, False, np.float16)
    assert k.tolist() == v.tolist() == [[[65504, -65504]]] and np.allclose(q, [2e6, -2e6])


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_what_is_no_number_stays_none(gpus, dtype):
    """NaNs of keys and values are stored as such, as halves too: a damaged model must not look like a sound one."""
    q, k, v = run(gpus(64), np.float32([[1, 1, np.nan, 1, 1, np.nan]]), 1, 1, 2, 0, False, dtype)
    assert np.isnan(k).any() and np.isnan(v).tolist() == [[[False, True]]] and not np.isnan(q).any(), f"got v {v}"


def test_infinity_is_too_large_for_a_half_and_a_nan_of_any_bits_is_none(gpus):
    """v is moved as it is: −∞ becomes the largest half, and 7F800001, infinity's bits and one more, a NaN."""
    v = np.uint32([0xFF800000, 0x7F800001]).view(np.float32)
    stored = run(gpus(64), np.concatenate([np.ones(4, np.float32), v])[None], 1, 1, 2, 0, False, np.float16)[2]
    assert stored[0, 0, 0] == -65504 and np.isnan(stored[0, 0, 1])


@pytest.mark.parametrize("mistake", MISTAKES)
def test_known_mistakes_are_well_outside_the_bound(mistake):
    """A bound that lets a usual mistake pass would prove nothing: each is more than 8 times too far off, somewhere."""
    large = np.float32([[1e6] * 12] * 2)
    chunk = np.random.default_rng(1).standard_normal((3, 48)).astype(np.float32)
    cases = [(chunk, 2, 1, 12, 4, halves, np.float32) for halves in (False, True)] + [(large, 1, 1, 4, 0, False, np.float16)]
    whole = np.random.default_rng(2).standard_normal((3, 256)).astype(np.float32)
    cases.append((whole, 2, 1, 64, 4, True, np.float32, *extras(1, 2, 1, 64, "bias norms scale")))
    small = np.full((2, 6), 0.005, np.float32)
    cases.append((small, 1, 1, 2, 0, False, np.float32, None, np.ones((2, 2), np.float32)))
    assert any(
        not (np.abs(wrong.astype(np.float64) - y) <= 8 * allowed).all()
        for case in cases
        for wrong, (y, allowed) in zip(MISTAKES[mistake](*case), expected(*case), strict=True)
    )


def test_biases_and_norms_that_do_not_fit_are_named_before_launch(gpus):
    gpu = gpus(256)
    given = (gpu.empty((2, 6)), Rope(gpu).table(BASE, 2), gpu.empty((2, 1, 2)), gpu.empty((4, 1, 2)), gpu.empty((4, 1, 2)))
    for extra, words in (
        ("bias", r"bias has shape \(3,\), expected \(6,\)"),
        ("norms", r"norms have shape \(3,\), expected \(2, 2\)"),
    ):
        with pytest.raises(ValueError, match=words):
            RopeStore(gpu)(*given, position=0, halves=False, **{extra: gpu.empty((3,))})


@pytest.mark.parametrize(
    ("qkv", "q", "cache", "position", "message"),
    [
        ((2, 7), (2, 1, 2), (4, 1, 2), 0, r"qkv has shape \(2, 7\), expected \(2, 6\)"),
        ((2, 6), (2, 1, 2), (4, 1, 2), 3, "2 rows at 3 do not fit into a cache of 4 rows"),
        ((2, 6), (2, 1, 2), (4, 1, 4), 0, "heads of q have 2 elements, those of the cache 4"),
    ],
)
def test_a_misfit_is_named_before_launch(gpus, qkv, q, cache, position, message):
    gpu = gpus(256)
    caches = [gpu.empty(cache), gpu.empty(cache)]
    with pytest.raises(ValueError, match=message):
        RopeStore(gpu)(gpu.empty(qkv), Rope(gpu).table(BASE, 2), gpu.empty(q), *caches, position=position, halves=False)
