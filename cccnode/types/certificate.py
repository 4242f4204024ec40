"""A certificate is a quorum of equal votes: a list of Ed25519 signatures with a bitmap of who signed."""

from collections.abc import Mapping
from typing import Annotated, Final

from msgspec import Meta

from cccnode.codec import Noun
from cccnode.types.limits import VALIDATORS_MAX
from cccnode.types.scalars import U8, Signature
from cccnode.types.validators import quorum
from cccnode.types.vote import Kind, Proposal, nullified

SCHEME_ED25519_LIST: Final = 1
"""Scheme id; another scheme gets another id, and the format stays."""


Claim = tuple[Kind, Proposal, int, bytes]
"""Kind, what is voted for, signer, signature."""


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


def well_formed(kind: Kind, proposal: Proposal) -> bool:
    """Whether a vote can name this: views from 1, a parent below, and nothing but the view when nullified."""
    if proposal.view < 1:
        return False
    if kind is Kind.NULLIFY:
        return proposal == nullified(proposal.view)
    return proposal.parent_view < proposal.view and proposal.height >= 1


def claims_of(certificate: Certificate, validators: int) -> list[Claim] | None:
    """The signatures that a certificate of `validators` members states; None if it is not well formed."""
    bitmap, signatures = certificate.bitmap, certificate.signatures
    if certificate.scheme != SCHEME_ED25519_LIST or len(bitmap) != (validators + 7) // 8:
        return None
    if not quorum(validators) <= len(signatures) <= validators:
        return None
    signers = signer_indices(bitmap)
    if len(signers) != len(signatures) or signers[-1] >= validators:
        return None
    kind, proposal = certificate.kind, certificate.proposal
    if not well_formed(kind, proposal):
        return None
    return [(kind, proposal, signer, signature) for signer, signature in zip(signers, signatures, strict=True)]
