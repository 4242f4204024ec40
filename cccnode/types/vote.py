"""Votes: notarize, nullify, finalize (consensus.md 3.2), and which two of them prove a fault (3.13).

They hold nothing local and no time, so re-signing is harmless.
"""

from enum import IntEnum
from typing import Final

from cccnode.codec import Noun
from cccnode.crypto.hashing import ZERO
from cccnode.types.scalars import U16, Epoch, Hash, Height, Signature, View

_PREFIX: Final = b"ccc/1/"
VOTE_BYTES: Final = 103
"""Length of what a voter signs."""


class Kind(IntEnum):
    """The three votes of Simplex; the value is the byte in the signed bytes."""

    NOTARIZE = 1
    NULLIFY = 2
    FINALIZE = 3


class Proposal(Noun, frozen=True, array_like=True, gc=False):
    """P = (view, parent_view, height, block_id): what a vote names.  A nullify vote names a view and zeros."""

    view: View
    parent_view: View
    height: Height
    block_id: Hash


def nullified(view: int) -> Proposal:
    """What a nullify vote for `view` names."""
    return Proposal(view, 0, 0, ZERO)


class Vote(Noun, frozen=True, array_like=True, gc=False):
    """One validator's word; accepted over that validator's own connection only."""

    kind: Kind
    proposal: Proposal
    signer: U16
    """Index in the epoch record."""
    signature: Signature


def vote_bytes(kind: Kind, chain: bytes, epoch: int, proposal: Proposal) -> bytes:
    """The 103 bytes that a voter signs; all fields have fixed width."""
    return b"".join(
        (
            _PREFIX,
            kind.to_bytes(1, "big"),
            chain,
            epoch.to_bytes(8, "big"),
            proposal.view.to_bytes(8, "big"),
            proposal.parent_view.to_bytes(8, "big"),
            proposal.height.to_bytes(8, "big"),
            proposal.block_id,
        )
    )


def read_vote_bytes(message: bytes) -> tuple[Kind, bytes, int, Proposal]:
    """(kind, chain, epoch, proposal) of what `vote_bytes` made.

    Raises:
        ValueError: the bytes are not those of a vote.
    """
    if len(message) != VOTE_BYTES or not message.startswith(_PREFIX):
        raise ValueError(f"{len(message)} bytes are no vote")
    epoch, view, parent_view, height = (int.from_bytes(message[at : at + 8], "big") for at in (39, 47, 55, 63))
    return Kind(message[6]), message[7:39], epoch, Proposal(view, parent_view, height, message[71:])


def contradict(first: Vote, second: Vote) -> bool:
    """Whether the two votes, both with valid signatures of one key in one epoch, prove that their signer is at fault.

    In one view: two notarize votes for different blocks, two finalize votes for different blocks, or a nullify and a
    finalize vote.  Notarize and nullify together are legal; so is finalizing another block than the one notarized,
    which happens to a voter whom an equivocating leader fooled.
    """
    view = first.proposal.view
    if first.signer != second.signer or view != second.proposal.view:
        return False
    if first.kind == second.kind:
        return first.kind is not Kind.NULLIFY and first.proposal != second.proposal
    if {first.kind, second.kind} != {Kind.NULLIFY, Kind.FINALIZE}:
        return False
    nullify = first if first.kind is Kind.NULLIFY else second
    return nullify.proposal == nullified(view)


class Contradiction(Noun, frozen=True, array_like=True, gc=False):
    """Two votes that one validator must not both cast; the signatures of both were checked."""

    epoch: Epoch
    first: Vote
    second: Vote

    @property
    def case(self) -> tuple[int, int, int]:
        """What is judged once: epoch, view, signer."""
        return self.epoch, self.first.proposal.view, self.first.signer
