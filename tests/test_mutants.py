"""The catalogue of mutants is whole: each applies to the shipped file, names a test that there is, and there are enough."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from metal.source import SOLUTION
from tests.strength.mutants import mutants

MUTANTS = mutants()
MILESTONES = ("m0", "m1", "m2", "m3", "m4", "m5", "m6", "m7")


@pytest.mark.parametrize("milestone", MILESTONES)
def test_a_milestone_has_at_least_twelve(milestone):
    assert sum(m.milestone == milestone for m in MUTANTS) >= 12


def test_there_are_a_hundred_and_no_two_have_one_name():
    assert len(MUTANTS) >= 100
    assert Counter(m.id for m in MUTANTS).most_common(1)[0][1] == 1


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.id)
def test_a_mutant_applies_and_names_a_test_that_there_is(mutant):
    assert mutant.text() != mutant.old and mutant.diagnosis.strip() and mutant.mistake.endswith(".")
    file, _, test = mutant.test.partition("::")
    spec = (SOLUTION / mutant.milestone / file).read_text()
    assert re.search(rf"^\s*def {test.rpartition('::')[2]}\(", spec, re.MULTILINE) or "TestCase" in spec, mutant.test
