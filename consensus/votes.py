"""Single votes: kept by signer, counted lazily, verified when a quorum of them is there (consensus.md 3.4).

Per view, kind and signer at most two different votes are kept: the second is evidence, a third says nothing new.
"""

from dataclasses import dataclass, field
from typing import Final

from cccnode.types.certificate import Claim
from cccnode.types.vote import Kind, Proposal, Vote
from consensus.certificates import Verifier

_PAYLOADS_MAX: Final = 2

Ballot = tuple[Kind, Proposal]


def claim_of(vote: Vote) -> Claim:
    """The vote as the verifier wants it."""
    return (vote.kind, vote.proposal, vote.signer, vote.signature)


@dataclass(slots=True)
class _ViewVotes:
    by_signer: dict[int, list[Vote]] = field(default_factory=dict)
    tally: dict[Ballot, dict[int, Vote]] = field(default_factory=dict)


class VoteBook:
    """All votes held, by view."""

    __slots__ = ("_quorum", "_verifier", "_views")

    def __init__(self, *, verifier: Verifier, quorum: int) -> None:
        """`quorum`: how many signers make a certificate."""
        self._verifier = verifier
        self._quorum = quorum
        self._views: dict[int, _ViewVotes] = {}

    def add(self, vote: Vote) -> list[Vote] | None:
        """Keep `vote`, unverified; the signer's other votes of that view, or None if this one is not news."""
        votes = self._views.setdefault(vote.proposal.view, _ViewVotes())
        others = votes.by_signer.setdefault(vote.signer, [])
        same_kind = [other for other in others if other.kind == vote.kind]
        for other in same_kind:
            if other.proposal == vote.proposal:
                if other.signature == vote.signature or self._verifier.known(claim_of(other)):
                    return None
                self._drop(votes, other)  # An earlier, unverified signature for the same: the newer one replaces it.
                return self.add(vote)
        if len(same_kind) >= _PAYLOADS_MAX:
            return None
        before = list(others)
        others.append(vote)
        votes.tally.setdefault((vote.kind, vote.proposal), {})[vote.signer] = vote
        return before

    def certify(self, ballot: Ballot) -> tuple[dict[int, bytes] | None, list[Vote]]:
        """The signatures of a verified quorum for `ballot` if there is one, and the votes dropped as invalid."""
        votes = self._views.get(ballot[1].view)
        tally = votes.tally.get(ballot) if votes is not None else None
        if votes is None or tally is None or len(tally) < self._quorum:
            return None, []
        invalid = self.invalid(list(tally.values()))
        tally = votes.tally.get(ballot, {})
        if len(tally) < self._quorum:
            return None, invalid
        return {signer: vote.signature for signer, vote in tally.items()}, invalid

    def invalid(self, votes: list[Vote]) -> list[Vote]:
        """Verify `votes` in one call; those with a bad signature are dropped and returned."""
        verdicts = self._verifier.check([claim_of(vote) for vote in votes])
        bad = [vote for vote, valid in zip(votes, verdicts, strict=True) if not valid]
        for vote in bad:
            held = self._views.get(vote.proposal.view)
            if held is not None:
                self._drop(held, vote)
        return bad

    def _drop(self, votes: _ViewVotes, vote: Vote) -> None:
        others = votes.by_signer.get(vote.signer, [])
        if vote in others:
            others.remove(vote)
            tally = votes.tally[vote.kind, vote.proposal]
            del tally[vote.signer]
            if not tally:
                del votes.tally[vote.kind, vote.proposal]

    def of(self, signer: int, *, above: int) -> list[Vote]:
        """What a signer is known to have cast in views above that one, ascending; not all need be verified."""
        views = sorted(view for view in self._views if view > above)
        return [vote for view in views for vote in self._views[view].by_signer.get(signer, ())]

    def signers(self, view: int, kind: Kind) -> tuple[int, ...]:
        """Who is known to have cast a vote of this kind in `view`, ascending; not all need be verified."""
        votes = self._views.get(view)
        if votes is None:
            return ()
        return tuple(sorted(s for s, cast in votes.by_signer.items() if any(vote.kind is kind for vote in cast)))

    def prune(self, lowest_view: int) -> None:
        """Forget the votes of views below `lowest_view`."""
        for view in [view for view in self._views if view < lowest_view]:
            del self._views[view]
