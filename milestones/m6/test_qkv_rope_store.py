"""The spec of qkv_rope_store. Source: the composition of m2's kernels and m4's store; rounding: Higham, §3.1."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import assume, example, given
from hypothesis import strategies as st

from conftest import examples
from milestones.m2.rope import Rope
from milestones.m5.repack import Repack, packed_size
from milestones.m6.qkv_rope_store import Qkv, QkvRopeStore
from reference.compare import assert_close, assert_same
from reference.diagnosis import watched
from reference.mistakes.qkv_rope_store import MISTAKES
from reference.qkv_rope_store import qkv_rope_store
from tests.packed import EPS, extras, headed, left, normed, turned_bound, weight, with_room

EPSILON, BASE, ROOM = 1e-5, 1e4, 64


def packed(gpu, raws, kind, width, heads, kv_heads, d, halves, *more):
    shapes = [(n * d, width) for n in (heads, kv_heads, kv_heads)]
    data, first = gpu.empty((sum(packed_size(kind, shape) for shape in shapes),), np.uint32), 0
    for raw, shape, head in zip(raws, shapes, (d, d, 0), strict=True):
        first += Repack(gpu)(gpu.tensor(raw), kind, shape, data, first=first, head=head if halves else 0).tiles
    return Qkv(data, kind, width, heads, kv_heads, d, *(None if a is None else gpu.tensor(a) for a in more))


@watched("qkv_rope_store")
def run(gpu, x, raws, kind, sizes, position, halves, dtype, bias=None, norms=None, scale=1.0):
    """q, k and v; every other row of the caches must be as before, the memory after q too."""
    _, heads, kv_heads, d = sizes
    q, check = with_room(gpu, (heads, d))
    caches = [gpu.empty((ROOM, kv_heads, d), dtype) for _ in "kv"]
    before = [cache.numpy().copy() for cache in caches]
    weights, state = packed(gpu, raws, kind, *sizes, halves, bias, norms), gpu.tensor(np.uint32([5, position]))
    turns, options = Rope(gpu).table(BASE, d), {"eps": EPSILON, "halves": halves, "scale": scale}
    QkvRopeStore(gpu)(gpu.tensor(x), weights, turns, state, q, *caches, **options)
    gpu.sync()
    check()
    keys = caches[0].numpy().reshape(ROOM // 32, kv_heads, d, 32)  # 32 rows together
    k, v = keys[position // 32, :, :, position % 32].copy(), caches[1].numpy()[position].copy()
    before[0].reshape(keys.shape)[position // 32, :, :, position % 32], before[1][position] = k, v
    for old, cache in zip(before, caches, strict=True):
        assert_same(cache.numpy(), old, what="other rows of the cache")
    return q.numpy(), k, v


def expected(x, raws, kind, sizes, position, halves, dtype, bias=None, norms=None, scale=1.0):
    """A product errs by its own bound, a bias added to it rounds once (ε/2), a head's norm and turn as tests/packed.py says
    (headed, turned_bound). A half is off by 2⁻¹¹ of itself, or by 2⁻²⁵ if it is tiny; what is too large becomes the largest.
    """
    width, _, _, d = sizes
    options = {"d": d, "position": position, "base": BASE, "halves": halves, "eps": EPSILON, "scale": scale}
    there = {
        "bias": None if bias is None else torch.from_numpy(bias),
        "norms": None if norms is None else torch.from_numpy(norms),
    }
    exact = qkv_rope_store(torch.from_numpy(x), [torch.from_numpy(raw) for raw in raws], kind, width, **options, **there)
    biases = [0.0] * 3 if bias is None else np.split(bias.astype(np.float64), np.cumsum([y.numel() for y in exact])[:2])
    found = []
    for n, (y, raw, b) in enumerate(zip(exact, raws, biases, strict=True)):
        y = y.numpy()
        plain, allowed = normed(x, raw, kind, (y.size, width), EPSILON)
        plain = plain + b
        allowed = allowed + EPS * np.abs(plain) * (bias is not None)
        plain, allowed = plain.reshape(-1, d), allowed.reshape(-1, d)
        if n < 2:
            plain, allowed = (plain, allowed) if norms is None else headed(plain, allowed, norms[n], EPSILON)
            allowed = turned_bound(plain, allowed, halves, scale)
        if n and dtype == np.float16:
            y, allowed = y.clip(-65504, 65504), allowed + 2.0**-11 * (np.abs(y) + allowed) + 2.0**-25
        found.append((y, allowed))
    return found


F32, F16 = np.float32, np.float16
# (kind, cache's dtype, what there is beside a Llama's products, width): every kind of function, and every width, but not all of
# them with each other: each is compiled by itself.
MADE = [
    *(("Q4_1", F32, "", 32), ("Q4_0", F16, "", 1024), ("Q8_0", F16, "scale", 64)),
    *(("Q4_1", F16, "bias", 256), ("Q4_0", F32, "bias", 64), ("Q8_0", F32, "bias scale", 832)),
    *(("Q4_1", F32, "norms", 256), ("Q4_0", F16, "norms", 448), ("Q8_0", F32, "bias norms scale", 64)),
    *(("Q4_1", F16, "bias norms", 32), ("Q4_0", F32, "norms scale", 1024), ("Q8_0", F16, "bias norms", 832)),
]


@examples(14)
@given(
    seed=st.integers(0, 2**32 - 1),
    made=st.sampled_from(MADE),
    sizes=st.sampled_from([(64, 3, 1, 64), (96, 2, 2, 32), (32, 4, 2, 16), (64, 1, 1, 32), (32, 2, 1, 96), (64, 2, 1, 128)]),
    position=st.integers(0, ROOM - 1),
    halves=st.booleans(),
)
@example(seed=0, made=("Q4_1", F32, "", 32), sizes=(64, 3, 1, 64), position=32, halves=False)
@example(seed=0, made=("Q4_0", F16, "", 1024), sizes=(32, 4, 2, 16), position=37, halves=True)
@example(seed=0, made=("Q8_0", F16, "scale", 64), sizes=(32, 4, 2, 16), position=1, halves=False)
@example(seed=0, made=("Q8_0", F16, "scale", 64), sizes=(32, 16, 16, 62), position=2, halves=False)  # 62 = 2 · 31
@example(seed=0, made=("Q8_0", F16, "scale", 64), sizes=(32, 16, 16, 66), position=2, halves=True)  # 66 = 2 · 33
@example(seed=0, made=("Q8_0", F16, "scale", 64), sizes=(1056, 1, 1, 32), position=2, halves=False)  # 33 blocks
@example(seed=0, made=("Q4_0", F32, "bias", 64), sizes=(96, 2, 2, 32), position=3, halves=True)
@example(seed=0, made=("Q4_1", F32, "norms", 256), sizes=(64, 2, 1, 128), position=31, halves=True)
@example(seed=0, made=("Q8_0", F32, "bias norms scale", 64), sizes=(32, 2, 1, 96), position=9, halves=True)
@example(seed=0, made=("Q4_1", F16, "bias norms", 32), sizes=(64, 3, 1, 64), position=2, halves=False)
def test_equals_the_composition_of_norm_products_rope_and_store(gpus, seed, made, sizes, position, halves):
    """Pairs side by side or half a head apart, heads of half a tile up to four, caches of floats and of halves; with biases,
    heads that are normed (of whole tiles), and what YaRN multiplies."""
    (kind, dtype, which, width), (k, heads, kv_heads, d) = made, sizes
    assume(d % 32 == 0 or "norms" not in which)
    raws = [weight(seed + i, kind, n * d, k) for i, n in enumerate((heads, kv_heads, kv_heads))]
    case = (left(seed, k, kind), raws, kind, sizes, position, halves, dtype, *extras(seed, heads, kv_heads, d, which))
    for name, got, (y, allowed) in zip("qkv", run(gpus(width), *case), expected(*case), strict=True):
        assert_close(got.astype(np.float32), y.astype(np.float32), allowed, what=name)


def test_position_0_turns_nothing_and_position_1_by_one_radian(gpu):
    """Rows of ones: every product is 32. At position 0 it stays; at 1 the first pair is turned by a radian, the last hardly."""
    ones = np.array(([0x00, 0x3C] + [1] * 32) * 32, np.uint8)
    x, sizes = np.float32([1] * 32 + [32, 32]), (32, 1, 1, 32)
    for y in run(gpu, x, [ones] * 3, "Q8_0", sizes, 0, False, np.float32):
        assert_close(y, np.full((1, 32), 32, np.float32), 4e-4)
    q, k, v = run(gpu, x, [ones] * 3, "Q8_0", sizes, 1, False, np.float32)
    turned = 32 * np.float32([np.cos(1) - np.sin(1), np.cos(1) + np.sin(1)])
    assert_close(q[0, :2], turned, 4e-3)
    assert_close(k[0, :2], turned, 4e-3)
    assert_close(v, np.full((1, 32), 32, np.float32), 4e-4)


def test_a_bias_is_added_and_then_a_head_is_normed(gpu):
    """Rows of ones, so products of 32, and biases that leave 32 in one element and 0 in 31: a mean square of 32. So q becomes
    32 / √32 times its weight 2, k times 3; v keeps its 32."""
    ones, one = np.array(([0x00, 0x3C] + [1] * 32) * 32, np.uint8), np.eye(1, 32, 5, dtype=np.float32)
    norms = np.float32([[2] * 32, [3] * 32])
    for halves in (False, True):
        q, k, v = run(gpu, ONES, [ones] * 3, "Q8_0", (32, 1, 1, 32), 0, halves, np.float32, np.tile(32 * one[0] - 32, 3), norms)
        assert_close(q, np.float32(2 * 32**0.5) * one, 4e-4)
        assert_close(k, np.float32(3 * 32**0.5) * one, 4e-4)
        assert_close(v, 32 * one, 4e-4)


NOTHING, SMALL = np.zeros(34 * 32, np.uint8), np.float32([0.03] + [0.0] * 31) * np.sqrt(np.float32(32 / 30))


def test_eps_counts_where_a_head_is_small(gpus):
    """Products of 0, a bias of 0.031: a mean square of 3 · 10⁻⁵, to which 10⁻⁵ is added. The root is 0.00632, not 0.00548."""
    case = ONES, [NOTHING] * 3, "Q8_0", (32, 1, 1, 32), 0, False, np.float32, np.tile(SMALL, 3), np.ones((2, 32), np.float32)
    q, k, _ = run(gpus(64), *case)
    wanted = np.float32(SMALL[None] / 4e-5**0.5)
    assert_close(q, wanted, 1e-4)
    assert_close(k, wanted, 1e-4)


ONES, LARGE = np.float32([1] * 32 + [32, 32]), np.array(([0xFF, 0x7B] + [1] * 32) * 32, np.uint8)


def test_what_is_too_large_for_a_half_becomes_the_largest_one(gpus):
    """d = ±65504 in every row: products of ±2 million. ±65504 is stored, not infinity."""
    for sign, large in ((1, LARGE), (-1, np.where(np.arange(LARGE.size) % 34 == 1, LARGE | 0x80, LARGE))):
        q, k, v = run(gpus(64), ONES, [large] * 3, "Q8_0", (32, 1, 1, 32), 0, False, np.float16)
        assert (k == sign * 65504).all() and (v == sign * 65504).all() and np.allclose(q, sign * 32 * 65504, rtol=1e-4)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_known_mistakes_are_well_outside_the_bound(mistake):
    """A bound that lets a usual mistake pass would prove nothing: each is more than 8 times too far off, somewhere."""
    sizes, small = (64, 4, 2, 64), (64, 4, 2, 16)
    raws, others = ([weight(i, "Q4_1", n * s[3], 64) for i, n in enumerate(s[1:3] + s[2:3])] for s in (sizes, small))
    x = left(1, 64, "Q4_1")
    cases = [(x, others, "Q4_1", small, 3, halves, np.float32) for halves in (False, True)]
    cases.append((x, raws, "Q4_1", sizes, 3, True, np.float32, *extras(1, 4, 2, 64, "bias norms scale")))
    small = np.tile(SMALL, 3), np.ones((2, 32), np.float32)
    cases.append((ONES, [NOTHING] * 3, "Q8_0", (32, 1, 1, 32), 0, False, np.float32, *small))
    cases.append((ONES, [LARGE] * 3, "Q8_0", (32, 1, 1, 32), 0, False, np.float16))
    assert any(
        not (np.abs(wrong.astype(np.float64) - y) <= 8 * allowed).all()
        for case in cases
        for wrong, (y, allowed) in zip(MISTAKES[mistake](*case), expected(*case), strict=True)
    )


def test_a_misfit_is_named_before_launch(gpus):
    gpu = gpus(256)
    state, turns = gpu.tensor(np.uint32([0, 0])), Rope(gpu).table(BASE, 32)
    weights = Qkv(gpu.empty((10,), np.uint32), "Q4_1", 32, 1, 1, 32)
    x, q, cache = gpu.empty((34,)), gpu.empty((1, 32)), gpu.empty((7, 1, 32))
    with pytest.raises(ValueError, match=r"rows of the caches have shapes \(1, 32\) and \(2, 32\)"):
        QkvRopeStore(gpu)(x, weights, turns, state, q, cache, gpu.empty((7, 2, 32)), eps=EPSILON)
    for bias, norms, words in (
        (gpu.empty((95,)), None, r"bias has shape \(95,\), expected \(96,\)"),
        (None, gpu.empty((32,)), r"norms have shape \(32,\), expected \(2, 32\)"),
    ):
        with pytest.raises(ValueError, match=words):
            QkvRopeStore(gpu)(x, replace(weights, bias=bias, norms=norms), turns, state, q, cache, cache, eps=EPSILON)
    with pytest.raises(ValueError, match="heads of 16 cannot be normed, only multiples of 32 up to 128"):
        small = replace(weights, heads=2, kv_heads=2, d=16, norms=gpu.empty((2, 16)))
        QkvRopeStore(gpu)(x, small, turns, state, q, cache, cache, eps=EPSILON)
    with pytest.raises(ValueError, match=r"q has shape \(2, 32\), expected \(1, 32\)"):
        QkvRopeStore(gpu)(x, weights, turns, state, gpu.empty((2, 32)), cache, cache, eps=EPSILON)
