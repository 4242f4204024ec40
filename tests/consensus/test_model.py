"""The vote rules are exhausted: every state of two views is visited, and the product's own guard makes the votes."""

import pytest

from tests.consensus.model import MUTANTS, Order, certified, disagrees, explore, trace

PROTOTYPE = (85_058, 329_441)
"""States and transitions that two other programs counted, in C++ and in Murphi (consensus.md 5.1)."""

DEPTHS = {
    "finalize_after_nullify": 11,
    "nullify_after_finalize": 11,
    "skip_nullifications": 9,
    "notarize_twice": 11,
    "amnesia": 12,
}


def test_no_state_of_two_views_disagrees() -> None:
    """R0, R3, R4, R5: all 85,058 states are safe, and the product's guard allows exactly as many as the model's did."""
    explored = explore()

    assert not explored.disagreement
    assert (explored.states, explored.transitions) == PROTOTYPE


def test_no_state_disagrees_when_the_guard_is_asked_as_the_engine_asks() -> None:
    """R0, R1: leaving a view and finalizing in one step, and jumping through higher notarizations, is safe as well."""
    explored = explore(order=Order.ENGINE)

    assert not explored.disagreement
    assert (explored.states, explored.transitions) == (41_644, 128_805)


@pytest.mark.parametrize("mutant", MUTANTS)
def test_every_rule_is_needed(mutant: str) -> None:
    """With one rule of the product broken, two validators come to disagree, in this many steps and no fewer."""
    explored = explore(mutant)

    assert explored.disagreement
    assert DEPTHS[mutant] == explored.depth == len(explored.path)


def test_a_disagreement_is_told_step_by_step() -> None:
    """The shortest disagreement names who signs what, and which certificates come of it."""
    explored = explore("skip_nullifications")
    told = trace("skip_nullifications", explored)

    assert disagrees(certified(explored.path[-1]))
    assert len(told) == explored.depth
    assert told[1].endswith("B notarizes 1a   -> 1a is notarized")
    assert told[-1].strip() == "1a and 2a are final, and not one chain"


@pytest.mark.long
@pytest.mark.timeout(600)
def test_names_of_validators_do_not_matter() -> None:
    """Without counting up to symmetry the same is true, of nearly six times as many states."""
    explored = explore(symmetric=False)

    assert not explored.disagreement
    assert (489_756, 1_896_780) == (explored.states, explored.transitions)
