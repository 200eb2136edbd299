"""The spec of sample. Sources: the rules of sampling (order, ties, sums); Fan et al. (top-k, 2018), Holtzman et al. (top-p,
2020), Nguyen et al. (min-p, 2024)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import WIDTHS, examples
from metal.tensor import Gpu
from milestones.m3.argsort import Argsort
from milestones.m3.sample import Sample
from milestones.m3.softmax import Softmax
from reference.argsort import argsort
from reference.compare import assert_same
from reference.diagnosis import watched
from reference.golden import load
from reference.mistakes.sample import MISTAKES
from reference.philox import uniform
from reference.sample import draw, keep

LEVEL = 1e-3  # a right sampler fails a χ² test at this level once in a thousand choices of seed; the seeds are fixed


def order_of(p):
    return argsort(torch.from_numpy(p)[None])[0].numpy().astype(np.uint32)


@watched("sample")
def run(gpu, p, order=None, **options):
    """(ids, weights, counts), the order being the probabilities' own unless one is given."""
    order = order_of(p) if order is None else np.uint32(order)
    drawn = Sample(gpu)(gpu.tensor(p), gpu.tensor(order), **options)
    gpu.sync()
    return drawn.ids.numpy(), drawn.weights.numpy(), drawn.counts.numpy().tolist()


def expected(p, *, seed=0, step=0, draws=1, **filters):
    """No error at all: sums are added up in a stated order, in float32, so kernel and reference agree bit for bit."""
    weights = keep(p, order_of(p), **filters)
    return [draw(weights, uniform(seed, step + i)) for i in range(draws)], weights


def counted(ids, n):
    """How often each of n ids was drawn. What is no id must not be counted, nor make a histogram of four billion cells."""
    assert ids.max() < n, f"id {ids.max()} was drawn from {n} tokens (0xCDCDCDCD is what nobody has written)"
    return np.bincount(ids, minlength=n)


P = np.float32([0.125, 0.5, 0.125, 0.25])


def test_top_k_keeps_exactly_k_and_a_tie_at_the_cutoff_goes_to_the_lower_id(gpu):
    """Ids 0 and 2 are equal; with k = 3 only the lower one is kept."""
    assert_same(run(gpu, P, top_k=3)[1], np.float32([0.125, 0.5, 0, 0.25]), what="weights")
    assert [run(gpu, P, top_k=k)[2][0] for k in (1, 2, 3, 4, 5, 0)] == [1, 2, 3, 4, 4, 4]


@pytest.mark.parametrize(
    ("top_p", "kept"), [(0.01, 1), (0.5, 1), (0.51, 2), (0.75, 2), (0.76, 3), (0.875, 3), (0.88, 4), (1.0, 4)], ids=str
)
def test_top_p_keeps_the_token_that_crosses_p_and_none_after(gpu, top_p, kept):
    """The smallest set whose sum reaches p: a sum equal to p is enough. All sums of P are exact."""
    _, weights, counts = run(gpu, P, top_p=top_p)
    assert_same(weights, np.where(np.isin(range(4), [1, 3, 0, 2][:kept]), P, np.float32(0)), what="weights")
    assert counts[1] == kept


def test_top_p_is_taken_of_what_top_k_left(gpu):
    """Of the first two's 0.75, 0.6 is 0.45: the first reaches it. Of everything it would take two."""
    _, weights, counts = run(gpu, P, top_k=2, top_p=0.6)
    assert_same(weights, np.float32([0, 0.5, 0, 0]), what="weights")
    assert counts == [2, 1, 1]
    assert run(gpu, P, top_p=0.6)[2] == [4, 2, 2]


def test_min_p_is_a_part_of_the_largest_and_keeps_what_equals_it(gpu):
    """0.5 of 0.5 is 0.25, which stays; it is no threshold by itself, and has nothing to do with the least likely."""
    assert_same(run(gpu, P, min_p=0.5)[1], np.float32([0, 0.5, 0, 0.25]), what="weights")
    assert run(gpu, P, min_p=0.25)[2][2] == 4
    assert_same(run(gpu, P, min_p=1.0)[1], np.float32([0, 0.5, 0, 0]), what="weights")
    assert run(gpu, np.float32([0.25] * 4), min_p=1.0)[2][2] == 4, "all are as likely as the likeliest"


def test_all_three_in_their_order(gpu):
    """k = 3 leaves 0.875; p = 0.9 of that needs 0.7875, so three; min-p = 0.3 of 0.5 then cuts the 0.125."""
    _, weights, counts = run(gpu, P, top_k=3, top_p=0.9, min_p=0.3)
    assert_same(weights, np.float32([0, 0.5, 0, 0.25]), what="weights")
    assert counts == [3, 3, 2]


def test_without_filters_everything_is_kept_and_order_is_not_looked_at(gpu):
    """Sorting costs more than drawing: without filters there is no order to be had."""
    drawn = Sample(gpu)(gpu.tensor(P))
    gpu.sync()
    assert_same(drawn.weights.numpy(), P, what="weights")
    assert drawn.counts.numpy().tolist() == [4, 4, 4]


def test_the_draw_walks_ascending_ids_whatever_their_rank(gpu):
    """u × total falls into the running sums 0.125, 0.625, 0.75, 1 of ids 0, 1, 2, 3."""
    ids = run(gpu, P, draws=400, seed=3)[0]
    sums = np.cumsum(P)
    assert_same(ids, np.uint32([np.searchsorted(sums, uniform(3, step), side="right") for step in range(400)]), what="ids")
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


BITING = [  # probabilities and options with which every known mistake gives another result
    (P, {"top_k": 3}),
    (P, {"top_k": 2, "top_p": 0.6}),
    (P, {"top_p": 0.75}),
    (P, {"top_p": 0.6, "draws": 40, "seed": 2**40 + 3, "step": 2**32 - 20}),
    (P, {"min_p": 0.5, "draws": 40, "step": 2**35}),
    (P, {"top_k": 3, "min_p": 0.3}),
    (np.float32([0.4, 0.3, 0.2, 0.1]), {"top_p": 0.7, "top_k": 3, "min_p": 0.6}),
    (np.float32([0.4, 0.3, 0.2, 0.1]), {"top_p": 0.72, "min_p": 0.6}),
    (np.float32([0, 1e-44, 0.5, 0, 0.5]), {"draws": 9, "min_p": 0.25, "step": 14883995}),
    (P, {"draws": 9, "step": 11864871}),
    (np.float32([0, 1e-44, 0.5, 0, 0.5]), {"draws": 9}),
    (np.float32([0, 2.0**-126, 0]), {"step": 38471471}),
    (np.float32([1e-11, 0.25, 0.25, 0.5]), {"step": 14883995}),
]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_known_mistakes_show_on_these_inputs(mistake):
    """What a spec's inputs cannot tell apart, it cannot refuse: each known mistake gives other weights or ids here."""
    for p, options in BITING:
        ids, weights = expected(p, **options)
        wrong_ids, wrong_weights, counts = MISTAKES[mistake](p, **options)
        left = [min(options.get("top_k") or p.size, p.size), top_p_of(p, options), np.count_nonzero(weights)]
        if wrong_ids.tolist() != ids or (wrong_weights != weights).any() or counts.tolist() != left:
            return
    raise AssertionError(f"these inputs do not tell: {mistake}")


def top_p_of(p, options):
    """How many tokens are left after top-k and top-p (P's and the others' probabilities are far above the subnormals)."""
    kept = keep(p, order_of(p), **{name: value for name, value in options.items() if name in ("top_k", "top_p")})
    return p.size if not options.keys() & {"top_k", "top_p"} else np.count_nonzero(kept)


@pytest.mark.parametrize("number", range(len(BITING)), ids="case{}".format)
def test_inputs_that_tell_mistakes_apart(gpu, number):
    """Small cases, each of them the smallest that some mistake gets wrong."""
    p, options = BITING[number]
    ids, weights, counts = run(gpu, p, **options)
    assert_same(weights, expected(p, **options)[1], what="weights")
    assert ids.tolist() == expected(p, **options)[0]
    assert counts == [min(options.get("top_k") or p.size, p.size), top_p_of(p, options), np.count_nonzero(weights)]


def kept(weights, counts):
    """Which tokens are left: those with a weight, as many as the last count says."""
    assert not np.isnan(weights).any() and counts[2] == np.count_nonzero(weights), "weights and counts do not fit"
    return weights > 0


@examples(20)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 90),
    ks=st.tuples(st.integers(1, 95), st.integers(1, 95)).map(sorted),
    ps=st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)).map(sorted),
    ms=st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted),
    width=st.sampled_from(WIDTHS),
)
def test_a_looser_filter_keeps_all_that_a_tighter_one_keeps(gpus, seed, n, ks, ps, ms, width):
    """The survivors of a larger k, a larger p and a smaller min-p hold the other's; the likeliest always survives."""
    gpu, p = gpus(width), case(seed, n)
    for tight, loose in (
        ({"top_k": ks[0]}, {"top_k": ks[1]}),
        ({"top_p": ps[0]}, {"top_p": ps[1]}),
        ({"min_p": ms[1]}, {"min_p": ms[0]}),
    ):
        few, many = (kept(*run(gpu, p, **options)[1:]) for options in (tight, loose))
        assert not (few & ~many).any(), f"{tight} keeps what {loose} cuts"
        assert few[np.argmax(p)] and p[few].min() >= p[~few].max(initial=0), f"{tight} does not keep the likeliest"


@examples(20)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 120),
    top_k=st.integers(0, 130),
    top_p=st.floats(0.01, 0.99),
    width=st.sampled_from(WIDTHS),
)
def test_the_survivors_sum_reaches_p_and_not_without_the_last(gpus, seed, n, top_k, top_p, width):
    """The definition of top-p, checked in float64 on what came out: a sum of n float32 additions errs by at most n ε."""
    p = case(seed, n)
    weights, counts = run(gpus(width), p, top_k=top_k, top_p=top_p)[1:]
    assert counts[0] == min(top_k or n, n)
    kept, slack = np.sort(weights[weights > 0].astype(np.float64)), 2 * n * 2.0**-23
    wanted = top_p * np.sort(p.astype(np.float64))[n - counts[0] :].sum()
    assert kept.sum() >= wanted * (1 - slack), "the survivors do not reach p of what top-k left"
    assert kept[1:].sum() <= wanted * (1 + slack), "they would reach p without the least likely of them"


@pytest.mark.parametrize("seed", [0, 7, 2**63 + 1], ids="seed{}".format)
def test_a_seed_draws_the_same_at_every_width_and_on_the_reference(gpus, seed):
    """A text can be written again, on any device, from its seed."""
    p = case(31, 300)
    ids = expected(p, seed=seed, draws=60, top_p=0.9)[0]
    assert len(set(ids)) > 10, "one token again and again proves little"
    for width in WIDTHS:
        assert_same(run(gpus(width), p, seed=seed, draws=60, top_p=0.9)[0], np.uint32(ids), what=f"ids at width {width}")


filters = {
    "top_k": st.one_of(st.just(0), st.integers(1, 70)),
    "top_p": st.one_of(st.just(1.0), st.floats(0.001953125, 1, width=32)),
    "min_p": st.one_of(st.just(0.0), st.floats(0, 1, width=32)),
}


@examples(60)
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
    right_ids, right = expected(p, seed=key, step=step, draws=7, **options)
    assert_same(weights, right, what="weights")
    assert ids.tolist() == right_ids
    assert counts[2] == np.count_nonzero(right) <= counts[1] <= counts[0]


@pytest.mark.parametrize("n", [1023, 1024, 1025], ids="n{}".format)
@pytest.mark.parametrize("options", [{}, {"top_p": 0.9}, {"top_k": 700, "min_p": 0.05}], ids=str)
def test_long_sums_agree_bit_for_bit(gpu, n, options):
    """As many tokens as threads, one fewer, one more; in float32, where any other order of additions would give other bits."""
    check_long_sums(gpu, n, options)


@pytest.mark.parametrize("width", [64, 832], ids="width{}".format)
@pytest.mark.parametrize("options", [{}, {"top_p": 0.9}, {"top_k": 700, "min_p": 0.05}], ids=str)
def test_a_whole_vocabulary_agrees_bit_for_bit(gpus, width, options):
    """As many tokens as the default model has."""
    check_long_sums(gpus(width), 49152, options)


def check_long_sums(gpu, n, options):
    p = np.random.default_rng(n).lognormal(sigma=2, size=n).astype(np.float32)
    p /= p.sum()
    ids, weights, _ = run(gpu, p, draws=3, seed=n, **options)
    right_ids, right = expected(p, seed=n, draws=3, **options)
    assert_same(weights, right, what="weights")
    assert ids.tolist() == right_ids


def test_a_token_of_probability_zero_is_never_drawn(gpus):
    """Not at the beginning, in the middle or at the end; nor one too small for a fast-math device to see."""
    p = np.float32([0, 1e-44, 0.5, 0, 0.5, 1e-44, 0])
    ids, weights, counts = run(gpus(32), p, draws=3000)
    assert_same(weights, np.float32([0, 0, 0.5, 0, 0.5, 0, 0]), what="weights")
    assert set(ids.tolist()) == {2, 4} and counts[2] == 2


@pytest.mark.parametrize(
    ("step", "u", "p", "drawn"),
    [
        (14883995, 0, [0, 0, 0.5, 0.5], 2),  # the sum 0 of ids 0 and 1 does not exceed 0
        (
            14883995,
            0,
            [1e-11, 0.25, 0.25, 0.5],
            0,
        ),  # u has 24 bits: the word's other eight, if they counted, would lead past id 0
        (11864871, 1 / 8, [0.125, 0, 0.125, 0.75], 2),  # nor does 1/8, at ids 0 and 1, exceed 1/8
        (38471471, 1 - 2.0**-24, [0.1] * 10 + [0, 0], 9),  # as close to 1 as u comes
        (38471471, 1 - 2.0**-24, [0, 2.0**-126, 0], 1),  # u × total rounds to total, or is flushed to 0: the last kept one
    ],
    ids=["zero", "zero_of_24_bits", "an_eighth", "almost_one", "rounded"],
)
def test_a_sum_that_equals_u_times_total_does_not_exceed_it(gpu, step, u, p, drawn):
    """Draws of seed 0 in which u is such a number (found among some 40 million): at u = 0, ≥ would draw a token that is cut."""
    assert uniform(0, step) == u, "the reference is wrong"
    ids, weights, _ = run(gpu, np.float32(p), step=step)
    assert_same(ids, np.uint32([drawn]), what="ids")
    assert weights[drawn] > 0


def test_the_largest_subnormal_counts_as_nothing_and_the_smallest_normal_as_itself(gpu):
    """At u = 0 whatever has a weight is drawn first: of these two the second, whether a device flushes subnormals or not."""
    p = np.uint32([0x007FFFFF, 0x00800000]).view(np.float32)
    ids, weights, _ = run(gpu, np.append(p, np.float32(0.5)), step=14883995)
    assert_same(ids, np.uint32([1]), what="ids")
    assert_same(weights.view(np.uint32)[:2], np.uint32([0, 0x00800000]), what="weights")


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
    counts = counted(ids, p.size)
    assert counts[weights == 0].sum() == 0
    assert p_value(counts, weights, 100_000) > LEVEL
    other = weights.copy()
    other[np.argmax(other)] *= 1.2
    assert p_value(counts, other, 100_000) < 1e-6, "the test above could not tell a flaw of 20% in one token"


def test_draws_of_one_seed_are_independent_of_each_other(gpus):
    """χ² over pairs of neighbouring draws: a counter used twice, or words handed on, would show."""
    p = np.float32([0.4, 0.3, 0.2, 0.1])
    ids = run(gpus(64), p, draws=100_000, seed=7)[0].astype(np.int64)
    counted(ids, 4)
    pairs = counted(ids[:-1:2] * 4 + ids[1::2], 16)
    assert p_value(pairs, np.outer(p, p).ravel().astype(np.float32), 50_000) > LEVEL


def test_draws_with_neighbouring_seeds_are_independent():
    """People number their seeds 1, 2, 3: their first draws must not be neighbours too."""
    p = np.full(64, 1 / 64, np.float32)
    pairs = np.zeros(64, np.int64)
    gpu = Gpu(width=32)  # without checks: two thousand dispatches that differ in nothing but their seed
    for seed in range(2000):
        pairs[run(gpu, p, seed=seed)[0]] += 1
    assert p_value(pairs, p, 2000) > LEVEL


def test_one_dispatch_of_many_draws_equals_many_of_one(gpus):
    """Draw i of a dispatch is the draw of step + i: how many are asked for at once changes no text."""
    p = case(9, 50)
    together = run(gpus(64), p, draws=40, seed=1, step=5)[0]
    assert_same(together, np.uint32(expected(p, draws=40, seed=1, step=5)[0]), what="ids")
    assert together.tolist() == [int(run(gpus(256), p, seed=1, step=5 + i)[0][0]) for i in range(40)]


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
