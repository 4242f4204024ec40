"""The vote rules are exhausted: every state of two views is visited."""

import pytest

from tests.consensus.model import MUTANTS, explore


def test_no_state_of_two_views_disagrees() -> None:
    """All 85,058 states are safe; two other implementations of the model count the same states and transitions."""
    explored = explore()

    assert not explored.disagreement
    assert (85_058, 329_441) == (explored.states, explored.transitions)


@pytest.mark.parametrize(("mutant", "depth"), list(zip(MUTANTS, (11, 11, 9, 11, 12), strict=True)))
def test_every_rule_is_needed(mutant: str, depth: int) -> None:
    """With one rule broken, two validators come to disagree, in this many steps and no fewer."""
    explored = explore(mutant)

    assert explored.disagreement
    assert depth == explored.depth
