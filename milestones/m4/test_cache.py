"""The spec of the cache: any chunks, rewinds and forks, and the answer is what recomputing everything gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from conftest import WIDTHS, missing_device
from metal.health import spec_gpu
from metal.tensor import Gpu
from milestones.errors import UserError
from milestones.m4.cache import KvCache
from milestones.m4.test_decode_attention import expected
from reference.compare import assert_close, assert_same
from reference.tolerance import half_storage

LAYERS, HEADS, KV_HEADS, D, CAPACITY = 2, 4, 2, 20, 24
EMPTY = np.empty((0, KV_HEADS, D), np.float32)
_gpus: dict[int, Gpu] = {}


class CacheMachine(RuleBasedStateMachine):
    """Random appends of chunks, rewinds and forks of several caches, each held against the reference over plain lists of rows:
    the whole answer computed anew from every key and value that its tokens ever had."""

    @initialize(width=st.sampled_from(WIDTHS), dtype=st.sampled_from(["float32", "float16"]), seed=st.integers(0, 2**32 - 1))
    def begin(self, width, dtype, seed):
        self.gpu, self.dtype = _gpus.setdefault(width, spec_gpu(width)), dtype
        self.rng = np.random.default_rng(seed)
        # of each cache that is alive: itself, and for each layer the floats that were given and those that it should hold
        self.alive = [(KvCache(self.gpu, LAYERS, KV_HEADS, D, CAPACITY, dtype), [(EMPTY,) * 4] * LAYERS)]
        self.stored = {0: 0}

    def pick(self, data):
        return data.draw(st.integers(0, len(self.alive) - 1), label="which cache")

    def kept(self, rows):
        return rows.astype(np.float16).astype(np.float32) if self.dtype == "float16" else rows

    @rule(data=st.data())
    def append(self, data):
        """One chunk through every layer; each layer's answer is compared."""
        which = self.pick(data)
        cache, rows = self.alive[which]
        if cache.length == cache.capacity:
            return
        tokens, position = data.draw(st.integers(1, min(7, cache.capacity - cache.length)), label="tokens"), cache.length
        grown = []
        for layer in range(LAYERS):
            q, k, v = (self.rng.standard_normal((tokens, n, D)).astype(np.float32) for n in (HEADS, KV_HEADS, KV_HEADS))
            out = cache.attend(layer, self.gpu.tensor(q), self.gpu.tensor(k), self.gpu.tensor(v))
            self.gpu.sync()
            new = (k, v, self.kept(k), self.kept(v))
            given_k, given_v, kept_k, kept_v = whole = tuple(
                np.concatenate(pair) for pair in zip(rows[layer], new, strict=True)
            )
            grown.append(whole)
            assert_close(out.numpy(), *expected(q, kept_k, kept_v, position))
            exact, allowed = expected(q, given_k, given_v, position)
            if self.dtype == "float16":
                allowed = allowed + half_storage(q, given_k, given_v, position)
            assert_close(out.numpy(), exact, allowed, what="against the floats that were given")
        cache.advance(tokens)
        self.alive[which] = (cache, grown)
        self.stored[which] += tokens * LAYERS

    @rule(data=st.data())
    def rewind(self, data):
        which = self.pick(data)
        cache, rows = self.alive[which]
        length = data.draw(st.integers(0, cache.length), label="length")
        cache.rewind(length)
        self.alive[which] = (cache, [tuple(array[:length] for array in layer) for layer in rows])

    @rule(data=st.data())
    def fork(self, data):
        which = self.pick(data)
        cache, rows = self.alive[which]
        if len(self.alive) < 4:
            capacity = data.draw(st.one_of(st.none(), st.integers(max(1, cache.length), CAPACITY + 3)), label="capacity")
            self.stored[len(self.alive)] = 0
            self.alive.append((cache.fork(capacity), rows))

    @rule(data=st.data(), extra=st.integers(1, 3))
    def overflow_is_refused_before_anything_is_written(self, data, extra):
        cache, _ = self.alive[self.pick(data)]
        tokens = cache.capacity - cache.length + extra
        q, k = self.gpu.empty((tokens, HEADS, D)), self.gpu.empty((tokens, KV_HEADS, D))
        before = [tensor.numpy().copy() for tensor in (*cache._keys, *cache._values)]
        said = f"holds {cache.capacity} tokens, {cache.length} are used, {tokens} more do not fit"
        for layer in range(LAYERS):
            with pytest.raises(UserError, match=said):
                cache.attend(layer, q, k, k)
        self.gpu.sync()
        for tensor, held in zip((*cache._keys, *cache._values), before, strict=True):
            assert_same(tensor.numpy(), held)

    @invariant()
    def every_cache_holds_exactly_its_own_rows(self):
        """What one cache is told, another never sees; what was never written is still poison."""
        if hasattr(self, "gpu"):
            self.gpu.sync()  # a fork only queues its copies
        for which, (cache, rows) in enumerate(getattr(self, "alive", [])):
            assert cache.length == len(rows[0][0]) and cache.rows_stored == self.stored[which]
            for layer in range(LAYERS):
                assert_same(cache._keys[layer].numpy()[: cache.length].astype(np.float32), rows[layer][2])
                assert_same(cache._values[layer].numpy()[: cache.length].astype(np.float32), rows[layer][3])


TestCache = CacheMachine.TestCase
TestCache.settings = settings(max_examples=30, stateful_step_count=12, deadline=None)
TestCache.pytestmark = [pytest.mark.skipif(missing_device() is not None, reason=f"not run here: {missing_device()}")]


def filled(gpu, tokens, dtype="float32"):
    """A cache that holds so many random tokens."""
    cache, rng = KvCache(gpu, LAYERS, KV_HEADS, D, CAPACITY, dtype), np.random.default_rng(tokens)
    for layer in range(LAYERS):
        q, k, v = (gpu.tensor(rng.standard_normal((tokens, n, D)).astype(np.float32)) for n in (HEADS, KV_HEADS, KV_HEADS))
        cache.attend(layer, q, k, v)
    cache.advance(tokens)
    gpu.sync()
    return cache


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_fork_copies_what_is_there_and_no_more(gpu, dtype):
    """The rows after `length` of the fork are as nobody wrote them: copying them would cost time and hide bugs."""
    cache = filled(gpu, 9, dtype)
    cache.rewind(7)
    fork = cache.fork()
    gpu.sync()
    for ours, theirs in zip((*fork._keys, *fork._values), (*cache._keys, *cache._values), strict=True):
        assert_same(ours.numpy()[:7], theirs.numpy()[:7])
        assert np.isnan(ours.numpy()[7:]).all()
    assert (fork.length, fork.capacity, fork.rows_stored, fork.dtype) == (7, CAPACITY, 0, cache.dtype)
    assert filled(gpu, 3, dtype).fork(3).capacity == 3
    assert KvCache(gpu, LAYERS, KV_HEADS, D, CAPACITY, dtype).fork().length == 0


def test_a_fork_that_cannot_hold_the_tokens_is_refused(gpus):
    with pytest.raises(ValueError, match="a fork of 8 rows cannot hold the 9 tokens there are"):
        filled(gpus(32), 9).fork(8)


def test_halves_take_half_the_memory(gpus):
    sizes = [KvCache(gpus(32), LAYERS, KV_HEADS, D, CAPACITY, dtype).nbytes for dtype in ("float32", "float16")]
    assert sizes == [2 * 24 * 2 * 20 * 4 * 2, 2 * 24 * 2 * 20 * 2 * 2]


def test_bookkeeping_out_of_range_is_named(gpus):
    cache = KvCache(gpus(32), LAYERS, KV_HEADS, D, CAPACITY)
    with pytest.raises(ValueError, match="cannot advance 0 of 24 by 25"):
        cache.advance(25)
    with pytest.raises(ValueError, match="cannot rewind to 1, 0 tokens are held"):
        cache.rewind(1)
    with pytest.raises(ValueError, match="dtype must be float32 or float16, got float64"):
        KvCache(gpus(32), LAYERS, KV_HEADS, D, CAPACITY, "float64")
