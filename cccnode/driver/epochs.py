"""Which epoch a node is in: its record, the block it starts from, and this node's place in it (J11)."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cccnode.codec import Noun, decode_trusted, encode
from cccnode.driver.links import Links
from cccnode.driver.runtime import Runtime
from cccnode.types.block import Header
from cccnode.types.certificate import Certificate
from cccnode.types.errors import STATE_CORRUPT, fault
from cccnode.types.finality import Anchor, EpochLink
from cccnode.types.scalars import Hash, Height
from cccnode.types.validators import EpochRecord, epoch_record_hash
from consensus.config import Sign
from consensus.messages import CertificatesMessage
from p2p.frames import Channel
from storage.store import Store

EPOCH: Final = "epoch"
"""Name under which the store remembers where the current epoch began."""
EARLY_BYTES_OF_ONE: Final = 256 * 1024
"""Of these, what one validator may say: a proposal and the votes of a few views."""
EARLY_MAX: Final = 256
"""Messages of the next epoch that are kept until it begins here: a few views of a large network."""
HELP_MS: Final = 1_000
"""A node of the epoch before is shown how that ended this often."""
HELPED_MAX: Final = 1_024
"""Nodes of which that is remembered."""


class EpochStart(Noun, frozen=True, array_like=True, gc=False):
    """What the store remembers, durable together with the block that the epoch starts from."""

    record_hash: Hash
    height: Height
    """Of the last block of the epoch before; 0 for the first epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who this node is, in every epoch."""

    node_key: bytes
    signers: Mapping[bytes, Sign]
    """Consensus keys that this node holds: two while one replaces the other, none at a node that only follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """One epoch as one node sees it."""

    record: EpochRecord
    record_hash: bytes
    start: Header
    """Header of the block that the epoch starts from."""
    me: int | None
    """Own index in the record; None: not a validator of this epoch."""
    sign: Sign | None
    """Signs with the consensus key that the record names."""
    nodes: Mapping[bytes, int]
    """Validators' node keys with the index of the validator to whom they belong."""

    @property
    def number(self) -> int:
        """Counted from 0."""
        return self.record.epoch

    @property
    def key(self) -> bytes | None:
        """The consensus key with which this node votes; None: not a validator of this epoch."""
        return None if self.me is None else self.record.validators[self.me].consensus_key


def make_epoch(record: EpochRecord, start: Header, identity: Identity) -> Epoch:
    """The epoch of `record`.  A consensus key counts only at a node that its record lists (J14)."""
    me, sign = None, None
    for index, validator in enumerate(record.validators):
        if validator.consensus_key in identity.signers and identity.node_key in validator.node_keys:
            me, sign = index, identity.signers[validator.consensus_key]
    return Epoch(
        record=record,
        record_hash=epoch_record_hash(record),
        start=start,
        me=me,
        sign=sign,
        nodes={key: index for index, validator in enumerate(record.validators) for key in validator.node_keys},
    )


def current_epoch(store: Store, genesis_header: Header, identity: Identity) -> Epoch:
    """The epoch of the block that follows the newest executed one.

    Raises:
        Fault: storage/STATE_CORRUPT: the store lacks what every executed block leaves.
    """
    raw = store.meta(EPOCH)
    if raw is None:
        return make_epoch(read_record(store, genesis_header.epoch_record_hash), genesis_header, identity)
    start = decode_trusted(EpochStart, raw)
    header = store.header(start.height)
    if header is None:
        raise fault(STATE_CORRUPT, reason="the block that the epoch starts from is missing", height=start.height)
    return make_epoch(read_record(store, start.record_hash), header, identity)


def read_record(store: Store, record_hash: bytes) -> EpochRecord:
    """An epoch record by its hash.

    Raises:
        Fault: storage/STATE_CORRUPT.
    """
    raw = store.epoch_record(record_hash)
    if raw is None:
        raise fault(STATE_CORRUPT, reason="an epoch record is missing", record_hash=record_hash)
    return decode_trusted(EpochRecord, raw)


def remember_start(record_hash: bytes, height: int) -> dict[str, bytes]:
    """What to store with the last block of an epoch."""
    return {EPOCH: encode(EpochStart(record_hash, height))}


def remember_end(header: Header, certificate: Certificate | None, record: EpochRecord) -> dict[str, bytes]:
    """What to store with the last block of an epoch so that its end can be shown for ever, without its block."""
    if certificate is None:  # it came with a restart: no quorum vouches for what follows
        return {}
    return {_end(header.epoch): encode(EpochLink(Anchor(header, certificate), record))}


def end_of_epoch(store: Store, epoch: int) -> EpochLink | None:
    """How an epoch ended; None: it has not, or by a restart."""
    raw = store.meta(_end(epoch))
    return None if raw is None else decode_trusted(EpochLink, raw)


def _end(epoch: int) -> str:
    return f"epoch end {epoch:019d}"


def moved(before: EpochRecord, after: EpochRecord) -> dict[int, int]:
    """Where validators stand now that stood elsewhere before: old index to new, by organisation."""
    now = {validator.organisation: index for index, validator in enumerate(after.validators)}
    return {
        index: now[validator.organisation]
        for index, validator in enumerate(before.validators)
        if validator.organisation in now
    }


class OtherEpochs:
    """Nodes that are not in the same epoch as this one: ahead by a moment, or left behind."""

    def __init__(self, runtime: Runtime, links: Links, store: Store) -> None:
        """Nobody is elsewhere."""
        self._runtime, self._links, self._store = runtime, links, store
        self._early: list[tuple[bytes, bytes]] = []
        self._early_bytes: Counter[bytes] = Counter()
        self._helped: dict[bytes, int] = {}
        """When a node of the epoch before may be helped again."""

    def take(self, current: Epoch, peer: bytes, epoch: int, payload: bytes) -> None:
        """A message of the next epoch is kept; one of the epoch before is answered with how that ended (R9)."""
        if epoch == current.number + 1:
            self._early_bytes[peer] += len(payload)
            if len(self._early) < EARLY_MAX and self._early_bytes[peer] <= EARLY_BYTES_OF_ONE:
                self._early.append((peer, payload))
        elif epoch < current.number and epoch == current.start.epoch:
            # Not always the number before: a restart leaves one out, and that one ended by no certificate.
            self._help(current, peer, epoch)

    def early(self) -> list[tuple[bytes, bytes]]:
        """What came too early, from whom; the epoch has begun here."""
        found, self._early = self._early, []
        self._early_bytes.clear()
        return found

    def _help(self, current: Epoch, peer: bytes, epoch: int) -> None:
        now_ms = self._runtime.now_ms()
        certificate = self._ending(current.start.height, epoch)
        if now_ms < self._helped.get(peer, now_ms) or certificate is None:
            return
        if len(self._helped) >= HELPED_MAX:
            self._helped.clear()
        self._helped[peer] = now_ms + HELP_MS
        self._links.send(peer, Channel.CONSENSUS, encode(CertificatesMessage(epoch, (certificate,))))

    def _ending(self, height: int, epoch: int) -> Certificate | None:
        """The finalization of the last block of an epoch; where it is pruned, what is kept of it."""
        last = self._store.block(height)
        if last is not None:
            return last.certificate
        end = end_of_epoch(self._store, epoch)
        return None if end is None else end.last.certificate
