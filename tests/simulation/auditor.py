"""The auditor of profile `consensus`: every vote an honest key made, every final block, every possible certificate.

It trusts nothing of the product but the names of the votes: quorum, contradiction and order are written down here a
second time.
"""

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from cccnode.types.vote import Kind, Proposal

STEP = {Kind.NOTARIZE: 0, Kind.NULLIFY: 1, Kind.FINALIZE: 1}
"""A view is notarized in, and then left by one of two votes; nobody goes back."""


class Violation(Exception):
    """Something that must never happen did."""


def quorum_of(members: int) -> int:
    """n - f."""
    return members - (members - 1) // 3


@dataclass(slots=True)
class Auditor:
    """All votes, by epoch and identity, and the one final chain."""

    honest: Callable[[int], bool]
    """Whether an identity is honest."""
    members: Callable[[int], int]
    """How many validators an epoch has."""
    ordered: bool = True
    """Whether votes must come in the order of views and steps, as a signer file of three numbers relies on."""
    seen: set[tuple[int, int, Kind, Proposal]] = field(default_factory=set)
    """(epoch, identity, kind, what): honest votes that are durable or left their node, and every vote of the others."""
    final: dict[int, bytes] = field(default_factory=dict)
    """The one final chain: what any honest node delivered, by height."""
    own: dict[tuple[int, int, int], dict[Kind, Proposal]] = field(default_factory=lambda: defaultdict(dict))
    """By epoch, identity and view."""
    newest: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    """By identity: (epoch, view, step) of the newest vote."""

    def vote(self, epoch: int, identity: int, kind: Kind, proposal: Proposal) -> None:
        """A vote became durable or left its node: it must fit all that this identity signed before."""
        entry = (epoch, identity, kind, proposal)
        if entry in self.seen:
            return
        self.seen.add(entry)
        if not self.honest(identity):
            return
        where = f"honest validator {identity} in view {proposal.view} of epoch {epoch}"
        votes = self.own[epoch, identity, proposal.view]
        if votes.setdefault(kind, proposal) != proposal:
            raise Violation(f"two {kind.name.lower()} votes of {where}")
        if Kind.NULLIFY in votes and Kind.FINALIZE in votes:
            raise Violation(f"nullify and finalize votes of {where}")
        place, before = (epoch, proposal.view, STEP[kind]), self.newest.get(identity, (-1, 0, 0))
        if place <= before and self.ordered:
            raise Violation(f"a {kind.name.lower()} vote after a later one {before} of {where}")
        self.newest[identity] = max(place, before)

    def delivered(self, height: int, block: bytes, who: int) -> None:
        """A node says that a block is final: all must say the same."""
        if self.final.setdefault(height, block) != block:
            raise Violation(f"fork at height {height}, seen by validator {who}")

    def certificates(self, coverage: Counter[str]) -> None:
        """From all votes that exist: no view finalized and nullified, none with two notarizations."""
        counts = Counter((epoch, kind, proposal) for epoch, _, kind, proposal in self.seen)
        certified: dict[Kind, dict[tuple[int, int], set[Proposal]]] = {kind: defaultdict(set) for kind in Kind}
        for (epoch, kind, proposal), votes in counts.items():
            if votes >= quorum_of(self.members(epoch)):
                certified[kind][epoch, proposal.view].add(proposal)
        notarized, nullified = certified[Kind.NOTARIZE], certified[Kind.NULLIFY]
        for place in certified[Kind.FINALIZE]:
            if place in nullified:
                raise Violation(f"view {place[1]} of epoch {place[0]} is finalized and nullified")
        for name, places in (("notarizations", notarized), ("finalizations", certified[Kind.FINALIZE])):
            for place, proposals in places.items():
                if len(proposals) > 1:
                    raise Violation(f"view {place[1]} of epoch {place[0]} has two {name}")
        known = set(self.final.values())
        coverage["views_notarized_and_nullified"] += len(notarized.keys() & nullified.keys())
        coverage["views_nullified"] += len(nullified)
        coverage["notarized_orphans"] += sum(
            proposal.block_id not in known for proposals in notarized.values() for proposal in proposals
        )
        coverage["blocks"] += len(self.final)
        coverage["votes_audited"] += sum(self.honest(identity) for _, identity, _, _ in self.seen)
