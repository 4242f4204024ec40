"""One key that runs twice, in every way to cut a network of four: a sample here, all of it in `make long`."""

import pytest

from tests.simulation import mutants
from tests.simulation.twins import TWIN, enumerate_scenarios, partitions, sample, scenarios

SAMPLE = 60


def test_all_scenarios_are_counted() -> None:
    """Five engines have 15 ways to stand on two sides: 3,375 in three views, 3,600 in two with all leaders."""
    assert len(set(partitions())) == 15
    assert sum(1 for _ in scenarios(3, all_leaders=False)) == 3_375
    assert len({*scenarios(2, all_leaders=True)}) == 3_600
    assert {(TWIN,) * 3} == {scenario.leaders for scenario in scenarios(3, all_leaders=False)}


@pytest.mark.parametrize(("rounds", "all_leaders"), [(3, False), (2, True)])
def test_a_sample_is_safe_and_live(rounds: int, all_leaders: bool) -> None:
    """No fork, no honest validator accused, blocks after the heal; and the twins are found out nearly always."""
    found = enumerate_scenarios(sample(rounds, SAMPLE, all_leaders=all_leaders))

    assert found.violations == []
    assert found.evidence > SAMPLE * 3 // 4


@pytest.mark.parametrize("broken", [mutants.notarize_twice, mutants.nullify_after_finalize], ids=lambda f: f.__name__)
def test_a_broken_rule_is_seen(monkeypatch: pytest.MonkeyPatch, broken: mutants.Mutation) -> None:
    """The enumeration sees a broken guard; a missing justification it cannot, for twins do not lie about theirs."""
    broken(monkeypatch)

    assert enumerate_scenarios(sample(3, SAMPLE, all_leaders=False)).violations
