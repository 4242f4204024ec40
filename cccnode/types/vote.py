"""Votes: notarize, nullify, finalize (consensus.md 3.2).

They hold nothing local and no time, so re-signing is harmless.
"""

from enum import IntEnum
from typing import Final

from cccnode.codec import Noun
from cccnode.crypto.hashing import ZERO
from cccnode.types.scalars import U16, Hash, Height, Signature, View

_PREFIX: Final = b"ccc/1/"


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
