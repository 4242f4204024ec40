"""Why a snapshot is to be believed: from the validators of genesis over the end of every epoch to a final header (J1).

No height, root or server is taken on trust.  Who has a network card compares its checkpoint too: an old set of
validators could certify another history at leisure.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from cccnode.codec import DecodeError, decode, encode
from cccnode.crypto import merkle
from cccnode.driver.catch_up import Authority
from cccnode.driver.epochs import end_of_epoch, remember_end, remember_start
from cccnode.types.block import Header, block_id, result_leaf
from cccnode.types.certificate import Certificate
from cccnode.types.validators import EpochRecord, epoch_record_hash
from consensus.config import VerifyMany
from consensus.rules import ends_epoch
from storage.restoring import Facts
from storage.snapshots import (
    GENESIS_PATH,
    Boundary,
    Certification,
    GenesisPath,
    Manifest,
    check_content,
    invalid,
    well_formed,
)
from storage.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where trust comes from."""

    chain: bytes
    depth: int
    record: EpochRecord
    """Of epoch 0, as the genesis document gives it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Certified:
    """A manifest that holds."""

    manifest: Manifest
    facts: Facts
    record: EpochRecord
    """Of the epoch of the block that follows the snapshot's."""


def certify(manifest: Manifest, origin: Origin, verify_many: VerifyMany) -> Certified:
    """Check all of a manifest; its pieces are checked against it later.

    Raises:
        Fault: storage/SNAPSHOT_INVALID.
    """
    content, proof = manifest.content, manifest.certification
    if content.chain != origin.chain or content.depth != origin.depth:
        raise invalid("of another chain", chain=content.chain)
    check_content(content)
    authority, records = _epochs(proof, origin, verify_many)
    _check_headers(manifest, authority)
    _check_results(manifest)
    _check_history(manifest, origin)
    past = [boundary.header for boundary in proof.boundaries if boundary.header.height <= manifest.height]
    epochs = [origin.record, *records]
    record, start = epochs[len(past)], past[-1] if past else proof.genesis
    raws = {epoch_record_hash(known): encode(known) for known in epochs}
    meta = {GENESIS_PATH: encode(GenesisPath(manifest.height + 1, proof.genesis_path))}
    if past:
        meta |= remember_start(epoch_record_hash(record), start.height)
    for boundary, following in zip(proof.boundaries[: len(past)], records, strict=False):
        meta |= remember_end(boundary.header, boundary.certificate, following)
    return Certified(
        manifest=manifest,
        facts=Facts(
            lifetime_ms=record.limits.tx_lifetime_max_ms,
            headers=(proof.genesis, *past),
            records=raws,
            meta=meta,
            certificate=_own_certificate(proof.boundaries, manifest.height),
        ),
        record=record,
    )


def _epochs(proof: Certification, origin: Origin, verify_many: VerifyMany) -> tuple[Authority, list[EpochRecord]]:
    """Who certifies in the newest epoch, and the records of all epochs after the first."""
    record, records = origin.record, list[EpochRecord]()
    authority = Authority(chain=origin.chain, record=record, verify_many=verify_many)
    for boundary in proof.boundaries:
        header = boundary.header
        if not _of_epoch(header, origin.chain, record) or not ends_epoch(header):
            raise invalid("not the end of the epoch", epoch=record.epoch)
        if not authority.certifies(boundary.certificate, block_id(header), header.height):
            raise invalid("the end of an epoch is not certified", epoch=record.epoch)
        try:
            following = decode(EpochRecord, boundary.record)
        except DecodeError as error:
            raise invalid(str(error), epoch=record.epoch + 1) from error
        if epoch_record_hash(following) != header.next_epoch_record_hash or following.epoch != record.epoch + 1:
            raise invalid("another record than the one agreed on", epoch=record.epoch + 1)
        record = following
        records.append(record)
        authority = Authority(chain=origin.chain, record=record, verify_many=verify_many)
    return authority, records


def _of_epoch(header: Header, chain: bytes, record: EpochRecord) -> bool:
    return (header.chain, header.epoch, header.epoch_record_hash) == (chain, record.epoch, epoch_record_hash(record))


def _check_headers(manifest: Manifest, authority: Authority) -> None:
    """That a quorum finalized a block which stands on the snapshot's."""
    applied, proof = manifest.content.applied, manifest.certification
    first, last = proof.headers[0], proof.headers[-1]
    told = (applied.height, applied.view, applied.time_ms, applied.block_id)
    if (first.height, first.view, first.time_ms, block_id(first)) != told:
        raise invalid("another block")
    parent = first
    for header in proof.headers[1:]:
        if (header.height, header.parent) != (parent.height + 1, block_id(parent)):
            raise invalid("the headers do not hang together", height=header.height)
        parent = header
    if last.epoch != authority.epoch or last.chain != authority.chain:
        raise invalid("certified in another epoch", epoch=last.epoch)
    if not authority.certifies(proof.certificate, block_id(last), last.height):
        raise invalid("the certificate is false", height=last.height)


def _check_results(manifest: Manifest) -> None:
    """That this block reports the state root (J1)."""
    applied, proof = manifest.content.applied, manifest.certification
    last = proof.headers[-1]
    if proof.results[0] != (applied.state_root, applied.receipts_root):
        raise invalid("another result")
    if last.exec_height != applied.height + len(proof.results) - 1:
        raise invalid("results are missing", height=last.exec_height)
    frontier = applied.results
    for height, (state_root, receipts_root) in enumerate(proof.results[1:], applied.height + 1):
        frontier = frontier.append(result_leaf(height, state_root, receipts_root))
    if frontier.root() != last.results_root:
        raise invalid("a final header reports other results", height=last.exec_height)


def _check_history(manifest: Manifest, origin: Origin) -> None:
    """That the history is the one that leads from genesis to that block."""
    applied, proof = manifest.content.applied, manifest.certification
    if not well_formed(applied.history, applied.height + 1):
        raise invalid("no history of that length")
    frontier = applied.history
    for header in proof.headers[1:-1]:
        frontier = frontier.append(block_id(header))
    if frontier.root() != proof.headers[-1].history_root:
        raise invalid("a final header has another history")
    genesis = proof.genesis
    if genesis.height != 0 or not _of_epoch(genesis, origin.chain, origin.record):
        raise invalid("another genesis")
    if not stands_in_history(manifest, 0, block_id(genesis), proof.genesis_path):
        raise invalid("another genesis")


def stands_in_history(manifest: Manifest, height: int, identity: bytes, path: Sequence[bytes]) -> bool:
    """Whether the chain of a snapshot has this block."""
    history = manifest.content.applied.history
    return merkle.verify_inclusion(leaf=identity, index=height, size=history.size, path=path, root=history.root())


def _own_certificate(boundaries: Sequence[Boundary], height: int) -> Certificate | None:
    """The snapshot's block carries its finalization where the next epoch starts from it."""
    found = [boundary.certificate for boundary in boundaries if boundary.header.height == height]
    return found[0] if found else None


def trail(store: Store) -> tuple[Boundary, ...]:
    """How every epoch ended that is over, in order; it breaks off where a restart ended one (J22)."""
    found: list[Boundary] = []
    while (link := end_of_epoch(store, len(found))) is not None:
        found.append(Boundary(link.last.header, link.last.certificate, encode(link.record)))
    return tuple(found)
