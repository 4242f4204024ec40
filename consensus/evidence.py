"""Which two votes of one validator prove a fault (consensus.md 3.13).

In one view: two notarize votes for different blocks, two finalize votes for different blocks, or a nullify and a
finalize vote.  Notarize and nullify together are legal; so is finalizing another block than the one notarized, which
happens to a voter whom an equivocating leader fooled.
"""

from collections.abc import Iterable

from cccnode.types.vote import Kind, Vote


def contradict(first: Vote, second: Vote) -> bool:
    """Whether the two votes, both with valid signatures, prove that their signer is at fault."""
    if first.signer != second.signer or first.proposal.view != second.proposal.view:
        return False
    if first.kind == second.kind:
        return first.proposal != second.proposal
    return {first.kind, second.kind} == {Kind.NULLIFY, Kind.FINALIZE}


def contradictions(vote: Vote, others: Iterable[Vote]) -> list[tuple[Vote, Vote]]:
    """The pairs in which `vote` contradicts one of `others`, earlier vote first."""
    return [(other, vote) for other in others if contradict(other, vote)]
