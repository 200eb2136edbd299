"""The spec of sample. Sources: the rules of sampling (order, ties, sums); Fan et al. (top-k, 2018), Holtzman et al. (top-p,
2020), Nguyen et al. (min-p, 2024)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from conftest import WIDTHS
from metal.tensor import Gpu
from milestones.m3.argsort import Argsort
from milestones.m3.sample import Sample
from milestones.m3.softmax import Softmax
from reference.argsort import argsort
from reference.compare import assert_same
from reference.golden import load
from reference.philox import uniform
from reference.sample import draw, keep

LEVEL = 1e-3  # a right sampler fails a χ² test at this level once in a thousand choices of seed; the seeds are fixed


def order_of(p):
    return argsort(torch.from_numpy(p)[None])[0].numpy().astype(np.uint32)


def run(gpu, p, order=None, **options):
    """(ids, weights, counts), the order being the probabilities' own unless one is given."""
    order = order_of(p) if order is None else np.uint32(order)
    drawn = Sample(gpu)(gpu.tensor(p), gpu.tensor(order), **options)
    gpu.sync()
    return drawn.ids.numpy(), drawn.weights.numpy(), drawn.counts.numpy().tolist()


P = np.float32([0.125, 0.5, 0.125, 0.25])


def test_top_k_keeps_exactly_k_and_a_tie_at_the_cutoff_goes_to_the_lower_id(gpu):
    """Ids 0 and 2 are equal; with k = 3 only the lower one is kept."""
    assert run(gpu, P, top_k=3)[1].tolist() == [0.125, 0.5, 0, 0.25]
    assert [run(gpu, P, top_k=k)[2][0] for k in (1, 2, 3, 4, 5, 0)] == [1, 2, 3, 4, 4, 4]


@pytest.mark.parametrize(
    ("top_p", "kept"), [(0.01, 1), (0.5, 1), (0.51, 2), (0.75, 2), (0.76, 3), (0.875, 3), (0.88, 4), (1.0, 4)], ids=str
)
def test_top_p_keeps_the_token_that_crosses_p_and_none_after(gpu, top_p, kept):
    """The smallest set whose sum reaches p: a sum equal to p is enough. All sums of P are exact."""
    _, weights, counts = run(gpu, P, top_p=top_p)
    assert np.flatnonzero(weights).tolist() == sorted([1, 3, 0, 2][:kept]) and counts[1] == kept


def test_top_p_is_taken_of_what_top_k_left(gpu):
    """Of the first two's 0.75, 0.6 is 0.45: the first reaches it. Of everything it would take two."""
    assert run(gpu, P, top_k=2, top_p=0.6)[2] == [2, 1, 1]
    assert run(gpu, P, top_p=0.6)[2] == [4, 2, 2]


def test_min_p_is_a_part_of_the_largest_and_keeps_what_equals_it(gpu):
    assert run(gpu, P, min_p=0.5)[1].tolist() == [0, 0.5, 0, 0.25]
    assert run(gpu, P, min_p=0.25)[2][2] == 4
    assert run(gpu, P, min_p=1.0)[1].tolist() == [0, 0.5, 0, 0]
    assert run(gpu, np.float32([0.25] * 4), min_p=1.0)[2][2] == 4, "all are as likely as the likeliest"


def test_all_three_in_their_order(gpu):
    """k = 3 leaves 0.875; p = 0.9 of that needs 0.7875, so three; min-p = 0.3 of 0.5 then cuts the 0.125."""
    assert run(gpu, P, top_k=3, top_p=0.9, min_p=0.3)[2] == [3, 3, 2]


def test_without_filters_everything_is_kept_and_order_is_not_looked_at(gpu):
    drawn = Sample(gpu)(gpu.tensor(P))
    gpu.sync()
    assert drawn.weights.numpy().tolist() == P.tolist() and drawn.counts.numpy().tolist() == [4, 4, 4]


def test_the_draw_walks_ascending_ids_whatever_their_rank(gpu):
    """u × total falls into the running sums 0.125, 0.625, 0.75, 1 of ids 0, 1, 2, 3."""
    ids = run(gpu, P, draws=400, seed=3)[0]
    sums = np.cumsum(P)
    assert ids.tolist() == [int(np.searchsorted(sums, uniform(3, step), side="right")) for step in range(400)]
    assert set(ids.tolist()) == {0, 1, 2, 3}


def case(seed, n, zeros=False):
    """Probabilities with ties; some exactly zero, at the ends too."""
    rng = np.random.default_rng(seed)
    p = rng.integers(1, 9, n).astype(np.float32) ** 3
    if zeros and n > 2:
        p[rng.random(n) < 0.4] = 0
        p[0] = p[n - 1] = 0
        p[n // 2] = 1
    return p / p.sum()


filters = {
    "top_k": st.one_of(st.just(0), st.integers(1, 70)),
    "top_p": st.one_of(st.just(1.0), st.floats(0.001953125, 1, width=32)),
    "min_p": st.one_of(st.just(0.0), st.floats(0, 1, width=32)),
}


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 120),
    zeros=st.booleans(),
    key=st.integers(0, 2**64 - 1),
    step=st.integers(0, 2**64 - 8),
    width=st.sampled_from(WIDTHS),
    **filters,
)
@example(seed=0, n=1, zeros=False, key=0, step=0, width=32, top_k=1, top_p=0.5, min_p=1.0)
@example(seed=0, n=70, zeros=True, key=2**64 - 1, step=2**32 - 4, width=64, top_k=0, top_p=1.0, min_p=0.0)
@example(seed=4, n=33, zeros=False, key=1, step=2**32 - 1, width=32, top_k=40, top_p=0.5, min_p=0.0)
def test_kernel_and_reference_agree_bit_for_bit(gpus, seed, n, zeros, key, step, width, top_k, top_p, min_p):
    """Weights and draws, for any filters, seed and step; steps beyond 32 bits too."""
    p = case(seed, n, zeros)
    options = {"top_k": top_k, "top_p": top_p, "min_p": min_p}
    ids, weights, counts = run(gpus(width), p, seed=key, step=step, draws=7, **options)
    expected = keep(p, order_of(p), **options)
    assert_same(weights, expected, what="weights")
    assert ids.tolist() == [draw(expected, uniform(key, step + i)) for i in range(7)]
    assert counts[2] == np.count_nonzero(expected) <= counts[1] <= counts[0]


@pytest.mark.parametrize("n", [1023, 1024, 1025, 49152], ids="n{}".format)
@pytest.mark.parametrize("options", [{}, {"top_p": 0.9}, {"top_k": 700, "min_p": 0.05}], ids=str)
def test_a_whole_vocabulary_agrees_bit_for_bit(gpu, n, options):
    """Long float32 sums, where any other order of additions would give other bits."""
    p = np.random.default_rng(n).lognormal(sigma=2, size=n).astype(np.float32)
    p /= p.sum()
    ids, weights, _ = run(gpu, p, draws=3, seed=n, **options)
    expected = keep(p, order_of(p), **options)
    assert_same(weights, expected)
    assert ids.tolist() == [draw(expected, uniform(n, step)) for step in range(3)]


def test_a_token_of_probability_zero_is_never_drawn(gpus):
    """Not at the beginning, in the middle or at the end; nor one too small for a fast-math device to see."""
    p = np.float32([0, 1e-44, 0.5, 0, 0.5, 1e-44, 0])
    assert set(run(gpus(32), p, draws=3000)[0].tolist()) == {2, 4}


def test_if_rounding_lets_no_sum_exceed_the_last_kept_token_is_drawn(gpus):
    """A u of 1 − 2⁻²⁴ and one token: u × total rounds to just below total, or to total itself."""
    seed, step = next((s, i) for s in range(64) for i in range(2**14) if uniform(s, i) > 1 - 2.0**-14)
    for p in (np.float32([1.0, 0]), np.float32([0.1] * 10 + [0, 0])):
        last = int(np.flatnonzero(p)[-1])
        assert run(gpus(32), p, seed=seed, step=step)[0].tolist() == [last]


def p_value(counts, p, draws):
    """Of Pearson's χ² test: the chance that a right sampler strays so far or farther."""
    expected = p[p > 0].astype(np.float64) / p.sum(dtype=np.float64) * draws
    assert expected.min() >= 5, "χ² needs at least five expected in every cell"
    statistic = ((counts[p > 0] - expected) ** 2 / expected).sum()
    return float(torch.special.gammaincc(torch.tensor((expected.size - 1) / 2.0), torch.tensor(statistic / 2)))


@pytest.mark.parametrize("options", [{}, {"top_k": 20}, {"top_p": 0.8}, {"min_p": 0.1}], ids=str)
def test_a_hundred_thousand_draws_follow_the_distribution(gpus, options):
    """χ² at the level 10⁻³; what is cut is never drawn. The same counts against a slightly other distribution are refuted."""
    p = np.random.default_rng(5).lognormal(size=60).astype(np.float32)
    p /= p.sum()
    ids, weights, _ = run(gpus(448), p, draws=100_000, seed=2024, **options)
    counts = np.bincount(ids, minlength=p.size)
    assert counts[weights == 0].sum() == 0
    assert p_value(counts, weights, 100_000) > LEVEL
    other = weights.copy()
    other[np.argmax(other)] *= 1.2
    assert p_value(counts, other, 100_000) < 1e-6, "the test above could not tell a flaw of 20% in one token"


def test_draws_of_one_seed_are_independent_of_each_other(gpus):
    """χ² over pairs of neighbouring draws: a counter used twice, or words handed on, would show."""
    p = np.float32([0.4, 0.3, 0.2, 0.1])
    ids = run(gpus(64), p, draws=100_000, seed=7)[0].astype(np.int64)
    pairs = np.bincount(ids[:-1:2] * 4 + ids[1::2], minlength=16)
    assert p_value(pairs, np.outer(p, p).ravel().astype(np.float32), 50_000) > LEVEL


def test_draws_with_neighbouring_seeds_are_independent():
    p = np.full(64, 1 / 64, np.float32)
    pairs = np.zeros(64, np.int64)
    gpu = Gpu(width=32)  # without checks: two thousand dispatches that differ in nothing but their seed
    for seed in range(2000):
        pairs[run(gpu, p, seed=seed)[0]] += 1
    assert p_value(pairs, p, 2000) > LEVEL


def test_one_dispatch_of_many_draws_equals_many_of_one(gpus):
    p = case(9, 50)
    together = run(gpus(64), p, draws=40, seed=1, step=5)[0].tolist()
    assert together == [int(run(gpus(256), p, seed=1, step=5 + i)[0][0]) for i in range(40)]


def test_the_filters_equal_transformers_processors(gpus):
    """Softmax, argsort and sample together; the fixture's logits are all distinct, so no tie straddles a cutoff."""
    gpu, golden = gpus(256), load(Path(__file__).parent / "golden", "sample")
    cut = 0
    for number, (temperature, top_k, top_p, min_p) in enumerate(golden["settings"].tolist()):
        for logits, expected in zip(golden["logits"], golden[f"case{number}"], strict=True):
            row = gpu.tensor(logits[None])
            p = Softmax(gpu)(row, temperature=temperature).reshape(logits.size)
            order = Argsort(gpu)(row).reshape(logits.size)
            drawn = Sample(gpu)(p, order, top_k=int(top_k), top_p=top_p, min_p=min_p)
            gpu.sync()
            weights = drawn.weights.numpy()
            assert (np.flatnonzero(weights) == np.flatnonzero(expected)).all(), (temperature, top_k, top_p, min_p)
            assert np.abs(weights / weights.sum(dtype=np.float64) - expected).max() < 1e-5
            cut += int((expected == 0).sum())
    assert cut > 5000, "a fixture that cuts nothing proves nothing"


def test_a_misfit_is_named_before_launch(gpus):
    gpu = gpus(256)
    op, p, order = Sample(gpu), gpu.tensor(P), gpu.tensor(order_of(P))
    for options, message in [
        ({"top_k": -1}, "top_k must be 0"),
        ({"top_p": 0.0}, "top_p must be above 0"),
        ({"top_p": 1.5}, "at most 1, got 1.5"),
        ({"min_p": -0.1}, "min_p must be from 0 to 1"),
        ({"min_p": float("nan")}, "min_p must be from 0 to 1"),
        ({"seed": 2**64}, "seed must be from 0"),
        ({"step": -1}, "cannot draw 1 from step -1"),
        ({"draws": 0}, "cannot draw 0"),
    ]:
        with pytest.raises(ValueError, match=message):
            op(p, order, **options)
    with pytest.raises(ValueError, match="top-k, top-p and min-p need `order`"):
        op(p, top_k=2)
    with pytest.raises(ValueError, match=r"order has shape \(3,\), p has \(4,\)"):
        op(p, gpu.tensor(np.uint32([0, 1, 2])))
    with pytest.raises(ValueError, match="p must be float32, got uint32"):
        op(order)
