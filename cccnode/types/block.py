"""Blocks order batches.  A header commits to what was ordered before, and to results as far as they were executed."""

from typing import Annotated, Final

from msgspec import Meta

from cccnode.codec import Noun, encode
from cccnode.crypto import merkle
from cccnode.crypto.hashing import BLOCK, tagged
from cccnode.types.batch import Batch
from cccnode.types.certificate import Certificate
from cccnode.types.limits import BLOCK_BATCHES_MAX, BLOCK_BYTES_MAX, BLOCK_TXS_MAX
from cccnode.types.scalars import U8, U16, Epoch, Hash, Height, Millis, View

HEADER_VERSION: Final = 1

Body = Annotated[tuple[Hash, ...], Meta(max_length=BLOCK_BATCHES_MAX)]
"""The batch ids that a block lists, in order; none twice."""


class Header(Noun, frozen=True, array_like=True, gc=False):
    """What validators vote on; 19 fields in this order."""

    version: U8
    chain: Hash
    epoch: Epoch
    view: View
    """The view in which it was first proposed."""
    height: Height
    parent: Hash
    parent_view: View
    """The view of the certificate for the parent that the proposal carried."""
    time_ms: Millis
    """Strictly greater than the parent's: max(parent + 1, the proposer's clock)."""
    proposer: U16
    """Index of the proposer in the epoch record."""
    body_root: Hash
    """RFC 6962 root over the batch ids of the body."""
    tx_count: Annotated[int, Meta(ge=0, le=BLOCK_TXS_MAX)]
    body_bytes: Annotated[int, Meta(ge=0, le=BLOCK_BYTES_MAX)]
    """Summed bytes of the transactions."""
    exec_height: Height
    """E: a finalized ancestor whose results the roots below report."""
    state_root: Hash
    """Root of the state after executing E."""
    results_root: Hash
    """RFC 6962 root over the result leaves [h, state_root, receipts_root] for h = 0..E (J1)."""
    history_root: Hash
    """RFC 6962 root over the block ids of heights 0..height-1."""
    epoch_record_hash: Hash
    next_epoch_record_hash: Hash
    """Zero except in the last block of an epoch."""
    extra_hash: Hash
    """Zero in version 1."""


def block_id(header: Header) -> bytes:
    """SHA-256("ccc/1/block" || header bytes)."""
    return tagged(BLOCK, encode(header))


def body_root(body: tuple[bytes, ...]) -> bytes:
    """RFC 6962 root over batch ids."""
    return merkle.root(body)


def result_leaf(height: int, state_root: bytes, receipts_root: bytes) -> bytes:
    """One leaf of `results_root`: what executing the block of that height gave."""
    return encode([height, state_root, receipts_root])


class FinalBlock(Noun, frozen=True, array_like=True, gc=False):
    """A block as it is stored and served: everything needed to check it and to execute it."""

    header: Header
    batches: tuple[Batch, ...]
    """The transactions, batch by batch, in the order of the body."""
    certificate: Certificate | None
    """Its finalization; None where a descendant's finalization covers it."""
    justification: tuple[Certificate, ...]
    """What its proposal carried (parent notarization, nullifications): kept so that a fork names its culprits."""
