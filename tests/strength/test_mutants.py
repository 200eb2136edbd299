"""Every named mutant fails the test that must catch it, and the failure says what the mistake is."""

from __future__ import annotations

from functools import partial

import pytest

from tests.strength.conftest import within
from tests.strength.farm import Farm
from tests.strength.mutants import OPTIONS, mutants, specs, verdict

MUTANTS = mutants()


@pytest.fixture(scope="module")
def verdicts(request, in_time):
    """mutant → what its spec said, for those that are asked for."""
    wanted = [
        item.callspec.params["mutant"]
        for item in request.session.items
        if item.path == request.path and "verdicts" in item.fixturenames
    ]
    jobs = {m.id: partial(verdict, mutant=m) for m in wanted if not m.unproved}
    with Farm([*specs(wanted), *OPTIONS], jobs, in_time=in_time) as farm:
        yield farm


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.id)
def test_a_mutant_is_caught_by_its_test(verdicts, mutant):
    if mutant.unproved:
        pytest.skip(f"not run here: {mutant.unproved}")
    problem = within(verdicts[mutant.id])
    assert not problem, f"{mutant.mistake}\n{problem}"
