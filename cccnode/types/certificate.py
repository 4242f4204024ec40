"""A certificate is a quorum of equal votes: a list of Ed25519 signatures with a bitmap of who signed."""

from collections.abc import Mapping
from typing import Annotated, Final

from msgspec import Meta

from cccnode.codec import Noun
from cccnode.types.limits import VALIDATORS_MAX
from cccnode.types.scalars import U8, Signature
from cccnode.types.vote import Kind, Proposal

SCHEME_ED25519_LIST: Final = 1
"""Scheme id; another scheme gets another id, and the format stays."""


class Certificate(Noun, frozen=True, array_like=True, gc=False):
    """Proof that a quorum of an epoch's validators cast this vote."""

    scheme: U8
    kind: Kind
    proposal: Proposal
    bitmap: Annotated[bytes, Meta(min_length=1, max_length=VALIDATORS_MAX // 8)]
    """One bit for each validator of the epoch, least significant bit of the first byte first; no stray bits."""
    signatures: Annotated[tuple[Signature, ...], Meta(min_length=1, max_length=VALIDATORS_MAX)]
    """One for each set bit, in index order."""


def make_certificate(kind: Kind, proposal: Proposal, signatures: Mapping[int, bytes], validators: int) -> Certificate:
    """The certificate of the given (signer index -> signature), in an epoch of `validators` members."""
    bitmap = bytearray((validators + 7) // 8)
    for signer in signatures:
        bitmap[signer >> 3] |= 1 << (signer & 7)
    ordered = tuple(signatures[signer] for signer in sorted(signatures))
    return Certificate(SCHEME_ED25519_LIST, kind, proposal, bytes(bitmap), ordered)


def signer_indices(bitmap: bytes) -> list[int]:
    """The set bits of a bitmap, ascending."""
    return [i for i in range(len(bitmap) * 8) if bitmap[i >> 3] >> (i & 7) & 1]
