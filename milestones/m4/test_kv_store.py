"""The spec of kv_store. Source: the cache's contract: new rows land where the position says, bit for bit, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from conftest import WIDTHS
from milestones.m4.kv_store import KvStore
from reference.compare import assert_same
from reference.golden import load
from reference.kv_store import kv_store


def random_bits(rng, shape):
    """Any bits at all: subnormals, −0, NaNs with payloads must come through a store unchanged."""
    return rng.integers(0, 2**32, shape, dtype=np.uint32).view(np.float32)


def run(gpu, k, v, cache_k, cache_v, position):
    on_device = [gpu.tensor(a) for a in (k, v, cache_k, cache_v)]
    KvStore(gpu)(*on_device, position=position)
    gpu.sync()
    return on_device[2].numpy(), on_device[3].numpy()


def expected(rows, cache, position):
    """By the reference on the bits, as integers: torch may not keep a NaN's payload otherwise."""
    bits = [torch.from_numpy(np.ascontiguousarray(a).view(np.int32)) for a in (rows, cache)]
    return kv_store(*bits, position).numpy().view(np.float32)


def check(gpu, seed, tokens, heads, d, capacity, position):
    rng = np.random.default_rng(seed)
    k, v = (random_bits(rng, (tokens, heads, d)) for _ in "kv")
    cache_k, cache_v = (random_bits(rng, (capacity, heads, d)) for _ in "kv")
    got_k, got_v = run(gpu, k, v, cache_k, cache_v, position)
    assert_same(got_k, expected(k, cache_k, position), what="cache_k")
    assert_same(got_v, expected(v, cache_v, position), what="cache_v")


def test_two_rows_worked_by_hand(gpu):
    k, v = np.float32([[[1, 2]], [[3, 4]]]), np.float32([[[5, 6]], [[7, 8]]])
    empty = np.zeros((4, 1, 2), np.float32)
    got_k, got_v = run(gpu, k, v, empty - 1, empty - 2, 1)
    assert_same(got_k, np.float32([[[-1, -1]], [[1, 2]], [[3, 4]], [[-1, -1]]]))
    assert_same(got_v, np.float32([[[-2, -2]], [[5, 6]], [[7, 8]], [[-2, -2]]]))


@pytest.mark.parametrize(
    ("tokens", "heads", "d", "capacity", "position"),
    [(1, 3, 64, 1, 0), (1, 3, 64, 40, 39), (33, 3, 64, 64, 31), (31, 1, 33, 31, 0), (32, 2, 31, 97, 17)],
    ids=str,
)
def test_equals_the_reference(gpu, tokens, heads, d, capacity, position):
    check(gpu, tokens, tokens, heads, d, capacity, position)


def test_equals_the_golden_fixture(gpu):
    """An oracle nobody here wrote: torch's index_copy."""
    golden = load(Path(__file__).parent / "golden", "kv_store")
    rows, cache, position = golden["rows"], golden["cache"], int(golden["position"])
    got_k, got_v = run(gpu, rows, -rows, cache, -cache, position)
    assert_same(got_k, golden["stored"], what="cache_k")
    assert_same(got_v, -golden["stored"], what="cache_v")


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    tokens=st.integers(1, 40),
    heads=st.integers(1, 4),
    d=st.integers(1, 40),
    before=st.integers(0, 20),
    after=st.integers(0, 20),
    width=st.sampled_from(WIDTHS),
)
@example(seed=0, tokens=1, heads=1, d=1, before=0, after=0, width=1024)
def test_equals_the_reference_for_any_shape_place_and_width(gpus, seed, tokens, heads, d, before, after, width):
    check(gpus(width), seed, tokens, heads, d, before + tokens + after, before)


@pytest.mark.parametrize(
    ("k", "v", "cache", "position", "message"),
    [
        ((2, 3, 4), (2, 3, 4), (9, 3, 4), 8, "2 tokens at position 8 do not fit into a cache of 9 rows"),
        ((2, 3, 4), (2, 3, 4), (9, 3, 4), -1, "cannot store 2 tokens at position -1"),
        ((2, 3, 4), (2, 3, 5), (9, 3, 4), 0, r"k has shape \(2, 3, 4\), v has"),
        ((2, 3, 4), (2, 3, 4), (9, 3, 5), 0, r"rows of the cache are \(3, 5\), rows of k \(3, 4\)"),
        ((2, 12), (2, 12), (9, 12), 0, "three dimensions"),
    ],
)
def test_a_misfit_is_named_and_nothing_is_written(gpus, k, v, cache, position, message):
    gpu = gpus(256)
    cache_k, cache_v = gpu.empty(cache), gpu.empty(cache)
    before = cache_k.numpy().copy()
    with pytest.raises(ValueError, match=message):
        KvStore(gpu)(gpu.empty(k), gpu.empty(v), cache_k, cache_v, position=position)
    gpu.sync()
    assert_same(cache_k.numpy(), before)
