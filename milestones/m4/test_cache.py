"""The spec of the cache: any chunks, interrupted steps, rewinds and forks, and the answer is what recomputing it all gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import WIDTHS, examples
from milestones.errors import UserError
from milestones.m4.cache import KvCache
from milestones.m4.test_decode_attention import expected as answer
from reference.cache import replay
from reference.compare import assert_close, assert_same
from reference.diagnosis import watched
from reference.mistakes.cache import MISTAKES

SHAPE, CAPACITY = (2, 4, 2, 20), 24  # layers, heads, kv_heads, d
DTYPES = pytest.mark.parametrize("dtype", ["float32", "float16"])


@watched("cache")
def run(gpu, script, dtype="float32"):
    """Plays a script (reference/cache.py) on real caches: all answers, and length and rows_stored of every cache at the end."""
    (layers, _, _, d), kv_heads = script[0][2].shape, script[0][3].shape[2]
    caches, answers = [KvCache(gpu, layers, kv_heads, d, CAPACITY, dtype)], []
    for kind, c, *rest in script:
        if kind == "rewind":
            caches[c].rewind(*rest)
        elif kind == "fork":
            caches.append(caches[c].fork(*rest))
        else:
            answers += [caches[c].attend(layer, *(gpu.tensor(a[layer]) for a in rest)) for layer in range(layers)]
            if kind == "append":
                caches[c].advance(rest[1].shape[1])
    gpu.sync()
    return np.concatenate([a.numpy() for a in answers]), np.array([[cache.length, cache.rows_stored] for cache in caches])


def expected(script, dtype="float32"):
    """The cache computes nothing of its own, so the bound is that of attention over the rows as they are kept: exact floats, or
    the nearest halves, which are loaded exactly.

    Every step's answer is computed anew from plain lists of all rows that its cache should hold. Counts allow no error.
    """
    kept = [(kind, c, *(_kept(a, dtype) if i else a for i, a in enumerate(rest))) for kind, c, *rest in script]
    answers, lengths = replay(kept, lambda q, k, v, position: answer(q.numpy(), k.numpy(), v.numpy(), position))
    stored = [0] * len(lengths)
    for kind, c, *rest in script:
        stored[c] += rest[1].shape[0] * rest[1].shape[1] if kind in ("append", "abandon") else 0
    return *(np.concatenate(parts) for parts in zip(*answers, strict=True)), np.array([*zip(lengths, stored, strict=True)])


def _kept(rows, dtype):
    return rows.astype(dtype).astype(np.float32) if isinstance(rows, np.ndarray) else rows


def check(gpu, script, dtype="float32"):
    exact, allowed, books = expected(script, dtype)
    answers, counted = run(gpu, script, dtype)
    assert_close(answers, exact, allowed, what="answers")
    assert_same(counted, books, what="length and rows_stored of each cache")


def rows(plan, seed=0, shape=SHAPE):
    """A script out of a plan, in which ("append", c, n) and ("abandon", c, n) say how many tokens: with random q, k and v."""
    rng, (layers, heads, kv_heads, d) = np.random.default_rng(seed), shape

    def random(tokens):
        return (rng.standard_normal((layers, tokens, n, d)).astype(np.float32) for n in (heads, kv_heads, kv_heads))

    return [(kind, c, *(random(*rest) if kind in ("append", "abandon") else rest)) for kind, c, *rest in plan]


def test_two_steps_a_rewind_and_a_fork_worked_by_hand(gpu):
    """All keys equal, so an answer is the mean of the values held: 2; (2 + 4) / 2; then 8 for 4; the fork still has the 4."""
    one = np.ones((1, 1, 1, 1), np.float32)
    script = [("append", 0, one, one, one * 2), ("append", 0, one, one, one * 4), ("fork", 0, None), ("rewind", 0, 1)]
    script += [("append", 0, one, one, one * 8), ("append", 1, one, one, one * 6)]
    answers, counted = run(gpu, script)
    assert_close(answers.reshape(-1), np.float32([2, 3, 5, 4]), 3e-6)
    assert_same(counted, np.array([[2, 3], [3, 1]]))


@DTYPES
def test_each_step_sees_all_steps_before_it(gpus, dtype):
    """A prompt in two chunks, then token by token: positions go on where the last step ended."""
    check(gpus(256), rows([("append", 0, 7), ("append", 0, 5), *[("append", 0, 1)] * 4]), dtype)


@DTYPES
def test_what_comes_after_a_rewind_takes_the_place_of_what_was_forgotten(gpus, dtype):
    """Rows of forgotten tokens lie in memory still; none may be seen again, whatever comes next is shorter or longer."""
    plan = [("append", 0, 9), ("rewind", 0, 4), ("append", 0, 2), ("append", 0, 1), ("rewind", 0, 6), ("append", 0, 8)]
    check(gpus(64), rows([*plan, ("rewind", 0, 0), ("append", 0, 3)]), dtype)


@DTYPES
def test_a_fork_and_its_parent_go_their_own_ways(gpus, dtype):
    """Both go on with other tokens, in the same rows: what one is told, the other never sees. So do forks of forks."""
    plan = [("append", 0, 6), ("fork", 0, None), ("append", 0, 3), ("append", 1, 3), ("fork", 1, 11), ("rewind", 1, 2)]
    check(gpus(448), rows([*plan, ("append", 1, 4), ("append", 2, 2), ("append", 0, 1)]), dtype)


def test_an_interrupted_step_leaves_nothing_behind(gpus):
    """A step whose tokens were stored but never counted (Ctrl-C) did not happen: the next one stands at the same place."""
    check(
        gpus(32),
        rows([("append", 0, 4), ("abandon", 0, 5), ("append", 0, 2), ("abandon", 0, 1), ("fork", 0, 9), ("append", 1, 3)]),
    )


def test_a_cache_takes_tokens_up_to_its_last_row(gpus):
    """Exactly full is not too full; after a rewind there is room again."""
    check(
        gpus(832),
        rows([("append", 0, 23), ("append", 0, 1), ("fork", 0, 25), ("rewind", 0, 20), ("append", 0, 4), ("append", 1, 1)]),
    )


@st.composite
def plans(draw):
    """Random steps over up to four caches, each with room for one more token at the end, when all are asked once more."""
    first = draw(st.integers(1, 9))
    plan, held, room = [("append", 0, first)], [first], [CAPACITY]
    for _ in range(draw(st.integers(0, 7))):
        c = draw(st.integers(0, len(held) - 1))
        free = room[c] - 1 - held[c]
        kind = draw(
            st.sampled_from(["append"] * (free > 0) + ["abandon"] * (free > 0) + ["rewind"] + ["fork"] * (len(held) < 4))
        )
        if kind == "rewind":
            held[c] = draw(st.integers(0, held[c]))
            plan.append((kind, c, held[c]))
        elif kind == "fork":
            room.append(draw(st.integers(held[c] + 1, CAPACITY + 3)))
            held.append(held[c])
            plan.append((kind, c, room[-1]))
        else:
            tokens = draw(st.integers(1, min(7, free)))
            held[c] += tokens * (kind == "append")
            plan.append((kind, c, tokens))
    return [*plan, *(("append", c, 1) for c in range(len(held)))]


@examples(25)
@given(
    plan=plans(),
    seed=st.integers(0, 2**32 - 1),
    shape=st.sampled_from([SHAPE, (1, 2, 1, 32), (3, 3, 3, 2)]),
    dtype=st.sampled_from(["float32", "float16"]),
    width=st.sampled_from(WIDTHS),
)
@example(
    plan=[("append", 0, 1), ("fork", 0, 2), ("rewind", 0, 0), ("append", 0, 1)], seed=0, shape=SHAPE, dtype="float16", width=32
)
def test_any_appends_rewinds_and_forks_equal_recomputation(gpus, plan, seed, shape, dtype, width):
    """The cache is an economy, never another answer: every step's equals attention over plain lists of all rows ever kept."""
    check(gpus(width), rows(plan, seed, shape), dtype)


def filled(gpu, tokens, dtype="float32"):
    """A cache that holds so many random tokens, and has answered rightly; and their keys and values, as it keeps them."""
    ((_, _, q, k, v),) = script = rows([("append", 0, tokens)], seed=tokens)
    cache = KvCache(gpu, SHAPE[0], SHAPE[2], SHAPE[3], CAPACITY, dtype)
    answers = [cache.attend(layer, *(gpu.tensor(a[layer]) for a in (q, k, v))) for layer in range(SHAPE[0])]
    cache.advance(tokens)
    gpu.sync()
    assert_close(np.concatenate([a.numpy() for a in answers]), *expected(script, dtype)[:2], what="answers")
    return cache, [*k.astype(dtype), *v.astype(dtype)]


@DTYPES
def test_a_fork_copies_what_is_there_and_no_more(gpu, dtype):
    """The rows after `length` of the fork are as nobody wrote them: copying them would cost time and hide bugs."""
    cache, held = filled(gpu, 9, dtype)
    cache.rewind(7)
    fork = cache.fork()
    gpu.sync()
    for ours, given_rows in zip((*fork._keys, *fork._values), held, strict=True):
        assert_same(ours.numpy()[:7], given_rows[:7])
        assert np.isnan(ours.numpy()[7:]).all(), "rows past the tokens that are held were copied"
    assert (fork.length, fork.capacity, fork.rows_stored, fork.dtype) == (7, CAPACITY, 0, cache.dtype)
    assert filled(gpu, 3, dtype)[0].fork(3).capacity == 3


def test_an_empty_cache_can_be_forked(gpus):
    """There is no row to copy, and no kernel to run: kv_store refuses a store of nothing."""
    fork = KvCache(gpus(32), *SHAPE[:1], *SHAPE[2:], CAPACITY).fork(5)
    assert (fork.length, fork.capacity, fork.rows_stored) == (0, 5, 0)


def test_halves_that_cannot_be_copied_in_pairs_are_named(gpus):
    """A fork moves two halves in the place of one float; a row of an odd number of halves has one left over."""
    gpu = gpus(32)
    cache, three = KvCache(gpu, 1, 1, 3, 4, "float16"), np.float32([[[1, 2, 3]]])
    answered = cache.attend(0, *(gpu.tensor(three) for _ in "qkv"))
    cache.advance(1)
    gpu.sync()
    assert_close(answered.numpy(), three, 2e-6)
    with pytest.raises(ValueError, match="rows of 3 halves cannot be copied in pairs"):
        cache.fork()


def test_a_fork_that_cannot_hold_the_tokens_is_refused(gpus):
    """It would lose tokens without a word."""
    with pytest.raises(ValueError, match="a fork of 8 rows cannot hold the 9 tokens there are"):
        filled(gpus(32), 9)[0].fork(8)


@DTYPES
def test_what_does_not_fit_is_refused_before_anything_is_written(gpus, dtype):
    """A user's long conversation ends in words, with every token that was there still there: in each layer, and counted."""
    gpu = gpus(32)
    cache, held = filled(gpu, 20, dtype)
    for tokens in (5, 6, 30):
        q, k = gpu.tensor(np.ones((tokens, 4, 20), np.float32)), gpu.tensor(np.ones((tokens, 2, 20), np.float32))
        for layer in range(SHAPE[0]):
            with pytest.raises(UserError, match=f"it holds 24 tokens, 20 are used, {tokens} more do not fit"):
                cache.attend(layer, q, k, k)
    gpu.sync()
    for tensor, given_rows in zip((*cache._keys, *cache._values), held, strict=True):
        assert_same(tensor.numpy()[:20], given_rows)
        assert np.isnan(tensor.numpy()[20:]).all(), "rows were written before the step was refused"
    assert (cache.length, cache.rows_stored) == (20, 40)


def test_a_step_with_more_queries_than_keys_is_refused(gpus):
    """Each new token asks, and each is kept: anything else is a caller's mistake, named before a row is written."""
    gpu = gpus(32)
    cache = KvCache(gpu, 1, 2, 20, CAPACITY)
    with pytest.raises(ValueError, match="q has 3 tokens, k has 2"):
        cache.attend(0, gpu.empty((3, 4, 20)), gpu.empty((2, 2, 20)), gpu.empty((2, 2, 20)))
    assert cache.rows_stored == 0


def test_the_answer_lands_in_the_tensor_that_was_given(gpus):
    """The model brings its own `out`, which is used again at every step: allocation is not free."""
    gpu = gpus(64)
    ((_, _, q, k, v),) = script = rows([("append", 0, 3)], shape=(1, *SHAPE[1:]))
    cache, out = KvCache(gpu, 1, 2, 20, CAPACITY), gpu.empty((3, 4, 20))
    assert cache.attend(0, *(gpu.tensor(a[0]) for a in (q, k, v)), out) is out
    gpu.sync()
    assert_close(out.numpy(), *expected(script)[:2])


def test_halves_take_half_the_memory(gpus):
    sizes = [KvCache(gpus(32), 2, 2, 20, CAPACITY, dtype).nbytes for dtype in ("float32", "float16")]
    assert sizes == [2 * 24 * 2 * 20 * 4 * 2, 2 * 24 * 2 * 20 * 2 * 2]


def test_bookkeeping_out_of_range_is_named(gpus):
    """Counts that cannot be are a caller's mistake: they are refused, and the cache stays as it was."""
    cache = KvCache(gpus(32), 2, 2, 20, CAPACITY)
    for tokens in (25, -1):
        with pytest.raises(ValueError, match=f"cannot advance 0 of 24 by {tokens}"):
            cache.advance(tokens)
    cache.advance(20)
    with pytest.raises(ValueError, match="cannot advance 20 of 24 by 5"):
        cache.advance(5)
    for length in (21, -1):
        with pytest.raises(ValueError, match=f"cannot rewind to {length}, 20 tokens are held"):
            cache.rewind(length)
    assert cache.length == 20
    with pytest.raises(ValueError, match="dtype must be float32 or float16, got float64"):
        KvCache(gpus(32), 2, 2, 20, CAPACITY, "float64")


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_known_mistake_gives_other_answers_or_counts(mistake):
    """A script on which a usual mistake makes no difference would prove nothing."""
    plan = [
        ("append", 0, 5),
        ("rewind", 0, 4),
        ("append", 0, 2),
        ("fork", 0, None),
        ("append", 0, 2),
        ("append", 1, 1),
        ("append", 0, 1),
    ]
    exact, allowed, books = expected(rows(plan))
    answers, counted = MISTAKES[mistake](rows(plan))
    far = ~(np.abs(answers - exact) <= 8 * allowed)  # NaN, a row that nobody wrote, is far too
    assert far.any() or (counted != books).any()
