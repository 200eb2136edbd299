"""The spec of rope_store. Source: the composition of m2's RoPE (Su et al., RoFormer, 2021) and m4's store."""

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
from tests.packed import EPS, with_room

BASE, ROOM = 1e4, 64


@watched("rope_store")
def run(gpu, qkv, heads, kv_heads, d, position, halves, dtype):
    """q, and the new rows of k and v; every other row of the caches must be as before, the memory after q too."""
    q, check = with_room(gpu, (len(qkv), heads, d))
    caches = [gpu.empty((ROOM, kv_heads, d), dtype) for _ in "kv"]
    before = [cache.numpy().copy() for cache in caches]
    RopeStore(gpu)(gpu.tensor(qkv), Rope(gpu).table(BASE, d), q, *caches, position=position, halves=halves)
    gpu.sync()
    check()
    new, shape = np.arange(position, position + len(qkv)), (ROOM // 32, kv_heads, d, 32)  # of keys: 32 rows together
    k, v = caches[0].numpy().reshape(shape)[new // 32, :, :, new % 32], caches[1].numpy()[new]
    before[0].reshape(shape)[new // 32, :, :, new % 32], before[1][new] = k, v
    for old, cache in zip(before, caches, strict=True):
        assert_same(cache.numpy(), old, what="other rows of the cache")
    return q.numpy(), k, v


def expected(qkv, heads, kv_heads, d, position, halves, dtype):
    """11 ε of the pair's sizes for the angle, its sine and cosine, and the sum (tolerance.py, rope); v is only moved. A
    half is off by 2⁻¹¹ of itself, or by 2⁻²⁵ if it is tiny; what is too large becomes the largest one.
    """
    options = {"position": position, "base": BASE, "halves": halves}
    found = []
    for n, y in enumerate(rope_store(torch.from_numpy(qkv).double(), heads, kv_heads, d, **options)):
        y = y.numpy()
        sizes = np.abs(y)[..., [(i + d // 2) % d if halves else i ^ 1 for i in range(d)]] + np.abs(y)
        allowed = 11 * 1.5 * EPS * sizes if n < 2 else np.zeros(y.shape)  # |a| + |b| is at most √2 of what it is when turned
        if n and dtype == np.float16:
            y, allowed = y.clip(-65504, 65504), allowed + 2.0**-11 * (np.abs(y) + allowed) + 2.0**-25
        found.append((y.astype(np.float32), allowed))
    return found


@examples(14)
@given(
    seed=st.integers(0, 2**32 - 1),
    sizes=st.sampled_from([(3, 1, 64), (2, 2, 32), (4, 2, 16), (1, 1, 2)]),
    tokens=st.integers(1, 7),
    position=st.integers(0, 5),
    halves=st.booleans(),
    dtype=st.sampled_from([np.float32, np.float16]),
    width=st.sampled_from(WIDTHS),
)
@example(seed=0, sizes=(3, 1, 64), tokens=7, position=5, halves=False, dtype=np.float32, width=32)
@example(seed=0, sizes=(4, 2, 16), tokens=3, position=4, halves=True, dtype=np.float16, width=1024)
@example(seed=0, sizes=(2, 2, 32), tokens=2, position=3, halves=True, dtype=np.float32, width=64)
def test_equals_the_composition_of_rope_and_store(gpus, seed, sizes, tokens, position, halves, dtype, width):
    """Pairs side by side or half a head apart, caches of floats and of halves, rows up to the cache's last."""
    heads, kv_heads, d = sizes
    qkv = np.random.default_rng(seed).standard_normal((tokens, (heads + 2 * kv_heads) * d)).astype(np.float32)
    case = (qkv, *sizes, position, halves, dtype)
    for name, got, (y, allowed) in zip("qkv", run(gpus(width), *case), expected(*case), strict=True):
        assert_close(got.astype(np.float32), y, allowed, what=name)


def test_position_0_turns_nothing_and_position_1_by_one_radian(gpu):
    """Ones at positions 0 and 1: the first token stays; the second's only pair is turned by a radian."""
    q, k, v = run(gpu, np.ones((2, 6), np.float32), 1, 1, 2, 0, False, np.float32)
    turned = np.float32([[1, 1], [np.cos(1) - np.sin(1), np.cos(1) + np.sin(1)]])
    assert_close(q[:, 0], turned, 3e-6)
    assert_close(k[:, 0], turned, 3e-6)
    assert_close(v[:, 0], np.ones((2, 2), np.float32), 0)


def test_what_is_too_large_for_a_half_becomes_the_largest_one(gpus):
    """±2 million: ±65504 is stored, not infinity; q is no half."""
    q, k, v = run(gpus(64), np.float32([[2e6, -2e6] * 3]), 1, 1, 2, 0, False, np.float16)
    assert k.tolist() == v.tolist() == [[[65504, -65504]]] and np.allclose(q, [2e6, -2e6])


@pytest.mark.parametrize("mistake", MISTAKES)
def test_known_mistakes_are_well_outside_the_bound(mistake):
    """A bound that lets a usual mistake pass would prove nothing: each is more than 8 times too far off, somewhere."""
    large = np.float32([[1e6] * 12] * 2)
    chunk = np.random.default_rng(1).standard_normal((3, 48)).astype(np.float32)
    cases = [(chunk, 2, 1, 12, 4, halves, np.float32) for halves in (False, True)] + [(large, 1, 1, 4, 0, False, np.float16)]
    assert any(
        not (np.abs(wrong.astype(np.float64) - y) <= 8 * allowed).all()
        for case in cases
        for wrong, (y, allowed) in zip(MISTAKES[mistake](*case), expected(*case), strict=True)
    )


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
