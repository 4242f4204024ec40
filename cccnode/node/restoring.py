"""A snapshot becomes the data of a home: built beside what is there, and put in its place at the next start.

`data/restored/` holds the new `state/`, `blocks/` and `receipts/`.  Once `READY` stands beside them, whoever opens the
home moves them, one by one; a crash between two moves is gone on with at the next start.  Votes, batches and keys stay
where they are: they belong to the node and not to the height that it begins at.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final

from cccnode.card import Card
from cccnode.city import CITY
from cccnode.city.registry import record as membership
from cccnode.city.registry.record import epoch_record
from cccnode.codec import decode_trusted
from cccnode.config import Config
from cccnode.crypto import verifying
from cccnode.driver.certified import Certified, Origin, certify
from cccnode.driver.evidence import EVIDENCE
from cccnode.driver.execution import look_ahead
from cccnode.driver.joining import Joining, Wish
from cccnode.driver.lending import Lending
from cccnode.driver.photography import Habit, Photography, begin_taking
from cccnode.driver.replica import Replica
from cccnode.driver.snapshots import Snapshots
from cccnode.home import Home
from cccnode.keys import read as read_key
from cccnode.node.data import read_home_outline
from cccnode.types.errors import SNAPSHOT_OLDER, fault
from genesis.document import Genesis
from storage import keys
from storage.engine import Engine
from storage.files import Disk, RealDisk, disk_fault
from storage.leveldb import LevelDB
from storage.memory import MemoryDisk, MemoryEngine
from storage.restoring import restore
from storage.snapshots import Shelf, Tail, check_piece, read_manifest, tail_rows
from storage.store import Applied, Store, stamp

RESTORED: Final = "restored"
READY: Final = "READY"
MOVED: Final = ("state", "blocks", "receipts")
"""What a snapshot replaces."""
DERIVED: Final = ("index", "history")
"""What is filled again from what is there."""


def head_of(genesis: Genesis) -> Store:
    """The first state without the accounts of the genesis document, in memory: its registry is whole."""
    depth = genesis.document.state_depth
    store = Store.open(MemoryDisk(), MemoryEngine(), chain=genesis.chain, node_id=b"", depth=depth)
    store.prepare(next(iter(CITY.genesis_parts(genesis, store.state))))
    return store


def origin_of(genesis: Genesis) -> Origin:
    """Where trust begins: the validators of the genesis document."""
    return origin_in(head_of(genesis), genesis)


def origin_in(head: Store, genesis: Genesis) -> Origin:
    """The same, where `head_of` was made already."""
    return Origin(chain=genesis.chain, depth=genesis.document.state_depth, record=epoch_record(head.state, 0))


class HomeTarget:
    """The folder beside the data of a home in which the new data is built."""

    def __init__(
        self,
        data: Path,
        *,
        chain: bytes,
        node_id: bytes,
        depth: int,
        remember: Callable[[], Mapping[str, bytes]] = dict,
    ) -> None:
        """`remember`: named values that the node takes along."""
        self._folder, self._chain, self._node_id, self._depth = data / RESTORED, chain, node_id, depth
        self._remember = remember

    def begin(self) -> tuple[Disk, Engine]:
        """See `Target`."""
        if self._folder.exists():
            shutil.rmtree(self._folder)
        engine = LevelDB(self._folder / "state")
        stamp(engine, chain=self._chain, node_id=self._node_id, depth=self._depth)
        engine.write([(keys.meta(name), value) for name, value in self._remember().items()], sync=True)
        return RealDisk(self._folder), engine

    def finish(self) -> None:
        """See `Target`."""
        disk = RealDisk(self._folder)
        disk.replace_file(READY, b"")
        disk.close()


def target_of(home: Home, genesis: Genesis, remember: Callable[[], Mapping[str, bytes]] = dict) -> HomeTarget:
    """Where the new data of a home is built."""
    return HomeTarget(
        home.data,
        chain=genesis.chain,
        node_id=read_key(home.first_node_key).public_key,
        depth=genesis.document.state_depth,
        remember=remember,
    )


def wish_of(config: Config, card: Card | None) -> Wish:
    """When a node wants a snapshot, and what it must lead to."""
    checkpoint = (card.checkpoint.height, card.checkpoint.block_id) if card is not None else None
    return Wish(behind=config.storage.snapshot_behind, checkpoint=checkpoint)


def swap_in(data: Path) -> bool:
    """Put restored data in its place, if it is whole; what is not whole stays, to be begun anew.

    Raises:
        Fault: what the disk says.
    """
    folder = data / RESTORED
    if not (folder / READY).exists():
        return False
    try:
        for name in (*MOVED, *DERIVED):
            new, old = folder / name, data / name
            if old.exists() and (name in DERIVED or new.exists()):
                shutil.rmtree(old)
            if new.exists():
                new.rename(old)
        _sync(data)
        shutil.rmtree(folder)
    except OSError as error:
        raise disk_fault(error, str(folder)) from error
    return True


def _sync(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def assemble_snapshots(
    config: Config,
    replica: Replica,
    engine: Engine,
    disk: Disk,
    genesis: Genesis,
    card: Card | None,
    behind: Callable[[], int],
    begin_anew: Callable[[], None],
) -> None:
    """Give a running node its snapshots; one whose state lives in memory has none."""
    if config.storage.engine == "memory":
        return
    store, runtime, links, storage = replica.store, replica.runtime, replica.links, config.storage
    shelf, depth = Shelf(disk), genesis.document.state_depth

    def evidence() -> dict[str, bytes]:
        raw = store.meta(EVIDENCE)
        return {} if raw is None else {EVIDENCE: raw}

    photography = Photography(
        runtime=runtime,
        store=store,
        begin=lambda: begin_taking(store, engine, shelf, genesis.chain, depth, replica.record),
        shelf=shelf,
        habit=Habit(every=storage.snapshot_blocks, keep=storage.snapshots_kept),
        busy=lambda: replica.executor.busy,
    )
    joining = Joining(
        runtime=runtime,
        links=links,
        disk=disk,
        origin=cache(lambda: origin_of(genesis)),
        verify_many=verifying.verify_many,
        membership=membership,
        wish=wish_of(config, card),
        behind=behind,
        height=lambda: replica.chain.height,
        target=target_of(config.home, genesis, evidence),
        hold=replica.catch_up.hold,
        restored=lambda height: begin_anew(),
        lacks=lambda: replica.catch_up.unobtainable() is not None,
    )
    lending = Lending(runtime=runtime, links=links, store=store, shelf=shelf)
    snapshots = Snapshots(links=links, photography=photography, lending=lending, joining=joining)
    replica.decided_hooks.append(snapshots.applied)
    replica.snapshots = snapshots
    runtime.call_soon(snapshots.start)


def certified_here(home: Home, shelf: Shelf, height: int) -> Certified:
    """A snapshot of a folder, checked from the genesis document of a home on; its pieces are not.

    Raises:
        Fault: storage/SNAPSHOT_MISSING, storage/SNAPSHOT_INVALID, or what the home or the disk says.
    """
    manifest = read_manifest(shelf.manifest(height))
    return certify(manifest, origin_of(read_home_outline(home.genesis_file)), verifying.verify_many)


def check_pieces(certified: Certified, shelf: Shelf) -> Iterator[int]:
    """Check every piece, and that the tail is the duplicate window; yields the number of each that holds.

    Raises:
        Fault: storage/SNAPSHOT_INVALID, or what the disk says.
    """
    content = certified.manifest.content
    tail = Tail(content, certified.facts.lifetime_ms)
    for number in range(certified.manifest.pieces):
        piece = shelf.piece(content, number)
        check_piece(content, number, piece)
        if 0 <= number - len(content.parts) < len(content.tail):
            for row in tail_rows(content, number, piece):
                tail.take(row)
        yield number
    tail.end()


def restore_home(home: Home, certified: Certified, shelf: Shelf) -> Iterator[int]:
    """Begin a stopped home at a snapshot; yields the number of each piece.  The caller holds the home's lock.

    Raises:
        Fault: storage/SNAPSHOT_OLDER, storage/SNAPSHOT_INVALID, or what the disk says; then nothing has changed.
    """
    content = certified.manifest.content
    remembered = _look(home, content.applied.height)
    target = HomeTarget(
        home.data,
        chain=content.chain,
        node_id=read_key(home.first_node_key).public_key,
        depth=content.depth,
        remember=lambda: remembered,
    )
    disk, engine = target.begin()
    try:
        yield from restore(
            content,
            certified.facts,
            lambda number: shelf.piece(content, number),
            disk,
            engine,
            lambda view: look_ahead(membership.next_record(view, certified.record), certified.record),
        )
    finally:
        engine.close()
        disk.close()
    target.finish()
    swap_in(home.data)


def _look(home: Home, height: int) -> dict[str, bytes]:
    """What a home takes along into its new data.

    Raises:
        Fault: storage/SNAPSHOT_OLDER: it is as far already.
    """
    if not (home.data / "state").exists():
        return {}
    engine = LevelDB(home.data / "state")
    try:
        raw, evidence = engine.get(keys.APPLIED), engine.get(keys.meta(EVIDENCE))
    finally:
        engine.close()
    applied = None if raw is None else decode_trusted(Applied, raw)
    if applied is not None and applied.height >= height:
        raise fault(SNAPSHOT_OLDER, height=height, applied=applied.height)
    return {} if evidence is None else {EVIDENCE: evidence}
