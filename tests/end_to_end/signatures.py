"""Every vote that can be found on the disks of a network, and whether somebody contradicted himself.

Read from the files themselves, while their nodes run or not: own votes and certificates in the journals, certificates
and justifications of stored blocks.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from pathlib import Path
from struct import Struct

from cccnode.codec import decode_trusted
from cccnode.crypto.verifying import verify
from cccnode.types.block import FinalBlock
from cccnode.types.certificate import Certificate, signer_indices
from cccnode.types.vote import Vote, vote_bytes
from consensus.evidence import contradict
from consensus.records import BlockRecord, CertificateRecord, VoteRecord, decode_record
from storage import records

JOURNAL_HEAD = Struct(">QQ")
BLOCK_HEAD = Struct(">Q")
RECORD_BYTES_MAX = 1 << 26

Signed = dict[tuple[int, int], set[Vote]]
"""Votes by (epoch, signer)."""


def all_votes(data_folders: Iterable[Path]) -> Signed:
    """Everything that was signed, as far as any of these nodes has it."""
    found: Signed = defaultdict(set)
    for data in data_folders:
        for epoch, vote in (*_journaled(data), *_stored(data)):
            found[epoch, vote.signer].add(vote)
    return found


def own_votes(data: Path) -> set[Vote]:
    """What one node signed, by its own journals."""
    return {record.vote for _, _, body in _journal(data) if isinstance(record := decode_record(body), VoteRecord)}


def contradictions(signed: Signed) -> list[tuple[Vote, Vote]]:
    """Every pair of votes of one signer that no honest node makes."""
    found = []
    for votes in signed.values():
        by_view: dict[int, list[Vote]] = defaultdict(list)
        for vote in votes:
            by_view[vote.proposal.view].append(vote)
        for view in sorted(by_view):
            found += [pair for pair in combinations(by_view[view], 2) if contradict(*pair)]
    return found


def forged(signed: Signed, *, chain: bytes, keys: Sequence[bytes]) -> list[Vote]:
    """Votes whose signature is not their signer's; `keys` are the consensus keys of the one epoch."""
    return [
        vote
        for (epoch, signer), votes in signed.items()
        for vote in votes
        if not verify(vote_bytes(vote.kind, chain, epoch, vote.proposal), vote.signature, keys[signer])
    ]


def _journal(data: Path) -> Iterator[tuple[int, int, bytes]]:
    """Sequence, epoch and body of every whole record."""
    for file in sorted(data.glob("journal/*/*.log")):
        for _, payload in records.scan(file.read_bytes(), shortest=JOURNAL_HEAD.size, longest=RECORD_BYTES_MAX):
            yield (*JOURNAL_HEAD.unpack_from(payload), payload[JOURNAL_HEAD.size :])


def _journaled(data: Path) -> Iterator[tuple[int, Vote]]:
    for _, epoch, body in _journal(data):
        match decode_record(body):
            case VoteRecord(vote):
                yield epoch, vote
            case CertificateRecord(certificate):
                yield from _votes(epoch, (certificate,))
            case BlockRecord(justification=justification):
                yield from _votes(epoch, justification)


def _stored(data: Path) -> Iterator[tuple[int, Vote]]:
    for file in sorted(data.glob("blocks/*.seg")):
        for _, payload in records.scan(file.read_bytes(), shortest=BLOCK_HEAD.size, longest=RECORD_BYTES_MAX):
            block = decode_trusted(FinalBlock, payload[BLOCK_HEAD.size :])
            certificate = () if block.certificate is None else (block.certificate,)
            yield from _votes(block.header.epoch, (*certificate, *block.justification))


def _votes(epoch: int, certificates: Iterable[Certificate]) -> Iterator[tuple[int, Vote]]:
    for certificate in certificates:
        for signer, signature in zip(signer_indices(certificate.bitmap), certificate.signatures, strict=True):
            yield epoch, Vote(certificate.kind, certificate.proposal, signer, signature)
