"""Which headers are final, for somebody who was told nothing but the genesis hash.

The genesis document names the validators of epoch 0.  The last block of an epoch names, by hash, the record of the next
one, and a quorum of its own epoch finalized it: so each set vouches for the next, up to the newest.  A header is final
under a finalization of its own epoch's validators, between that epoch's first and last height.

A restart after a lost quorum (J22) is vouched for by people and not by a quorum: nothing here leads over one.

Every check raises a named fault.  Pure; whoever calls gives the function that verifies signatures.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Final, Self

from msgspec import Meta

from cccnode.codec import Noun
from cccnode.crypto import merkle
from cccnode.crypto.hashing import ZERO
from cccnode.types.block import Header, block_id
from cccnode.types.certificate import Certificate, claims_of
from cccnode.types.errors import PROOF_CERTIFICATE, PROOF_CHAIN, PROOF_HISTORY, PROOF_VALIDATORS, fault
from cccnode.types.validators import EpochRecord, epoch_record_hash
from cccnode.types.vote import Kind, vote_bytes

VerifyMany = Callable[[Sequence[bytes], Sequence[bytes], Sequence[bytes]], Sequence[bool]]
"""Messages, signatures, public keys: one verdict each."""
EPOCHS_MAX: Final = 100_000
"""Epoch changes that one chain of trust may have."""


class Anchor(Noun, frozen=True, array_like=True, gc=False):
    """A final header, and what makes it final."""

    header: Header
    certificate: Certificate


class EpochLink(Noun, frozen=True, array_like=True, gc=False):
    """How one epoch ended: the one block that leads to the next validators."""

    last: Anchor
    record: EpochRecord
    """Of the epoch that follows."""


Links = Annotated[tuple[EpochLink, ...], Meta(max_length=EPOCHS_MAX)]


class Past(Noun, frozen=True, array_like=True, gc=False):
    """A header that lies in the history of a later, final one."""

    header: Header
    path: merkle.Path
    """From its id to `history_root` of the later one."""

    def verify(self, later: Header) -> bytes:
        """The id of the header.

        Raises:
            Fault: proof/HISTORY.
        """
        identity = block_id(self.header)
        if not merkle.verify_inclusion(
            leaf=identity, index=self.header.height, size=later.height, path=self.path, root=later.history_root
        ):
            raise fault(PROOF_HISTORY, height=self.header.height, why="the header is not in the history")
        return identity


class Trust:
    """The chain of validator sets, from genesis as far as it was followed."""

    def __init__(self, *, chain: bytes, depth: int, record: EpochRecord, verify_many: VerifyMany) -> None:
        """`depth` (of the state tree) and the first `record` come from the genesis document whose hash is `chain`."""
        self.chain, self.depth = chain, depth
        self._verify_many = verify_many
        self._records: list[EpochRecord] = [record]
        self._ends: list[int] = []
        """The last height of each epoch before the newest."""

    @property
    def record(self) -> EpochRecord:
        """Of the newest epoch that is known."""
        return self._records[-1]

    @property
    def start(self) -> int:
        """Height of the block that the newest known epoch starts from."""
        return self._ends[-1] if self._ends else 0

    def copy(self) -> Self:
        """The same trust, to follow a server that may lead astray."""
        twin = type(self)(chain=self.chain, depth=self.depth, record=self._records[0], verify_many=self._verify_many)
        twin._records, twin._ends = list(self._records), list(self._ends)  # noqa: SLF001 - its own kind
        return twin

    def follow(self, link: EpochLink) -> None:
        """Learn the validators of the next epoch.

        Raises:
            Fault: proof/HISTORY, proof/OTHER_CHAIN, proof/CERTIFICATE or proof/VALIDATORS; nothing is learnt.
        """
        header, current = link.last.header, self.record
        if header.epoch != current.epoch:
            raise fault(PROOF_HISTORY, epoch=header.epoch, expected=current.epoch, why="an epoch is missing")
        self.verify(link.last)
        if header.next_epoch_record_hash == ZERO:
            raise fault(PROOF_HISTORY, height=header.height, why="the block does not end its epoch")
        if epoch_record_hash(link.record) != header.next_epoch_record_hash:
            raise fault(PROOF_VALIDATORS, epoch=link.record.epoch, why="the last block of the epoch names others")
        if link.record.epoch != current.epoch + 1:
            raise fault(PROOF_VALIDATORS, epoch=link.record.epoch, why="an epoch is left out")
        self._records.append(link.record)
        self._ends.append(header.height)

    def verify(self, anchor: Anchor) -> Header:
        """The header, once it is known to be final.

        Raises:
            Fault: proof/OTHER_CHAIN, proof/VALIDATORS, proof/HISTORY or proof/CERTIFICATE.
        """
        header = anchor.header
        record = self._record_of(header)
        identity, proposal = block_id(header), anchor.certificate.proposal
        if (proposal.block_id, proposal.height) != (identity, header.height):
            raise fault(PROOF_CERTIFICATE, height=header.height, why="it is for another block")
        if anchor.certificate.kind is not Kind.FINALIZE:
            raise fault(PROOF_CERTIFICATE, height=header.height, why="it does not make a block final")
        claims = claims_of(anchor.certificate, len(record.validators))
        if claims is None:
            raise fault(PROOF_CERTIFICATE, height=header.height, why="it is not signed by a quorum")
        message = vote_bytes(Kind.FINALIZE, self.chain, header.epoch, proposal)
        keys = [record.validators[signer].consensus_key for _, _, signer, _ in claims]
        if not all(self._verify_many([message] * len(claims), [claim[3] for claim in claims], keys)):
            raise fault(PROOF_CERTIFICATE, height=header.height, why="a signature is not of that epoch's validator")
        return header

    def _record_of(self, header: Header) -> EpochRecord:
        """The record of a header's epoch, if the header can belong to it."""
        if header.chain != self.chain:
            raise fault(PROOF_CHAIN, chain=header.chain, expected=self.chain)
        number = header.epoch - self._records[0].epoch
        if not 0 <= number < len(self._records):
            raise fault(PROOF_VALIDATORS, epoch=header.epoch, why="nothing known leads to the validators of this epoch")
        record = self._records[number]
        if epoch_record_hash(record) != header.epoch_record_hash:
            raise fault(PROOF_VALIDATORS, epoch=header.epoch, why="the header names other validators")
        first = self._ends[number - 1] if number else 0
        if header.height <= first:
            raise fault(PROOF_HISTORY, height=header.height, why=f"epoch {header.epoch} begins after height {first}")
        if number < len(self._ends) and header.height > self._ends[number]:
            why = f"epoch {header.epoch} ended at height {self._ends[number]}: its validators say nothing of later ones"
            raise fault(PROOF_VALIDATORS, height=header.height, why=why)
        return record
