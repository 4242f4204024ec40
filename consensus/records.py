"""What consensus writes to its journal: own votes, certificates, and the blocks it voted for (consensus.md 3.14).

After a crash the state is the fold over all records that survived, in any number; each holds what it needs.
"""

from typing import Final

from cccnode import codec
from cccnode.codec import Noun
from cccnode.types.block import Body, Header
from cccnode.types.certificate import Certificate
from cccnode.types.vote import Vote
from consensus.messages import Justification


class VoteRecord(Noun, tag=1, frozen=True, array_like=True, gc=False):
    """A vote of this node, written before it is sent."""

    vote: Vote


class CertificateRecord(Noun, tag=2, frozen=True, array_like=True, gc=False):
    """A certificate that changed this node's state; could be fetched again."""

    certificate: Certificate


class BlockRecord(Noun, tag=3, frozen=True, array_like=True, gc=False):
    """A block this node is about to notarize: its vote promises that the block can be had here."""

    header: Header
    body: Body
    justification: Justification


class SilenceRecord(Noun, tag=4, frozen=True, array_like=True, gc=False):
    """This node met what it must not: it signs nothing more in this epoch, however often it is started."""

    error: str
    """Name of the error that says why."""


Record = VoteRecord | CertificateRecord | BlockRecord | SilenceRecord
NEVER_PRUNED: Final = 2**63 - 1


def encode_record(record: Record) -> bytes:
    """The bytes of one record, the body of a journal entry."""
    return codec.encode(record)


def decode_record(raw: bytes) -> Record:
    """The record in `raw`, a journal entry whose checksum was right.

    Raises:
        codec.DecodeError: the journal was written by something else.
    """
    record: Record = codec.decode(Record, raw)  # type: ignore[arg-type]  # a union is not a type[T] to mypy
    return record


def record_view(record: Record) -> int:
    """The view a record belongs to.  Records below the view of the stored final block may be pruned."""
    match record:
        case VoteRecord(vote):
            return vote.proposal.view
        case CertificateRecord(certificate):
            return certificate.proposal.view
        case BlockRecord(header):
            return header.view
        case SilenceRecord():
            return NEVER_PRUNED
