"""Makes the data of a node out of a certified snapshot: an engine and a block file that begin at its height.

Everything is written before `applied` is, so what was interrupted is no store yet and is begun anew.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from cccnode.codec import decode_trusted, encode
from cccnode.crypto.proofs import bucket_of
from cccnode.types.block import FinalBlock, Header
from cccnode.types.block import block_id as id_of
from cccnode.types.certificate import Certificate
from storage import keys
from storage.blocks import BlockFile
from storage.engine import Engine, Put, Reading
from storage.files import Disk
from storage.snapshots import Content, Tail, invalid, last_block, state_rows, tail_rows
from storage.store import Ahead, receipts_in

RECEIPTS_FROM: Final = "receipts_from"
"""Name of the header time (milliseconds) from which on the node knows what was decided; absent: from genesis on."""
PairsOf = list[tuple[bytes, bytes]]

Piece = Callable[[int], bytes]
"""Reads a piece by its number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the certification says beside the content."""

    lifetime_ms: int
    """The genesis constant tx_lifetime_max: the length of the duplicate window."""
    headers: tuple[Header, ...]
    """Genesis, and the last block of each epoch that is over."""
    records: dict[bytes, bytes]
    """Encoded epoch records by hash."""
    meta: dict[str, bytes]
    """What the node wants to remember."""
    certificate: Certificate | None
    """The finalization of the snapshot's block itself, if it is known."""


class GroupView:
    """The groups that an engine holds, read one by one, without a tree over them."""

    def __init__(self, engine: Engine | Reading, depth: int) -> None:
        """Nothing is read yet."""
        self._engine, self._depth = engine, depth

    def group(self, group: bytes) -> dict[bytes, bytes]:
        """All items of a group, ascending by name."""
        raw = self._engine.get(keys.group(bucket_of(group, self._depth), group))
        return {} if raw is None else dict(decode_trusted(PairsOf, raw))

    def get(self, group: bytes, item: bytes) -> bytes | None:
        """One value, or None."""
        return self.group(group).get(item)


AheadOf = Callable[[GroupView], tuple[Ahead, dict[bytes, bytes]]]
"""What the state says of the next epoch, and the records to store."""

_UNSYNCED: Final = False


def restore(
    content: Content, facts: Facts, piece: Piece, disk: Disk, engine: Engine, ahead_of: AheadOf
) -> Iterator[int]:
    """Write everything; yields the number of each piece when it is written.  Blocks; for a writer thread.

    `engine` and `disk` are empty but for the stamps.

    Raises:
        Fault: storage/SNAPSHOT_INVALID, or what the disk says.
    """
    for number in range(len(content.parts)):
        rows = state_rows(content, number, piece(number))
        puts: list[Put] = [(keys.group(bucket, group), record) for bucket, (group, record) in rows]
        engine.write(puts, sync=_UNSYNCED)
        yield number
    receipts = receipts_in(disk)
    tail, last = Tail(content, facts.lifetime_ms), len(content.parts) + len(content.tail)
    for number in range(len(content.parts), last):
        puts = []
        for row in tail_rows(content, number, piece(number)):
            puts += _header_puts(row.header, tail.take(row))
            receipts.append(row.header.height, encode(row.receipts))
            if row.header.height == content.tail[0].first > 1:
                puts.append((keys.meta(RECEIPTS_FROM), encode(row.header.time_ms)))
        engine.write(puts, sync=_UNSYNCED)
        receipts.sync()
        yield number
    tail.end()
    block = last_block(content, piece(last))
    _write_block(disk, replace(block, certificate=facts.certificate))
    ahead, records = ahead_of(GroupView(engine, content.depth))
    if ahead != content.applied.ahead:
        raise invalid("the next epoch is another", height=content.applied.height)
    raw = encode(content.applied)
    puts = [put for header in facts.headers for put in _header_puts(header, id_of(header))]
    puts += [(keys.epoch_record(identity), record) for identity, record in {**facts.records, **records}.items()]
    puts += [(keys.meta(name), value) for name, value in facts.meta.items()]
    engine.write([*puts, (keys.applied_at(content.applied.height), raw), (keys.APPLIED, raw)], sync=True)
    yield last


def _header_puts(header: Header, identity: bytes) -> list[Put]:
    return [
        (keys.header(header.height), encode(header)),
        (keys.height_of(identity), header.height.to_bytes(8, "big")),
    ]


def _write_block(disk: Disk, block: FinalBlock) -> None:
    blocks = BlockFile.open(disk)
    blocks.append(block.header.height, encode(block))
    blocks.sync()
