"""Blocks, writes and stores for these tests; a builder takes only what matters."""

from cccnode.crypto.hashing import ZERO
from cccnode.types.block import FinalBlock, Header, block_id
from storage.files import Disk
from storage.memory import MemoryDisk
from storage.store import Ahead, Applied, Store

CHAIN = b"c" * 32
NODE = b"n" * 32
DEPTH = 4


def header(height: int, parent: bytes = ZERO) -> Header:
    return Header(
        version=1,
        chain=CHAIN,
        epoch=1,
        view=height * 2,
        height=height,
        parent=parent,
        parent_view=max(0, height * 2 - 2),
        time_ms=1_700_000_000_000 + height,
        proposer=0,
        body_root=ZERO,
        tx_count=0,
        body_bytes=0,
        exec_height=0,
        state_root=ZERO,
        results_root=ZERO,
        history_root=ZERO,
        epoch_record_hash=ZERO,
        next_epoch_record_hash=ZERO,
        extra_hash=ZERO,
    )


def block(height: int, parent: bytes) -> FinalBlock:
    batches = ((b"tx of height %d" % height,),)
    return FinalBlock(header=header(height, parent), batches=batches, certificate=None, justification=())


def writes(height: int) -> dict[bytes, dict[bytes, bytes | None]]:
    """What the block of a height changes: a counter, a new account, and now and then a deletion."""
    changes: dict[bytes, dict[bytes, bytes | None]] = {
        b"counter": {b"height": b"%d" % height},
        b"account/%d" % height: {b"balance": b"%d" % (height * 7), b"name": b"n" * (height % 50)},
    }
    if height > 3 and not height % 3:
        changes[b"account/%d" % (height - 3)] = {b"balance": None, b"name": None}
    return changes


def receipts(height: int) -> list[bytes]:
    return [b"receipt %d/%d" % (height, position) for position in range(height % 3)]


def ahead(height: int) -> Ahead:
    """What the state after a height says of the next epoch."""
    return Ahead(bytes([height % 256]) * 32, height % 3 == 1)


def open_store(disk: Disk, engine: object, **options: object) -> Store:
    return Store.open(disk, engine, **{"chain": CHAIN, "node_id": NODE, "depth": DEPTH, **options})


def initialised(disk: Disk, engine: object, **options: object) -> Store:
    store = open_store(disk, engine, **options)
    store.initialise(header(0), writes(0), ahead=ahead(0))
    return store


def commit(store: Store) -> Applied:
    """Execute, write and adopt the next block."""
    applied = store.applied
    assert applied is not None
    following = block(applied.height + 1, applied.block_id)
    height = following.header.height
    staged = store.stage(
        following, block_id(following.header), writes(height), receipts(height), ahead=ahead(height)
    ).finish()
    store.write(staged)
    return store.adopt(staged)


def disk_with(path: str, data: bytes) -> MemoryDisk:
    """A disk on which one file holds `data`, all of it synced."""
    disk = MemoryDisk()
    disk.replace_file(path, data)
    return disk
