"""Backups: whole after any crash, of one height, added to and not written anew, refused when anything is changed."""

import errno
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cccnode.codec import encode
from cccnode.types.errors import (
    BACKUP_FORMAT,
    BACKUP_INVALID,
    BACKUP_OTHER,
    BLOCKS_CORRUPT,
    DISK_FULL,
    HOME_EMPTY,
    HOME_FORMAT,
    STATE_CORRUPT,
    Fault,
)
from storage import keys
from storage.backup import MANIFEST, SUMS, UNFINISHED, Backup, BackupWriter, read_manifest, restore, take
from storage.blocks import FOLDER, RECEIPTS_FOLDER
from storage.checking import Audit
from storage.contents import HomeContent
from storage.copying import END, Origin, Page, origin_of, pages, read_origin
from storage.memory import MemoryDisk, MemoryEngine
from storage.segments import Segments
from storage.store import stamp
from tests.storage.builders import CHAIN, DEPTH, commit, initialised, open_store

SMALL = 700
"""Bytes of a part, so that a few blocks fill several."""


class Home:
    """A store on memory, and backups of it."""

    def __init__(self, blocks=0):
        self.disk, self.engine = MemoryDisk(), MemoryEngine()
        self.store = initialised(self.disk, self.engine)
        self.grow(blocks)

    def grow(self, blocks):
        for _ in range(blocks):
            commit(self.store)

    def pages(self, first):
        return pages(self.engine.snapshot(), first)

    def back_up(self, there, files=(("genesis.json", b"{}"),)):
        writer = BackupWriter(there, part_bytes=SMALL)
        for _ in take(writer, self.pages, lambda folder: Segments(self.disk, folder), files):
            pass
        return writer.finish()


def restored(there):
    """What a backup makes of an empty home: its store, its disk and its engine."""
    disk, engine = MemoryDisk(), MemoryEngine()
    stamp(engine, chain=CHAIN, node_id=b"other".ljust(32), depth=DEPTH)
    for _ in restore(Backup(there), disk, engine):
        pass
    return open_store(disk, engine, node_id=b"other".ljust(32)), disk, engine


def files_of(disk):
    return {name: bytes(file.data) for name, file in disk._files.items()}


def audited(content):
    audit = Audit(content, lambda messages, signatures, owners: [True] * len(messages))
    for _ in audit.run():
        pass
    return audit


def whole(there):
    """Check a backup as `db verify` does."""
    backup = Backup(there)
    for _ in backup.check_files():
        pass
    audit = audited(backup)
    assert audit.findings == LIKE_THE_BUILDERS
    return backup


LIKE_THE_BUILDERS = audited(HomeContent(Home(3).engine, Home(3).disk)).findings[:0]


def test_restored_is_equal():
    """A restored store has the same state, blocks, receipts, results and rows; only the node's stamp differs."""
    home, there = Home(20), MemoryDisk()
    home.back_up(there)
    store, disk, engine = restored(there)
    assert store.applied == home.store.applied
    assert files_of(disk) == files_of(home.disk)
    rows, wanted = dict(engine.iterate(b"")), dict(home.engine.iterate(b""))
    assert {key for key in wanted if rows.get(key) != wanted[key]} == {keys.stamp("node")}
    assert set(rows) == set(wanted)
    commit(store)
