"""The spec of sample_wide: m3's cuts and draw, bit for bit, without a sort. Source: the rules of m3's sampler."""

from __future__ import annotations

from itertools import accumulate, product

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import WIDTHS, examples
from metal import health
from milestones.errors import UserError
from milestones.m3.sampler import Sampler, Settings
from milestones.m6.sample_wide import SampleWide
from milestones.m6.sampler import FastSampler
from reference.argsort import argsort
from reference.compare import assert_close, assert_same
from reference.diagnosis import watched
from reference.mistakes.sample_wide import MISTAKES
from reference.philox import uniform
from reference.sample import draw, keep
from reference.sample_wide import sample_wide
from reference.softmax import softmax
from reference.symptoms import untouched
from reference.tolerance import softmax_bound

SETTINGS: list[dict] = [
    {"temperature": 1.0},
    {"temperature": 0.8, "top_p": 0.9},
    {"temperature": 1.5, "top_p": 0.95, "min_p": 0.001},
    {"temperature": 1.0, "min_p": 0.05},
    {"temperature": 0.9, "top_k": 700},
    {"temperature": 1.2, "repeat_penalty": 1.3, "top_k": 2000, "top_p": 0.97, "min_p": 0.01},
]


@pytest.fixture(scope="module")
def wide(whole_gpu):
    """A device at width 1024, the order of sums in which m3's softmax and this one are the same to the bit."""
    return health.spec_gpu(1024, checks="off")


def chosen(gpu, logits, **settings):
    """(the id, the weights)."""
    got = SampleWide(gpu, logits.shape[1])(gpu.tensor(logits), **{"temperature": 1.0, **settings})
    gpu.sync()
    assert got.told or untouched(got.numpy()).all(), "there must be few stretches here"
    return got.id, got.weights.numpy().copy()


@watched("sample_wide")
def run(gpu, logits, **settings):
    """The weights, float32 (n)."""
    return chosen(gpu, logits, **settings)[1]


def expected(p, logits, **cuts):
    """No error at all: float32 sums of the probabilities, in the order that is said."""
    return keep(p, order_of(logits), **cuts)


def order_of(logits):
    return argsort(torch.from_numpy(logits))[0].tolist()


def uncut(logits, temperature=1.0):
    """(1, n) probabilities, and softmax's bound for them: cuts are then taken of the kernel's own, float32 for float32."""
    whole = softmax(torch.from_numpy(logits), temperature).numpy()
    return whole, softmax_bound(logits, whole, temperature)


def drawn(n, seed=0, spread=2.0):
    """Normal logits; every seventh column equals the one before it, and there are zeros of both signs."""
    row = (np.random.default_rng(n + seed).standard_normal(n) * spread).astype(np.float32)
    row[1::7] = row[::7][: len(row[1::7])]
    row[3::50], row[4::50] = 0.0, -0.0
    return row[None]


def test_a_row_worked_by_hand(gpu):
    """Weights 1 : 2 : 4 : 4, 4/11 = 0.364 each of the last two: one reaches 0.3, and it is the lower id; both reach 0.7.
    Of two that top-k leaves, one is half. Min-p of 0.3 is 0.109."""
    logits = np.log(np.float32([[1, 2, 4, 4]]))
    for cuts, elevenths in (
        ({"top_p": 0.3}, [0, 0, 4, 0]),
        ({"top_p": 0.7}, [0, 0, 4, 4]),
        ({"top_p": 0.75}, [0, 2, 4, 4]),
        ({"top_k": 2, "top_p": 0.45}, [0, 0, 4, 0]),
        ({"min_p": 0.3}, [0, 2, 4, 4]),
        ({"top_k": 3, "min_p": 0.3}, [0, 2, 4, 4]),
        ({"top_k": 3, "min_p": 0.75}, [0, 0, 4, 4]),
    ):
        assert_close(run(gpu, logits, **cuts), np.float32(elevenths) / 11, 1e-6, what=f"weights by {cuts}")


def test_sums_that_are_powers_of_two(gpu):
    """Four quarters, whose sums are exactly what top-p asks for, and leave a float's interval: 1/4, 1/2, 3/4, 1. All logits may
    be below 0."""
    for top_p, left in ((0.25, 1), (0.26, 2), (0.5, 2), (0.51, 3), (0.75, 3), (0.76, 4)):
        quarters = np.float32([0.25] * left + [0.0] * (4 - left))
        for level in (0.0, -3.0):
            logits = np.full((1, 4), level, np.float32)
            assert_same(run(gpu, logits, top_p=top_p), quarters, what=f"weights by top-p of {top_p}")


def test_top_k_alone_keeps_what_adds_nothing_to_the_sum(gpus):
    """e⁻¹⁸ is 1.5e-8, less than half a unit of 1."""
    logits = np.full((1, 512), -18, np.float32)
    logits[0, 300] = 0
    p = run(gpus(64), logits)
    assert_close(p[None], *uncut(logits))
    assert_same(run(gpus(64), logits, top_k=400), expected(p, logits, top_k=400))


@pytest.mark.parametrize("n", [1, 31, 33, 1023, 1025, 5000])
def test_top_k_keeps_exactly_k_and_ties_go_to_the_lower_id(gpus, n):
    """Any k, above 512 too: counted, not sorted."""
    gpu, logits = gpus(64), np.round(drawn(n) * 2) / 2
    p = run(gpu, logits)
    assert_close(p[None], *uncut(logits))
    for k in sorted({1, 2, n // 3, n // 2 + 1, n - 1, n, n + 5} - {0}):
        assert_same(run(gpu, logits, top_k=k), expected(p, logits, top_k=k), what=f"weights, k = {k}")


@examples(20)
@given(
    n=st.sampled_from([1, 5, 300, 3000]),
    seed=st.integers(0, 99),
    spread=st.sampled_from([0.5, 2.0, 8.0, 1000.0]),
    heat=st.sampled_from([0.5, 0.7, 1.0, 2.0]),
    top_k=st.sampled_from([0, 1, 40, 600]),
    top_p=st.sampled_from([1.0, 0.9, 0.5, 1e-6, 0.999]),
    min_p=st.sampled_from([0.0, 0.1, 1.0]),
    step=st.sampled_from([0, 1, 2**32 - 1, 2**40]),
    width=st.sampled_from(WIDTHS),
)
@example(n=3000, seed=0, spread=0.5, heat=1.0, top_k=0, top_p=0.9, min_p=0.0, step=5, width=1024)  # past the head
@example(n=3000, seed=1, spread=2.0, heat=1.0, top_k=600, top_p=0.9, min_p=0.0, step=2, width=448)
@example(n=300, seed=0, spread=2.0, heat=0.5, top_k=0, top_p=0.9, min_p=0.0, step=0, width=64)
@example(n=3000, seed=2, spread=2.0, heat=2.0, top_k=0, top_p=1.0, min_p=0.0, step=7, width=32)
def test_cuts_and_draw_are_the_references_for_any_settings(gpus, n, seed, spread, heat, top_k, top_p, min_p, step, width):
    """Cuts in their order, float32 sums, the draw over the kept ones in ascending id: from the kernel's own probabilities."""
    logits, cuts = drawn(n, seed, spread), {"top_k": top_k, "top_p": top_p, "min_p": min_p}
    p = run(gpus(width), logits, temperature=heat)
    assert_close(p[None], *uncut(logits, heat))
    weights = expected(p, logits, **cuts)
    assert_same(run(gpus(width), logits, temperature=heat, **cuts), weights)
    id_ = chosen(gpus(width), logits, temperature=heat, seed=seed, step=step, **cuts)[0]
    wanted = draw(weights, uniform(seed, step))
    assert id_ == wanted, f"the draw is not the reference's: {id_} is drawn, not {wanted}"


@pytest.mark.parametrize("spread", [0.3, 1.5, 4.0])
def test_top_ps_sums_are_right_to_the_last_bit(gpus, spread):
    """p is a running sum over the whole, and its neighbours: a sum that is off by one unit keeps one token more or fewer."""
    gpu, logits = gpus(64), drawn(2500, 3, spread)
    p = run(gpu, logits)
    assert_close(p[None], *uncut(logits))
    sums = list(accumulate(p[i] for i in order_of(logits)))
    for rank in (0, 1, 2, 5, 17, 60, 200, 500, 900, 1300, 1800, 2200):
        share = np.float32(sums[rank] / sums[-1])
        for top_p in (np.nextafter(share, np.float32(0)), share, np.nextafter(share, np.float32(1))):
            cut = {"top_p": min(float(top_p), 1.0)}
            assert_same(run(gpu, logits, **cut), expected(p, logits, **cut), what=f"weights, the sum's end at rank {rank}")


def drawn_right(gpu, logits, seed):
    """The reference's draw from the kernel's own probabilities, which must be the kernel's."""
    p = run(gpu, logits)
    assert_close(p[None], *uncut(logits))
    id_, wanted = chosen(gpu, logits, seed=seed)[0], draw(expected(p, logits), uniform(seed, 0))
    assert id_ == wanted, f"the draw is not the reference's: {id_} is drawn, not {wanted}"
    return wanted


@pytest.mark.parametrize("seed", [4, 8, 9])  # halves lie in the way
def test_a_draw_adds_up_to_the_last_bit(gpus, seed):
    """One logit is moved, float by float in the end, to where the draw falls to another id: there u · total is within a few
    units of a running sum, so that a sum which is off by one draws the wrong id on one side or the other."""
    logits = drawn(3000, seed)
    low, high = (int(np.float32(value).view(np.uint32)) for value in (0.5, 9.0))  # as integers, positive floats are in order
    logits[0, 100] = 0.5
    begin = drawn_right(gpus(64), logits, seed)
    while high - low > 1:
        middle = (low + high) // 2
        logits[0, 100] = np.uint32(middle).view(np.float32)
        low, high = (low, middle) if drawn_right(gpus(64), logits, seed) - begin else (middle, high)


def test_what_is_drawn_must_exceed(gpus):
    """1,024 tokens of 1/1024 each: this seed's u is 496/1024, which the sum of the first 496 reaches and does not exceed.
    Behind 16 of no weight these end where a strip of 256 columns does."""
    for begin in (0, 16):
        logits = np.full((1, 1024 + begin), -1000, np.float32)
        logits[0, begin:] = 0
        id_, weights = chosen(gpus(64), logits, seed=6592)
        assert_same(weights, np.float32([0] * begin + [1 / 1024] * 1024))
        assert id_ == begin + 496, f"{id_} is drawn"


@pytest.mark.parametrize("column", [8191, 8192, 8447, 8448, 8999])
def test_rows_of_more_than_32_strips(gpus, column):
    """A lane looks at a second strip of 256 columns for the draw. None of the others is likely to be drawn: e⁻⁴⁰."""
    logits = np.full((1, 9000), -40, np.float32)
    logits[0, column] = 0
    id_, weights = chosen(gpus(64), logits)
    assert_close(weights[None], *uncut(logits))
    assert id_ == column, f"{id_} is drawn"


@pytest.mark.parametrize(("n", "columns"), [(65, range(65)), (1024, [1000])])
def test_the_likeliest_token_may_be_in_any_column(gpus, n, columns):
    """The SIMD-groups share the columns, and those of the head: none may lie between two shares."""
    for width, column in product((32, 64), columns):
        logits = np.full((1, n), -3, np.float32)
        logits[0, column] = 0
        p = run(gpus(width), logits)
        assert_close(p[None], *uncut(logits))
        for cut in ({"top_p": 1e-6}, {"min_p": 0.5}, {"top_k": 1}, {"top_k": n - 1, "min_p": 0.5}):
            what = f"weights by {cut}, the likeliest in column {column}"
            assert_same(run(gpus(width), logits, **cut), expected(p, logits, **cut), what=what)


@pytest.mark.parametrize("first", [0.0624, 1e-9])
def test_a_strip_of_weights_far_above_the_sum_before_it(gpus, first):
    """The sum is just below 2⁻¹², and each of the next strip's 256 weights sixteen times that: in units of the sum more than 32
    bits hold. Or below 2⁻³⁷, and one weight alone is."""
    logits = np.full((1, 512), -1000, np.float32)
    logits[0, 0], logits[0, 256:] = np.log(first), 0
    for seed in range(3):
        assert drawn_right(gpus(64), logits, seed) >= 256


@pytest.mark.parametrize("depth", [70.0, 73.0, 80.0, 87.0])
def test_many_very_unlikely_tokens_before_the_likeliest_one_are_not_drawn(gpus, depth):
    """Their sum is as small as 2⁻¹²⁵, and its unit's inverse no float any more: the likeliest token added nothing to it."""
    logits = (np.random.default_rng(0).standard_normal((1, 1024)) / 100 - depth).astype(np.float32)
    logits[0, 700] = 0.0
    for seed in range(3):
        assert drawn_right(gpus(64), logits, seed) == 700


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda s: " ".join(f"{k}={v}" for k, v in s.items()))
def test_the_fast_sampler_chooses_as_m3s_does(wide, settings):
    """The same ids and the same log-probabilities, step after step, and the same weights."""
    fast, plain = (kind(wide, 5000, Settings(seed=7, **settings)) for kind in (FastSampler, Sampler))
    found = []
    for step in range(6):
        logits = wide.tensor(drawn(5000, step))
        found.append(fast.choose(logits, [1, 5, 4999], step))
        made = fast._sample_wide._wide
        assert made.told, "the choice must be sample_wide's own, not m3's"
        assert found[-1] == plain.choose(logits, [1, 5, 4999], step)
        assert_same(made.weights.numpy(), plain._kernels.drawn.weights.numpy())
    assert len({choice.id for choice in found}) > 2


@pytest.mark.parametrize("settings", [{}, {"min_p": 1e-38}], ids=["uncut", "min-p"])
def test_what_is_below_the_smallest_normal_number_counts_as_0(wide, settings):
    """The second probability is e^-87.3 by a sum that the third logit moves: float by float in the end, until it lies on both
    sides of 2⁻¹²⁶, which itself is still a weight, as in m3."""
    fast, plain = (kind(wide, 3, Settings(temperature=1.0, **settings)) for kind in (FastSampler, Sampler))
    logits = np.float32([[0.0, -87.3, 0.0]])
    low, high = (int(np.float32(value).view(np.uint32)) for value in (1.0, 10.0))  # as integers, positive floats are in order
    while high - low > 1:
        middle = (low + high) // 2
        logits[0, 2] = -np.uint32(middle).view(np.float32)
        assert fast.choose(wide.tensor(logits), [], 0) == plain.choose(wide.tensor(logits), [], 0)
        weights = plain._kernels.drawn.weights.numpy()
        assert_same(fast._sample_wide._wide.weights.numpy(), weights)
        low, high = (low, middle) if weights[1] > 0 else (middle, high)


def test_a_recording_is_replayed_with_the_settings_of_the_call(gpus):
    """The same tensor of logits at every step, as in a loop: its numbers and the settings are those of now. A call that nobody
    has waited for is waited for, since its settings are written over."""
    gpu = gpus(64)
    op, held = SampleWide(gpu, 300), gpu.tensor(drawn(300))
    for step, top_p in enumerate((0.5, 0.9, 1.0, 0.3)):
        logits = drawn(300, step)
        held.numpy()[:] = logits
        p = run(gpu, logits)
        assert_close(p[None], *uncut(logits))
        syncs = gpu.syncs
        op(held, temperature=1.0, top_p=0.1, min_p=0.5)
        made = op(held, temperature=1.0, top_p=top_p, seed=9, step=step)
        assert gpu.syncs > syncs, "the first call must be waited for"
        gpu.sync()
        weights = expected(p, logits, top_p=top_p)
        assert_same(made.weights.numpy(), weights)
        assert made.id == draw(weights, uniform(9, step))


def test_a_row_of_which_the_sums_cannot_be_told_goes_m3s_way(wide):
    """All probabilities are 1/8193, 2⁻¹³ − 2⁻²⁶: half a unit off while the sum is between a quarter and a half, 2,048 times."""
    logits = wide.tensor(np.full((1, 8193), 2.0, np.float32))
    fast, plain = (kind(wide, 8193, Settings(temperature=1.0, top_p=0.9, seed=1)) for kind in (FastSampler, Sampler))
    assert fast.choose(wide.tensor(drawn(8193)), [], 0) == plain.choose(wide.tensor(drawn(8193)), [], 0)
    assert fast._held is None, "a megabyte each: m3's kernels are made ready where they are needed"
    assert [fast.choose(logits, [], step).id for step in range(5)] == [plain.choose(logits, [], step).id for step in range(5)]
    assert fast._sample_wide._wide.numpy()[3] == 1 and fast._held is not None, "it must say so"


@pytest.mark.parametrize("top_p", [0.9, 1 - 2**-24])
def test_more_stretches_than_there_is_room_for_are_told(gpus, top_p):
    """The same row, and nothing past the 64 is written; or read, where they do not reach what is wanted."""
    gpu = gpus(64)
    made = SampleWide(gpu, 8193)(gpu.tensor(np.full((1, 8193), 2.0, np.float32)), temperature=1.0, top_p=top_p)
    gpu.sync()
    assert_same(made.numpy()[3:], np.uint32([1]))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_logit_that_is_no_number_is_refused(gpus, value):
    """A damaged model must not look like text."""
    logits, gpu = drawn(2000), gpus(64)
    logits[0, [5, 210, 211, 1234]] = value
    sampler = FastSampler(gpu, 2000, Settings(temperature=1.0, top_p=0.9))
    with pytest.raises(UserError, match="4 logits of 2000 that are NaN or infinite"):
        sampler.choose(gpu.tensor(logits), [], 0)
    assert sampler._sample_wide._wide.nonfinite == 4, "sample_wide must see it itself"


@pytest.mark.parametrize("mistake", MISTAKES)
def test_known_mistakes_show_on_these_inputs(mistake):
    """What a spec's inputs cannot tell apart, it cannot refuse."""
    cases = [(drawn(300, seed), c) for seed in (0, 1) for c in ({"top_k": 40, "top_p": 0.9, "min_p": 0.1}, {"min_p": 0.3})]
    cases += [(np.round(row), cuts) for row, _ in cases for cuts in ({"top_k": 9, "min_p": 0.01, "top_p": 0.6}, {"top_k": 9})]
    right = [sample_wide(torch.from_numpy(row), 0.7, **cuts) for row, cuts in cases]
    wrong = [MISTAKES[mistake](row, temperature=0.7, **cuts) for row, cuts in cases]
    assert any(not np.allclose(a, b, rtol=1e-3) for a, b in zip(wrong, right, strict=True))


def test_what_cannot_be_run_is_refused_in_words(gpus):
    gpu = gpus(64)
    with pytest.raises(ValueError, match=r"sample_wide: logits must have shape \(1, 5\), not \(1, 6\)"):
        SampleWide(gpu, 5)(gpu.tensor(drawn(6)), temperature=1.0)
    for name, value in (("top_k", -1), ("top_p", 0.0), ("min_p", 2.0), ("seed", -1)):
        with pytest.raises(ValueError, match=f"sample_wide: (the )?{name}.* {value}"):
            SampleWide(gpu, 5)(gpu.tensor(drawn(5)), **{"temperature": 1.0, name: value})
