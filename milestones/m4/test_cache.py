"""The spec of the cache: any chunks, any rewinds, and the answer is what recomputing everything gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from conftest import WIDTHS, missing_device
from metal.tensor import Gpu
from milestones.errors import UserError
from milestones.m4.cache import KvCache
from milestones.m4.test_decode_attention import expected
from reference.compare import assert_close, assert_same

LAYERS, HEADS, KV_HEADS, D, CAPACITY = 2, 4, 2, 20, 24
_gpus: dict[int, Gpu] = {}


class CacheMachine(RuleBasedStateMachine):
    """Random appends of chunks and rewinds, held against the reference over a plain list of rows."""

    @initialize(width=st.sampled_from(WIDTHS), seed=st.integers(0, 2**32 - 1))
    def begin(self, width, seed):
        self.gpu = _gpus.setdefault(width, Gpu(width=width, poison=True))
        self.cache = KvCache(self.gpu, LAYERS, KV_HEADS, D, CAPACITY)
        self.rng, self.stored = np.random.default_rng(seed), 0
        self.rows = [(np.empty((0, KV_HEADS, D), np.float32),) * 2 for _ in range(LAYERS)]

    def step(self, tokens):
        """q, k, v for every layer, through the cache; yields each layer's answer and what recomputation gives."""
        position = self.cache.length
        for layer in range(LAYERS):
            q, k, v = (self.rng.standard_normal((tokens, n, D)).astype(np.float32) for n in (HEADS, KV_HEADS, KV_HEADS))
            out = self.cache.attend(layer, self.gpu.tensor(q), self.gpu.tensor(k), self.gpu.tensor(v))
            self.gpu.sync()
            self.rows[layer] = tuple(np.concatenate([old, new]) for old, new in zip(self.rows[layer], (k, v), strict=True))
            assert_close(out.numpy(), *expected(q, *self.rows[layer], position))
        self.cache.advance(tokens)
        self.stored += tokens * LAYERS

    @rule(data=st.data())
    @precondition(lambda self: self.cache.length < CAPACITY)
    def append(self, data):
        self.step(data.draw(st.integers(1, min(7, CAPACITY - self.cache.length)), label="tokens"))
        assert self.cache.length == len(self.rows[0][0])
        assert self.cache.rows_stored == self.stored

    @rule(data=st.data())
    def rewind(self, data):
        length = data.draw(st.integers(0, self.cache.length), label="length")
        self.cache.rewind(length)
        self.rows = [(k[:length], v[:length]) for k, v in self.rows]

    @rule(extra=st.integers(1, 3))
    def overflow_is_refused_before_anything_is_written(self, extra):
        tokens = CAPACITY - self.cache.length + extra
        q, k = self.gpu.empty((tokens, HEADS, D)), self.gpu.empty((tokens, KV_HEADS, D))
        before = self.cache._keys[0].numpy().copy()
        with pytest.raises(UserError, match=f"holds {CAPACITY} tokens, {self.cache.length} are used, {tokens} more do not fit"):
            self.cache.attend(0, q, k, k)
        self.gpu.sync()
        assert_same(self.cache._keys[0].numpy(), before)


TestCache = CacheMachine.TestCase
TestCache.settings = settings(max_examples=25, stateful_step_count=10, deadline=None)
TestCache.pytestmark = [pytest.mark.skipif(missing_device() is not None, reason=f"not run here: {missing_device()}")]


def test_the_cache_says_what_it_weighs(gpus):
    """2 layers × 24 rows × 2 heads × 20 elements × 4 bytes, twice: keys and values."""
    assert KvCache(gpus(32), LAYERS, KV_HEADS, D, CAPACITY).nbytes == 2 * 24 * 2 * 20 * 4 * 2


def test_bookkeeping_out_of_range_is_named(gpus):
    cache = KvCache(gpus(32), LAYERS, KV_HEADS, D, CAPACITY)
    with pytest.raises(ValueError, match="cannot advance 0 of 24 by 25"):
        cache.advance(25)
    with pytest.raises(ValueError, match="cannot rewind to 1, 0 tokens are held"):
        cache.rewind(1)
