"""What a wrong output is taken for: each symptom on an output that has it, and none on rounding or on what is right."""

from __future__ import annotations

import numpy as np
import pytest

from reference import diagnosis
from reference.compare import Mismatch, assert_close
from reference.diagnosis import calls, diagnose, watched
from reference.symptoms import NOTHING, Seen, general, poison, untouched

WANT = np.random.default_rng(1).normal(0, 1, (70, 40)).astype(np.float32)
INTEGERS = np.random.default_rng(2).integers(0, 1000, (6, 9)).astype(np.uint32)


POISON = poison(np.float32)


def made(change) -> np.ndarray:
    got = WANT.copy()
    change(got)
    return got


@pytest.fixture(autouse=True)
def no_calls():
    calls.clear()
    yield
    calls.clear()


SYMPTOMS = {
    "nothing": (made(lambda a: a.fill(POISON)), NOTHING),
    "last rows": (made(lambda a: a[31:].fill(POISON)), "row 31 and up untouched: tail threads, or too few of them?"),
    "last columns": (made(lambda a: a[:, 32:].fill(POISON)), "column 32 and up of every row untouched"),
    "last elements": (made(lambda a: a.reshape(-1)[2500:].fill(POISON)), "element 2500 and up untouched"),
    "holes": (made(lambda a: a[::2, 3].fill(POISON)), "35 of 2800 elements untouched, the first at [0, 3]"),
    "nan": (made(lambda a: a[2:].fill(np.nan)), "the kernel computed NaN or ∞ for 2720 of 2800 elements, the first at [2, 0]"),
    "zeros": (np.zeros_like(WANT), "every element is 0"),
    "row 0": (np.tile(WANT[:1], (70, 1)), "every row is row 0's result"),
    "shifted": (np.roll(WANT, 1, axis=1), "shifted by one along axis 1"),
    "shifted rows": (np.roll(WANT, -1, axis=0), "shifted by one along axis 0"),
    "reversed": (WANT[::-1, ::-1].copy(), "in reverse order"),
    "transposed": (WANT.T.reshape(WANT.shape), "transposed"),
    "sign": (-WANT, "with the other sign"),
    "factor": (WANT * 3, "every element is 3 times what it should be"),
    "constant": (WANT + 2, "every element is off by the same 2"),
    "row factors": (WANT * np.arange(2, 72, dtype=np.float32)[:, None], "each row is off by a factor of its own"),
    "half": (WANT.astype(np.float16).astype(np.float32), "off by rounding only"),
    "rows of threadgroup 1": (made(lambda a: a[2:].sort(axis=1)), "correct until row 2, the first of threadgroup 1"),
    "elements of threadgroup 1": (made(lambda a: a.reshape(-1)[64:].sort()), "correct until element 64, the first of"),
}  # fmt: skip


def test_the_poison_is_what_tensors_are_filled_with(gpus):
    """reference/ imports nothing of metal/: the pattern stands in both, and must be one."""
    for dtype in (np.float32, np.float16, np.uint32):
        assert untouched(gpus(32).empty((3,), dtype).numpy()).all()
    assert not untouched(np.float32([np.nan, 0])).any()


@pytest.mark.parametrize("symptom", SYMPTOMS)
def test_a_symptom_is_named(symptom):
    got, words = SYMPTOMS[symptom]
    (sentence,) = general(Seen(got, WANT, width=64))
    assert words in sentence


def test_integers_have_symptoms_too():
    poisoned = INTEGERS.copy()
    poisoned[4:] = 0xCDCDCDCD
    assert general(Seen(poisoned, INTEGERS)) == ["row 4 and up untouched: tail threads, or too few of them?"]
    assert general(Seen(INTEGERS[:, ::-1].copy(), INTEGERS)) == ["the right values in another order"]
    assert general(Seen(np.full_like(INTEGERS, 0xCDCDCDCD), INTEGERS)) == [NOTHING]


def test_an_output_that_is_the_input_is_known():
    given = np.random.default_rng(3).normal(0, 1, WANT.size).astype(np.float32)
    assert general(Seen(given.reshape(WANT.shape), WANT, inputs=[given])) == ["the output equals input 0, unchanged"]


@pytest.mark.filterwarnings("error")
def test_a_row_of_zeros_says_nothing_of_factors():
    """As in embed_rows' case by hand: its row 0 is zeros."""
    want = np.float32([[1, 2, 3], [0, 0, 0], [1, 2, 3]])
    got = want * np.float32([[2], [1], [3]])
    assert [sentence[:40] for sentence in general(Seen(got, want))] == ["each row is off by a factor of its own: "]
    assert general(Seen(np.float32([[1, 2, 9], [0, 0, 0], [9, 2, 3]]), want)) == []


def test_noise_has_no_diagnosis():
    """A guess that is always made would teach nothing."""
    noise = np.random.default_rng(4).normal(0, 1, WANT.shape).astype(np.float32)
    assert general(Seen(noise, WANT, width=64)) == []


def test_a_known_mistake_is_named_before_a_symptom():
    """The last call's inputs go through each known mistake of the op."""

    @watched("add")
    def run(gpu, a, b):
        return a.copy()

    a, b = WANT[0], WANT[1]
    with pytest.raises(Mismatch) as caught:
        assert_close(run(None, a, b), a + b, 1e-6)
    sentences = diagnose(caught.value)
    assert sentences and all(s.startswith("the output equals") for s in sentences), sentences


def test_a_mistake_that_the_input_does_not_tell_from_the_right_output_is_not_named():
    @watched("add")
    def run(gpu, a, b):
        return a + b

    run(None, WANT[0], np.zeros_like(WANT[0]))
    assert diagnosis.known(calls[-1], WANT[0]) == []


def test_inputs_are_kept_as_they_were_before_the_kernel_ran():
    @watched("add")
    def run(gpu, a, b):
        a += b
        return a

    a = WANT[0].copy()
    run(None, a, WANT[1])
    assert (calls[-1].arguments[0] == WANT[0]).all() and (calls[-1].result == WANT[0] + WANT[1]).all()


def test_what_went_in_is_told_by_name():
    @watched("get_rows")
    def run(gpu, table, ids, kind):
        return table[ids]

    run(None, WANT, [1, 0, 1], "F32")
    assert calls[-1].inputs() == f"table float32 [{len(WANT)}, {len(WANT[0])}], ids [1, 0, 1]"
