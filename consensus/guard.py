"""R0, the vote guard: the only code that signs, and what it signed.

What it allows is monotone: in each view notarize at most once, then leave by exactly one of nullify and finalize.
Two honest nodes that obey it cannot be part of two notarizations of a view, nor of a finalization and a nullification.
"""

from dataclasses import dataclass

from cccnode.types.vote import Kind, Proposal, Vote, nullified, vote_bytes
from consensus.config import Sign


@dataclass(slots=True)
class OwnVotes:
    """What this node signed in one view."""

    notarized: Vote | None = None
    nullified: Vote | None = None
    finalized: Vote | None = None

    def all(self) -> list[Vote]:
        """The votes, in the order of their kinds."""
        return [vote for vote in (self.notarized, self.nullified, self.finalized) if vote is not None]


_NOTHING = OwnVotes()


class Guard:
    """R0: decides whether a vote may be signed.  The caller persists what it returns before sending it."""

    __slots__ = ("_chain", "_epoch", "_me", "_sign", "careful", "floor", "giving_up", "owed", "own", "silent", "unsure")

    def __init__(self, *, chain: bytes, epoch: int, me: int | None, sign: Sign | None, silent: str | None) -> None:
        """`silent`: why this node must not sign, if so."""
        self._chain = chain
        self._epoch = epoch
        self._me = me
        self._sign = sign
        self.silent = silent
        """Name of the error that says why nothing is signed; None: votes are signed."""
        self.floor = 0
        """Newest final view, or view of which the journal is unsure: nothing is ever signed at or below it."""
        self.careful = 0
        """View in which this node may have voted without remembering it: up to it, it only gives up (R13)."""
        self.unsure = 0
        """View up to which an own vote that it does not remember is no surprise: its journal was lost once."""
        self.own: dict[int, OwnVotes] = {}
        self.giving_up = 0
        """View whose nullify vote was decided, while its signature may still be on its way from a remote signer."""
        self.owed: dict[int, Proposal] = {}
        """The same for finalize votes, by view: they were decided when their views were left."""

    def of(self, view: int) -> OwnVotes:
        """What was signed in `view`."""
        return self.own.get(view, _NOTHING)

    def mute(self, view: int) -> bool:
        """Whether nothing at all is signed in a view."""
        return self.silent is not None or view <= self.floor

    def may_notarize(self, proposal: Proposal, *, view: int) -> bool:
        """Once, in the current view, before giving it up."""
        own = self.of(proposal.view)
        if proposal.view <= max(self.careful, self.giving_up):
            return False
        return proposal.view == view and own.notarized is None and own.nullified is None and own.finalized is None

    def may_nullify(self, target: int, *, view: int) -> bool:
        """Only the current view, and never after a finalize vote."""
        own = self.of(target)
        return target == view and own.nullified is None and own.finalized is None

    def may_finalize(self, proposal: Proposal, *, view: int, notarized: Proposal | None) -> bool:
        """Only what is notarized, when leaving its view through that notarization, never after giving it up."""
        own = self.of(proposal.view)
        if proposal.view <= self.careful:
            return False
        return proposal.view >= view and notarized == proposal and own.nullified is None and own.finalized is None

    def notarize(self, proposal: Proposal, *, view: int) -> Vote | None:
        """A notarize vote, if allowed."""
        return self._vote(Kind.NOTARIZE, proposal) if self.may_notarize(proposal, view=view) else None

    def nullify(self, target: int, *, view: int) -> Vote | None:
        """A nullify vote for view `target`, if allowed."""
        if not self.may_nullify(target, view=view):
            return None
        vote = self._vote(Kind.NULLIFY, nullified(target))
        if vote is None and not self.mute(target):
            self.giving_up = target
        return vote

    def finalize(self, proposal: Proposal, *, view: int, notarized: Proposal | None) -> Vote | None:
        """A finalize vote, if allowed."""
        if not self.may_finalize(proposal, view=view, notarized=notarized):
            return None
        vote = self._vote(Kind.FINALIZE, proposal)
        if vote is None and not self.mute(proposal.view):
            self.owed[proposal.view] = proposal
        return vote

    def late(self, view: int) -> list[Vote]:
        """Votes that were decided before and are signed only now; `view` is the current one.

        A view of which a finalize vote is owed was left, so it is never given up any more; one that is given up is not
        notarized any more (`may_notarize`).
        """
        found = []
        for left, proposal in sorted(self.owed.items()):
            own = self.of(left)
            settled = own.nullified is not None or own.finalized is not None or self.mute(left)
            vote = None if settled else self._vote(Kind.FINALIZE, proposal)
            if settled or vote is not None:
                del self.owed[left]
            found += [vote] if vote is not None else []
        if self.giving_up == view:
            vote = self.nullify(view, view=view)
            found += [vote] if vote is not None else []
        return found

    def _vote(self, kind: Kind, proposal: Proposal) -> Vote | None:
        if self._sign is None or self._me is None or self.mute(proposal.view):
            return None
        signature = self._sign(vote_bytes(kind, self._chain, self._epoch, proposal))
        if signature is None:
            return None
        vote = Vote(kind, proposal, self._me, signature)
        self.remember(vote)
        return vote

    def remember(self, vote: Vote) -> None:
        """Take note of an own vote: just signed, or read from the journal."""
        if vote.proposal.view <= self.floor:
            return
        own = self.own.setdefault(vote.proposal.view, OwnVotes())
        match vote.kind:
            case Kind.NOTARIZE:
                own.notarized = vote
            case Kind.NULLIFY:
                own.nullified = vote
            case Kind.FINALIZE:
                own.finalized = vote

    def signed(self, vote: Vote) -> bool:
        """Whether this own vote is one that this node remembers, or is too old to tell."""
        return vote.proposal.view <= max(self.floor, self.unsure) or any(
            mine.kind == vote.kind and mine.proposal == vote.proposal for mine in self.of(vote.proposal.view).all()
        )

    def raise_floor(self, final_view: int) -> None:
        """A block of `final_view` is final: forget what can no longer matter."""
        if final_view > self.floor:
            self.floor = final_view
            self.own = {view: own for view, own in self.own.items() if view > final_view}
            self.owed = {view: proposal for view, proposal in self.owed.items() if view > final_view}
