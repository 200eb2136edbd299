"""The spec of the loop: what is fed, at which position, how often; what is chosen, and when it ends.

The model here is a toy: its logits are a row of a fixed table, picked by a checksum of the tokens and positions that it has
met. The rows that a cache keeps for it are the checksum's terms, so a token that is missing, stale or misplaced changes them.
"""

from __future__ import annotations

import math
from itertools import islice

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import examples
from milestones.errors import UserError
from milestones.m1.config import LlamaConfig
from milestones.m3.sampler import Settings
from milestones.m7.loop import Loop
from reference.compare import assert_same
from reference.diagnosis import watched
from reference.loop import VOCABULARY, checksum, loop, table
from reference.mistakes.loop import MISTAKES, choose

TABLE = table()
PROMPT = [5, 17, 36, 3, 3, 30, 8]
LONG = [int(i) for i in np.random.default_rng(3).integers(1, VOCABULARY, 258)]  # two whole chunks of 128, and two more


class Toy:
    """One layer, one head of one element, equal scores: attention gives the mean of the values, the tokens' checksum terms."""

    def __init__(self, gpu):
        self._gpu, self.logits = gpu, TABLE.copy()
        self.config = LlamaConfig(1, 1, 1, 1, 1, 1, 1e4, 1e-5, context=300, vocabulary=VOCABULARY)
        self.fed, self.sizes = [], []  # (position, id) of every token; tokens of each pass
        self.fails = False

    def forward(self, ids, attend=None, *, start=0):
        tokens = list(enumerate(ids, start))
        self.fed += tokens
        self.sizes.append(len(tokens))
        terms = [checksum([token]) for token in tokens]
        if attend is None:
            total = sum(terms)
        else:
            values, zeros = (self._gpu.tensor(np.float32(a).reshape(-1, 1, 1)) for a in (terms, np.zeros(len(terms))))
            out = attend(0, zeros, zeros, values, self._gpu.empty((len(terms), 1, 1)))
            self._gpu.sync()
            if self.fails:
                raise KeyboardInterrupt
            total = round(float(out.numpy()[-1, 0, 0]) * (start + len(terms)))
        return self._gpu.tensor(self.logits[total % VOCABULARY][None])


def a_loop(gpu, capacity=64, cached=True, **chosen_by):
    return Loop(gpu, Toy(gpu), settings=Settings(**chosen_by), capacity=capacity, cached=cached)


@watched("loop")
def run(gpu, prompt, limit, capacity=64, cached=True, **chosen_by):
    """The ids chosen, and (position, id) of every token that the model was fed, in order."""
    made = a_loop(gpu, capacity, cached, **chosen_by)
    ids = [choice.id for choice in made.generate(prompt, limit)]
    return np.array(ids), np.array(made._model.fed)


def following(ids, prompt, temperature=0.0, seed=0, repeat_penalty=1.0):
    """The token after `ids`, computed from the whole context: its number among those drawn is the count of generated ones."""
    logits = TABLE[checksum(list(enumerate(ids))) % VOCABULARY]
    return choose(logits, ids, len(ids) - len(prompt), temperature, seed, repeat_penalty)


def expected(prompt, limit, capacity=64, cached=True, **chosen_by):
    """The loop itself computes no numbers, so nothing may differ: the same ids, fed once each at their own positions."""
    chosen = loop(lambda ids: following(ids, prompt, **chosen_by), prompt, limit, capacity)
    whole = [*prompt, *chosen[:-1]]
    lengths = [len(whole)] if cached else range(len(prompt), len(whole) + 1)
    return np.array(chosen), np.array([token for n in lengths for token in enumerate(whole[:n])])


def check(gpu, *arguments, **options):
    chosen, fed = run(gpu, *arguments, **options)
    right_choice, right_feed = expected(*arguments, **options)
    assert_same(fed, right_feed, what="(position, id) of the tokens fed")
    assert_same(chosen, right_choice, what="ids chosen")
    return chosen


@pytest.fixture
def gpu(gpus):
    """The loop owns no kernel: one width is enough."""
    return gpus(64)


def test_three_tokens_worked_by_hand(gpu):
    """Logits whose row c has its largest at id c: the next id is the checksum itself. 5·1 + 2·2 = 9; + 9·3 = 36; + 36·4 = 180,
    of which 180 mod 37 = 32 counts (144 mod 37 = 33; 36 + 33 = 69, and 69 mod 37 = 32). 9 and 36 are fed, 32 need not be."""
    made = a_loop(gpu)
    made._model.logits = np.eye(VOCABULARY, dtype=np.float32) * 9
    assert [choice.id for choice in made.generate([5, 2], 3)] == [9, 36, 32]
    assert made._model.fed == [(0, 5), (1, 2), (2, 9), (3, 36)]


def test_a_token_is_fed_back_before_its_successor(gpu):
    """The prompt in one pass, then each token alone at the next position: n new tokens cost n − 1 decode steps, no more."""
    assert len(set(check(gpu, PROMPT, 12))) > 3, "a run that repeats one token proves little"
    made = a_loop(gpu)
    list(made.generate(PROMPT, 12))
    assert made._model.sizes == [len(PROMPT)] + [1] * 11


def test_one_token_costs_no_decode_step(gpu):
    """The last token is never fed back: nobody asked what follows it."""
    assert len(check(gpu, PROMPT, 1)) == 1
    assert len(check(gpu, [4], 1)) == 1


def test_a_long_prompt_is_fed_in_chunks_that_go_on_where_the_last_one_ended(gpu):
    """Chunks keep Ctrl-C and the progress bar prompt. Only after the last of them is a token chosen."""
    check(gpu, LONG, 4, 300)
    made, told = a_loop(gpu, 300), []
    next(made.generate(LONG, 4, lambda done, total: told.append((done, total))))
    assert max(made._model.sizes) <= 128 and sum(made._model.sizes) == 258
    assert told[-1] == (258, 258) and [done for done, _ in told] == list(np.cumsum(made._model.sizes))


@pytest.mark.parametrize("n", [1, 127, 128, 129, 256])
def test_a_prompt_beside_a_chunks_edge_is_fed_whole(gpu, n):
    """No token twice, none left out, and no empty chunk at the end."""
    check(gpu, LONG[:n], 2, 300)


def test_without_a_cache_everything_is_fed_again_and_the_text_is_the_same(gpu):
    """What the cache is for: p + n − 1 tokens fed with it, p + (p + 1) + … + (p + n − 1) without; the same answer."""
    chosen = check(gpu, PROMPT, 9, cached=False)
    assert_same(check(gpu, PROMPT, 9), chosen)


def test_a_full_context_ends_the_run_after_the_last_token_that_fits(gpu):
    """Capacity c, prompt p: the c − p tokens that are fed back, and one more that was only predicted."""
    for capacity in (7, 8, 10):
        for cached in (True, False):
            assert len(check(gpu, PROMPT, 50, capacity, cached=cached)) == capacity - 7 + 1


def test_a_prompt_over_the_context_is_refused_before_anything_is_computed(gpu):
    """In a user's words, and with the loop as it was: a shorter prompt may follow."""
    for cached in (True, False):
        made = a_loop(gpu, 9, cached)
        with pytest.raises(UserError, match="the prompt is 10 tokens, the context holds 9: shorten the prompt"):
            made.prefill([1] * 10)
        made.prefill(PROMPT)
        with pytest.raises(UserError, match="the prompt is 10 tokens, the context holds 9"):
            next(made.generate([1, 2, 3], 1))
        assert len(made._model.fed) == len(made.ids) == 7 and not made.full


def test_nothing_is_computed_before_it_is_asked_for_or_after_the_consumer_stops(gpu):
    """A caller that sees an end-of-text token or a stop string just stops asking: no step must have been taken ahead."""
    made = a_loop(gpu)
    tokens = made.generate(PROMPT, 50)
    assert not made._model.fed
    three = [choice.id for choice in islice(tokens, 3)]
    tokens.close()
    assert made.ids == [*PROMPT, *three[:2]] and len(made._model.fed) == 9
    assert made.ids == [token for _, token in made._model.fed]


def test_the_choice_carries_the_models_own_log_probability(gpu):
    """Before any setting: the natural log of softmax over the row of logits, and greedy takes its largest."""
    ids = list(PROMPT)
    for choice in a_loop(gpu).generate(PROMPT, 5):
        row = TABLE[checksum(list(enumerate(ids))) % VOCABULARY].astype(np.float64)
        assert choice.id == row.argmax()
        assert choice.logprob == pytest.approx(row[choice.id] - math.log(np.exp(row).sum()), abs=1e-5)
        ids.append(choice.id)


@pytest.mark.parametrize("seed", [3, 4, 2**40 + 1])
def test_each_draw_has_its_own_random_number_and_the_seed_decides(gpu, seed):
    """Draw 0 is the first new token, whatever the prompt's length: the same seed gives the same text, here and elsewhere."""
    chosen = check(gpu, PROMPT, 16, temperature=3.0, seed=seed)
    assert (chosen != expected(PROMPT, 16, temperature=3.0, seed=seed + 1)[0]).any()
    assert len(set(chosen)) > 3


def test_the_repetition_penalty_covers_prompt_and_generated_tokens(gpu):
    """All of the context so far, each token once, however often it is there."""
    chosen = check(gpu, PROMPT, 16, repeat_penalty=4.0)
    assert (chosen != expected(PROMPT, 16)[0]).any(), "a penalty without effect proves little"


@pytest.mark.parametrize("cached", [True, False], ids=["cached", "uncached"])
def test_after_a_rewind_the_forgotten_tokens_are_gone(gpu, cached):
    """The next turn of a conversation goes on from an earlier point: as if what was forgotten had never been said."""
    made = a_loop(gpu, cached=cached)
    list(made.generate(PROMPT, 6))
    made.rewind(4)
    assert made.ids == PROMPT[:4] and not made.full
    got = [choice.id for choice in made.generate([9, 2], 5)]
    assert got == list(expected([*PROMPT[:4], 9, 2], 5)[0])
    for length in (-1, len(made.ids) + 1):
        with pytest.raises(ValueError, match=f"cannot rewind to {length}, {len(made.ids)} tokens are held"):
            made.rewind(length)


def test_prefill_and_step_go_on_from_what_is_there(gpu):
    """Chat feeds each turn after the last one; `step` feeds what it is given, one token or several."""
    made = a_loop(gpu)
    for feed, first, end in ((made.prefill, 0, 2), (made.step, 2, 3), (made.prefill, 3, 5), (made.step, 5, 7)):
        assert feed(PROMPT[first:end]).id == following(PROMPT[:end], [])
    assert made.ids == PROMPT and made._model.fed == list(enumerate(PROMPT))


@pytest.mark.parametrize("cached", [True, False], ids=["cached", "uncached"])
def test_a_fork_goes_its_own_way_with_its_own_draws(gpu, cached):
    """Its next draw has the number that its parent's next draw has; from there neither sees what the other is told."""
    chosen_by = {"temperature": 3.0, "seed": 8}
    parent = a_loop(gpu, cached=cached, **chosen_by)
    got = [choice.id for choice in islice(parent.generate(PROMPT, 9), 4)]
    fork = parent.fork()
    ways = {}
    for made, token in ((parent, 11), (fork, 20), (parent, 12), (fork, 21)):
        ids = [*made.ids, token]
        ways.setdefault(made, []).append(made.step([token]).id)
        assert made.ids == ids
        step = 4 + len(ways[made]) - 1
        row = TABLE[checksum(list(enumerate(ids))) % VOCABULARY]
        assert ways[made][-1] == choose(row, ids, step, 3.0, 8, 1.0)
    assert parent.ids == [*PROMPT, *got[:3], 11, 12] and fork.ids == [*PROMPT, *got[:3], 20, 21]
    assert fork.cache is None or fork.cache is not parent.cache


def test_an_interrupted_step_leaves_the_loop_as_it_was(gpu):
    """Ctrl-C in the middle of a pass: its tokens do not count, and the same step may be tried again."""
    made = a_loop(gpu)
    made.prefill(PROMPT)
    made._model.fails = True
    with pytest.raises(KeyboardInterrupt):
        made.step([4])
    assert made.ids == PROMPT
    made._model.fails = False
    made.rewind(len(PROMPT))
    assert made.step([4]).id == following([*PROMPT, 4], [])


def test_logits_that_are_not_finite_are_reported_not_sampled(gpu):
    """A damaged model's output is no text: it ends in words, not in tokens."""
    made = a_loop(gpu)
    made._model.logits[:, 5] = np.nan
    with pytest.raises(UserError, match="1 logits of 37 that are NaN or infinite"):
        made.prefill(PROMPT)


@examples(20)
@given(
    prompt=st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=70),
    limit=st.integers(1, 8),
    room=st.integers(0, 9),
    temperature=st.sampled_from([0.0, 2.0]),
    seed=st.integers(0, 2**64 - 1),
    repeat_penalty=st.sampled_from([1.0, 3.0]),
)
@example(prompt=[1], limit=1, room=0, temperature=0.0, seed=0, repeat_penalty=1.0)
def test_any_run_equals_computing_everything_anew(gpus, prompt, limit, room, temperature, seed, repeat_penalty):
    """The reference computes each token from the whole context; the loop from what its cache holds."""
    chosen_by = {"temperature": temperature, "seed": seed, "repeat_penalty": repeat_penalty}
    check(gpus(64), prompt, limit, len(prompt) + room, **chosen_by)


RUNS = [
    ((PROMPT, 8), {}),
    ((LONG, 3, 300), {}),
    ((PROMPT, 50, 9), {}),
    ((PROMPT, 12), {"temperature": 3.0, "seed": 4}),
    ((PROMPT, 12), {"repeat_penalty": 4.0}),
]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_known_mistake_feeds_or_chooses_other_tokens(mistake):
    """Runs on which a usual mistake makes no difference would prove nothing."""
    differ = []
    for arguments, options in RUNS:
        try:
            made, right = MISTAKES[mistake](*arguments, **options), expected(*arguments, **options)
        except ValueError:
            continue
        differ += [a.shape != b.shape or (a != b).any() for a, b in zip(made, right, strict=True)]
    assert any(differ)
