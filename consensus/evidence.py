"""Which two votes of one validator prove a fault (consensus.md 3.13): the rule stands in `cccnode.types.vote`.

The ledger judges reports by the same rule.
"""

from collections.abc import Iterable

from cccnode.types.vote import Vote, contradict

__all__ = ["contradict", "contradictions"]


def contradictions(vote: Vote, others: Iterable[Vote]) -> list[tuple[Vote, Vote]]:
    """The pairs in which `vote` contradicts one of `others`, earlier vote first."""
    return [(other, vote) for other in others if contradict(other, vote)]
