"""The spec of sample_top: the k largest logits without a sort of them all, and the draw of m3's sampler, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import examples
from metal import health
from metal.source import SOLUTION, find
from milestones.errors import UserError
from milestones.m3.sampler import Sampler, Settings
from milestones.m6.sample_top import SampleTop
from milestones.m6.sampler import FastSampler
from reference.compare import assert_close, assert_same
from reference.diagnosis import watched
from reference.mistakes.sample_top import MISTAKES
from reference.philox import uniform
from reference.sample import draw, keep
from reference.sample_top import sample_top
from reference.softmax import softmax
from reference.symptoms import untouched
from reference.tolerance import softmax_bound

SETTINGS: list[dict] = [
    {},
    {"temperature": 1.0, "top_k": 500},
    {"temperature": 0.8, "repeat_penalty": 1.3, "top_k": 40, "top_p": 0.9, "min_p": 0.01, "seed": 7},
]


ANOTHER_NAN = np.uint32(0x7FC00001).view(np.float32)  # the last bit of its payload is set


@pytest.fixture(scope="module")
def wide(whole_gpu):
    """A device at width 1024, the order of sums in which m3's softmax and this one are the same to the bit."""
    return health.spec_gpu(1024, checks="off")


@watched("sample_top")
def run(gpu, logits, top_k, temperature=0.8):
    """The k largest columns in order, uint32 (k)."""
    return chosen(gpu, logits, top_k=top_k, temperature=temperature)[1]


def chosen(gpu, logits, **settings):
    """(id, the k largest columns in order, their probabilities)."""
    got = SampleTop(gpu)(gpu.tensor(logits), **settings)
    gpu.sync()
    assert got.told or untouched(got.numpy()).all(), "the candidates must fit here"
    count = min(settings["top_k"], logits.shape[1])
    return got.id, got.order.numpy()[:count].copy(), got.p.numpy()[:count].copy()


def expected(logits, top_k, temperature=0.8):
    """None: which logits are the largest is no matter of rounding."""
    return sample_top(torch.from_numpy(logits), top_k)[0].numpy().astype(np.uint32)


def assert_probabilities(p, order, logits, temperature):
    """The whole row's softmax at these columns, within its bound."""
    whole = softmax(torch.from_numpy(logits), temperature).numpy()
    assert_close(p, whole[0, order], softmax_bound(logits, whole, temperature)[0, order])


def drawn(n, seed=0):
    """Normal logits rounded to eighths: many are equal, at the cutoff too; zeros of both signs among them."""
    rows = np.round(np.random.default_rng(n + seed).standard_normal((1, n)) * 24) / 8
    return rows.astype(np.float32)


def test_a_row_worked_by_hand(gpu):
    """Of two that are equal the lower column comes first; the third place goes to it too."""
    logits = np.float32([[1, 3, -2, 3, 0.5, 1]])
    assert run(gpu, logits, 3).tolist() == [1, 3, 0]
    p = chosen(gpu, logits, top_k=2, temperature=1.0)[2]
    assert p == pytest.approx([0.4238, 0.4238], abs=1e-4)


def test_the_last_bit_of_a_logit_counts(gpus):
    """Of two that are next to each other the larger one comes first, be they above 0 or below."""
    for value in (1.0, -1.0):
        logits = np.float32([[value, np.nextafter(np.float32(value), np.float32(9))]])
        assert_same(run(gpus(64), logits, 1), expected(logits, 1))


@pytest.mark.parametrize("n", [31, 33, 1023, 1025, 5000])
def test_the_largest_are_those_of_a_whole_sort(gpus, n):
    """Rows of one column, shorter than there are threads, and longer; more asked for than there are."""
    for size, k in ((n, 1), (n, 2), (n, 40), (n, 512), (1, 3)):
        assert_same(run(gpus(64), drawn(size), k), expected(drawn(size), k))


@pytest.mark.parametrize("column", [31, 32, 1023])
def test_one_that_stands_out_is_the_only_candidate(gpus, column):
    """Whichever thread looks at it. All others are equal: were they candidates too, there would be no room for them."""
    logits = np.zeros((1, 5000), np.float32)
    logits[0, column] = 1
    assert_same(run(gpus(64), logits, 1), expected(logits, 1))


def test_zeros_of_both_signs_are_equal(gpus):
    """-0 and +0 are one value, so the lower column counts, as in m3's argsort."""
    logits = np.float32([[-1, 0.0, -0.0, 0.0, -0.0, -3]])
    assert run(gpus(32), logits, 4).tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.0])
def test_probabilities_are_those_of_the_whole_row(gpus, temperature):
    """Not renormalised over the k: top-p and min-p do not need it, and the draw takes its own sum. The largest logit may
    be 0, or far below it."""
    for logits in (drawn(3000), drawn(3000) - drawn(3000).max(), drawn(3000) - 300):
        p = chosen(gpus(256), logits, top_k=50, temperature=temperature)[2]
        assert_probabilities(p, expected(logits, 50), logits, temperature)


@examples(20)
@given(
    n=st.sampled_from([1, 5, 300, 2000]),
    seed=st.integers(0, 99),
    top_k=st.integers(1, 60),
    top_p=st.sampled_from([1.0, 0.9, 0.5, 1e-6]),
    min_p=st.sampled_from([0.0, 0.1, 1.0]),
    step=st.sampled_from([0, 1, 2**32 - 1, 2**40]),
)
@example(n=300, seed=0, top_k=60, top_p=0.9, min_p=0.0, step=5)
@example(n=2000, seed=0, top_k=5, top_p=0.9, min_p=0.0, step=2)  # three are left; another sum or order draws another id
def test_the_draw_is_the_references_for_any_settings(gpus, n, seed, top_k, top_p, min_p, step):
    """Cuts in their order, float32 sums in ascending id, the first that exceeds: from the very probabilities of the kernel,
    which are the reference's within their bound."""
    logits = drawn(n, seed)
    cuts = {"top_k": top_k, "top_p": top_p, "min_p": min_p}
    id_, order, p = chosen(gpus(64), logits, temperature=0.7, seed=seed, step=step, **cuts)
    assert_same(order, expected(logits, top_k))
    assert_probabilities(p, order, logits, 0.7)
    row = np.zeros(n, np.float32)
    row[order] = p
    weights = keep(row, order.tolist(), len(order), top_p, min_p)
    wanted = draw(weights, uniform(seed, step))
    assert id_ == wanted, f"the cuts or the draw are not the reference's: {id_} is drawn, not {wanted}"


def test_what_is_drawn_must_exceed(gpus):
    """512 tokens of 1/512 each: this seed's u is 248/512, which the sum of the first 248 reaches and does not exceed."""
    logits = np.zeros((1, 512), np.float32)
    id_, order, _ = chosen(gpus(64), logits, top_k=512, temperature=1.0, seed=6592)
    assert_same(order, expected(logits, 512))
    assert id_ == 248, f"{id_} is drawn"


def test_a_sum_that_is_what_top_p_asks_for_reaches_it(gpus):
    """Of four quarters a top-p of 1/2 leaves two: u, 248/512, falls on the first of them, and would on the second of three."""
    logits = np.zeros((1, 4), np.float32)
    id_, order, _ = chosen(gpus(64), logits, top_k=4, temperature=1.0, top_p=0.5, seed=6592)
    assert_same(order, expected(logits, 4))
    assert id_ == 0, f"{id_} is drawn"


def test_min_p_cuts_what_is_too_far_below_the_largest(gpus):
    """Of 4/7, 2/7 and 1/7 the last two are 1/2 and 1/4 of the largest; u, 938/1024, falls on the last that is left."""
    logits = np.log(np.float32([[4, 2, 1]]))
    for min_p, last in ((0.0, 2), (0.2, 2), (0.3, 1), (0.6, 0)):
        id_, order, _ = chosen(gpus(64), logits, top_k=3, temperature=1.0, min_p=min_p, seed=141040)
        assert_same(order, expected(logits, 3))
        assert id_ == last, f"{id_} is drawn with min-p of {min_p}"


def made_by(sampler):
    """What the kernel left for the sampler's last choice."""
    return sampler._sample_top._top


@pytest.mark.parametrize("settings", SETTINGS, ids=["greedy", "top-k", "penalty and all cuts"])
def test_the_fast_sampler_chooses_as_m3s_does(wide, settings):
    """The same ids and the same log-probabilities, step after step: greedy, with a penalty, with all cuts."""
    fast, plain = (kind(wide, 5000, Settings(**settings)) for kind in (FastSampler, Sampler))
    found = []
    for step in range(8):
        logits = wide.tensor(drawn(5000, step))
        found.append(fast.choose(logits, [1, 5, 4999], step))
        assert made_by(fast).told, "the choice must be sample_top's own, not m3's"
        assert found[-1] == plain.choose(logits, [1, 5, 4999], step)
    assert len({choice.id for choice in found}) > 2


def test_log_probabilities_are_m3s_for_unlikely_tokens_too(wide):
    """An exp and a quotient, each one place (2⁻²³) off at most: of one lane alone, or divided where m3 multiplies by the
    inverse, they differ from m3's in the last bit for a token in ten. The shipped kernel's are m3's to the bit."""
    shipped = find("m6", "sample_top.metal").is_relative_to(SOLUTION)
    for n in (31, 511, 5000):
        fast, plain = (kind(wide, n, Settings(temperature=1.3, top_k=512, seed=3)) for kind in (FastSampler, Sampler))
        rows = np.random.default_rng(n).standard_normal((40, 1, n)).astype(np.float32)
        found = [[sampler.choose(wide.tensor(row), [], step) for step, row in enumerate(rows)] for sampler in (fast, plain)]
        assert [choice.id for choice in found[0]] == [choice.id for choice in found[1]]
        assert made_by(fast).told and len({choice.id for choice in found[0]}) > 10
        ours, m3s = ([choice.logprob for choice in choices] for choices in found)
        assert ours == pytest.approx(m3s, rel=0, abs=0.0 if shipped else 2.0**-22)


def test_a_row_of_one_value_goes_m3s_way(wide):
    """Every column is then a candidate for the k largest, more than there is room for: the choice is right all the same."""
    logits = wide.tensor(np.full((1, 5000), 2.0, np.float32))
    settings = Settings(temperature=1.0, top_k=3, seed=1)
    fast, plain = (kind(wide, 5000, settings) for kind in (FastSampler, Sampler))
    assert [fast.choose(logits, [], step).id for step in range(5)] == [plain.choose(logits, [], step).id for step in range(5)]
    assert made_by(fast).numpy()[3] == 5000, "candidates"


def test_the_last_candidate_that_there_is_room_for_counts(gpus):
    """2,048 columns reach the threshold, 0, among them 511 of 1: the second columns of the lanes that come last."""
    columns = np.arange(2048)
    logits = np.float32((columns > 1024 + 16) & (columns % 32 >= 16))[None]
    assert_same(run(gpus(64), logits, 512), expected(logits, 512))


def test_a_top_p_of_1_cuts_nothing(gpus):
    """Not even tokens that add nothing to the sum, as e⁻¹⁸ = 1.52e-8 to 1: 511 of these come before the likeliest one, and
    u = 1.07e-6 falls on the 71st of them."""
    logits = np.full((1, 512), -18, np.float32)
    logits[0, 511] = 0
    id_, order, _ = chosen(gpus(64), logits, top_k=512, temperature=1.0, seed=195477)
    assert_same(order, expected(logits, 512))
    assert id_ == 70, f"{id_} is drawn"


def test_a_logit_that_is_no_number_is_refused(gpus):
    """A damaged model must not look like text."""
    gpu = gpus(64)
    for value in (np.nan, np.inf, -np.inf, ANOTHER_NAN):
        logits = drawn(2000)
        logits[0, [5, 210, 211, 1234]] = value  # 210 and 1234 are the same thread's
        sampler = FastSampler(gpu, 2000, Settings(temperature=1.0, top_k=5))
        with pytest.raises(UserError, match="4 logits of 2000 that are NaN or infinite"):
            sampler.choose(gpu.tensor(logits), [], 0)
        assert made_by(sampler).nonfinite == 4, "sample_top must see it itself"


def test_a_logit_that_the_penalty_makes_infinite_is_refused(gpus):
    """As m3's sampler does."""
    logits, gpu = drawn(2000), gpus(64)
    logits[0, 1234] = 3e38
    sampler = FastSampler(gpu, 2000, Settings(temperature=1.0, top_k=5, repeat_penalty=0.5))
    with pytest.raises(UserError, match="1 logits of 2000 that are NaN or infinite with the penalty"):
        sampler.choose(gpu.tensor(logits), [1234], 0)
    assert made_by(sampler).nonfinite == 1, "sample_top must see it itself"


def test_what_is_asked_for_again_is_drawn_for_its_own_step(gpus):
    """The settings are written once and only the step after that, unless something else was asked for in between: the draws of
    steps one after the other are those of steps in turns. A step out of range is refused then, too."""
    gpu = gpus(64)
    op, row = SampleTop(gpu), gpu.tensor(drawn(300))

    def one(step, top_p):
        made = op(row, top_k=60, temperature=0.9, top_p=top_p, seed=3, step=step)
        gpu.sync()
        assert_same(made.numpy()[2:3], np.uint32([0]))
        return made.id

    steps = [*range(8), 2**32, 2**64 - 1]
    after_another = {(step, top_p): one(step, top_p) for top_p in (0.9, 1.0) for step in steps}
    by_turns = {(step, top_p): one(step, top_p) for step in steps for top_p in (0.9, 1.0)}
    assert after_another == by_turns and len(set(by_turns.values())) > 4
    for step in (2**64, -1):
        with pytest.raises(ValueError, match="is not from 0 to 2⁶⁴"):
            one(step, 1.0)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_known_mistakes_show_on_these_inputs(mistake):
    """What a spec's inputs cannot tell apart, it cannot refuse."""
    rows = (drawn(3000), np.float32([[0.0, -1.0, -0.0, 0.0]]))
    assert any((MISTAKES[mistake](row, 40) != expected(row, 40)).any() for row in rows)


def test_what_cannot_be_run_is_refused_in_words(gpus):
    """More than 512 would leave too many candidates."""
    gpu = gpus(64)
    for top_k in (0, 513):
        with pytest.raises(ValueError, match="sample_top: top_k must be from 1 to 512"):
            SampleTop(gpu)(gpu.tensor(drawn(5)), top_k=top_k, temperature=1.0)
    with pytest.raises(ValueError, match="sample_top: logits must have shape"):
        SampleTop(gpu)(gpu.tensor(drawn(5)[0]), top_k=1, temperature=1.0)
