"""A sample of the generic mutants, always the same one: each is killed, or listed as equivalent."""

from __future__ import annotations

from functools import partial

import pytest

from tests.strength.farm import Farm
from tests.strength.judge import OPTIONS, Judge, specs_of
from tests.strength.survivors import SOLUTION, all_mutants, equivalents, sample

SIZE, SEED = 12, 2026
LISTED = equivalents()
SAMPLE = [mutant for mutant in sample(SIZE, SEED, all_mutants()) if mutant.id not in LISTED]


@pytest.fixture(scope="module")
def verdicts(request):
    """mutant's id → its verdict, for those that are asked for."""
    wanted = [
        item.callspec.params["mutant"]
        for item in request.session.items
        if item.path == request.path and "verdicts" in item.fixturenames
    ]
    specs = sorted({str(SOLUTION / spec) for mutant in wanted for spec in specs_of(mutant.file)})
    judge = Judge()
    with Farm([*specs, *OPTIONS], {m.id: partial(judge, mutant=m) for m in wanted}) as farm:
        yield farm


@pytest.mark.parametrize("mutant", SAMPLE, ids=lambda mutant: mutant.place)
def test_a_generic_mutant_is_killed(verdicts, mutant):
    verdict = verdicts[mutant.id]
    assert verdict.state != "survived", f"no spec notices {mutant.place}\n  id: {mutant.id}"
