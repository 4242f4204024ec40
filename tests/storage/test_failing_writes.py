"""A disk that refuses any one write: a named error with its remedy, nothing acknowledged lost, and it goes on."""

import errno
import sqlite3
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from cccnode.types.errors import DISK_FAILED, DISK_FULL, DISK_READ_ONLY, Fault
from storage.backup import Backup, BackupWriter, take
from storage.batches import BatchStore
from storage.contents import HomeContent
from storage.index import Index
from storage.journal import Journal
from storage.memory import MemoryDisk, MemoryEngine
from storage.segments import Segments
from tests.storage.builders import commit, initialised, open_store, receipts

ERRORS = {errno.ENOSPC: DISK_FULL, errno.EDQUOT: DISK_FULL, errno.EIO: DISK_FAILED, errno.EROFS: DISK_READ_ONLY}
BLOCKS = 9
SEEDS = range(4)


class Node:
    """Everything that a node writes, in the order in which it does: votes, batches, blocks, receipts, state, backup."""

    def __init__(self) -> None:
        self.disk, self.engine, self.there = MemoryDisk(), MemoryEngine(), MemoryDisk()
        self.store = initialised(self.disk, self.engine)
        self.open()
        self.promised: dict[str, int] = {"votes": 0, "batches": 0, "height": 0, "backup": 0}
        """What was acknowledged."""

    def open(self) -> None:
        """As a start does."""
        self.store = open_store(self.disk, self.engine)
        self.batches = BatchStore.open(self.disk, segment_bytes=300)
        self.journal, self.votes = Journal.open(self.disk, "journal/0", 0, segment_bytes=200)

    def step(self, number: int) -> None:
        """What happens for one block; whatever is said to others is noted as promised."""
        if self.batches.put(b"%032d" % number, b"batch %d" % number, 1_000):
            self.batches.sync()
        self.promised["batches"] = number
        if len(self.votes) < number:
            self.journal.append(b"vote %d" % number)
            self.journal.sync()
            self.votes.append(b"vote %d" % number)
        self.promised["votes"] = number
        if self.store.applied.height < number:
            commit(self.store)
        self.promised["height"] = number
        self.store.put_meta("seen", b"%d" % number)
        if number % 4 == 0:
            self.back_up()
            self.promised["backup"] = number

    def steps(self, blocks: int) -> None:
        """All of it, or what is left of it."""
        for number in range(1, blocks + 1):
            self.step(number)

    def back_up(self) -> None:
        """Whole, into a folder of its own."""
        from storage.copying import pages  # noqa: PLC0415 - beside its only use

        writer = BackupWriter(self.there, part_bytes=400)
        source = lambda first: pages(self.engine.snapshot(), first)  # noqa: E731 - one expression
        for _ in take(writer, source, lambda folder: Segments(self.disk, folder), [("genesis.json", b"{}")]):
            pass
        writer.finish()

    def refuse(self, refusal: Callable[[str, str], int | None]) -> None:
        """Let every disk refuse what this says."""
        self.disk.refuse = self.engine.refuse = self.there.refuse = refusal

    def crash(self, rng: Random) -> None:
        """The power goes; the process with it."""
        for one in (self.disk, self.engine, self.there):
            one.crash(rng)

    def whole(self) -> None:
        """Nothing that was promised is lost, and all agrees."""
        assert self.store.applied.height >= self.promised["height"]
        assert len(self.votes) >= self.promised["votes"]
        assert {b"%032d" % at for at in range(1, self.promised["batches"] + 1)} <= set(self.batches.ids())
        for height in range(1, self.store.applied.height + 1):
            assert self.store.block(height) is not None
            assert self.store.receipts(height) == receipts(height)
        assert list(HomeContent(self.engine, self.disk).records("receipts"))
        if self.promised["backup"]:
            backup = Backup(self.there)
            for _ in backup.check_files():
                pass
            assert backup.manifest.height >= self.promised["backup"]


def writes_of(blocks: int) -> list[tuple[str, str]]:
    """Every write that this takes, when nothing refuses."""
    node, seen = Node(), list[tuple[str, str]]()

    def note(operation: str, path: str) -> None:
        seen.append((operation, path))

    node.refuse(note)
    node.steps(blocks)
    node.whole()
    return seen


WRITES = writes_of(BLOCKS)


def test_all_kinds_of_writes_are_met() -> None:
    """The scenario appends and syncs votes, batches, blocks, receipts, their indexes, backups; and writes rows."""
    kinds = {(operation, path.partition("/")[0]) for operation, path in WRITES}
    for folder in ("journal", "batches", "blocks", "receipts", "heights", "state"):
        assert {("append", folder), ("sync", folder)} <= kinds
    assert {("write", "engine"), ("append", "manifest.json"), ("append", "SHA256SUMS"), ("append", "home")} <= kinds


@pytest.mark.parametrize("number", sorted(ERRORS, key=errno.errorcode.get))
@pytest.mark.parametrize("seed", SEEDS)
def test_each_write_refused_once(number: int, seed: int) -> None:
    """Whichever write is refused: the error is the row of its cause, with a remedy; after a restart all goes on."""
    for refused in range(seed, len(WRITES), len(SEEDS)):
        node = Node()
        left = refused

        def refuse(operation: str, path: str) -> int | None:
            nonlocal left
            left -= 1
            return number if left < 0 else None

        node.refuse(refuse)
        with pytest.raises(Fault) as stopped:
            node.steps(BLOCKS)
        assert stopped.value.spec is ERRORS[number], WRITES[refused]
        assert stopped.value.spec.remedy
        assert stopped.value.spec.remedy_th
        assert "path" in stopped.value.values
        node.crash(Random(seed * 1_000 + refused))
        node.open()
        node.whole()
        node.steps(BLOCKS)
        node.whole()
        assert node.store.applied.height == BLOCKS


def test_nothing_is_written_after_a_refusal() -> None:
    """A file whose write or sync was refused is not written again by this process: what it holds is unknown."""
    for folder in ("journal", "batches", "blocks", "receipts"):
        node = Node()
        node.step(1)
        node.refuse(lambda operation, path, folder=folder: errno.EIO if path.startswith(folder) else None)
        with pytest.raises(Fault):
            node.step(2)
        node.refuse(lambda operation, path: None)
        with pytest.raises(Fault) as again:
            node.step(2)
        assert again.value.spec is DISK_FAILED, folder


class _Refusing:
    """A connection whose disk refuses."""

    def __init__(self, connection: Any, code: int) -> None:
        self._connection, self._code = connection, code

    def __enter__(self) -> Any:
        return self._connection.__enter__()

    def __exit__(self, *error: object) -> Any:
        return self._connection.__exit__(*error)

    def executemany(self, *_: object) -> None:
        refused = sqlite3.OperationalError("refused")
        refused.sqlite_errorcode = self._code
        raise refused


@pytest.mark.parametrize(
    ("code", "spec"),
    [(sqlite3.SQLITE_FULL, DISK_FULL), (sqlite3.SQLITE_IOERR, DISK_FAILED), (sqlite3.SQLITE_READONLY, DISK_READ_ONLY)],
)
def test_the_index_refused(tmp_path: Any, code: int, spec: Any) -> None:
    """An index that cannot be written says why, keeps what it had, and goes on later."""
    index = Index(tmp_path / "index.sqlite")
    index.add([(1, [b"a" * 32])])
    real = index._writer
    index._writer = _Refusing(real, code)
    with pytest.raises(Fault) as refused:
        index.add([(2, [b"b" * 32])])
    assert refused.value.spec is spec
    index._writer = real
    assert (index.indexed_height, index.lookup(b"b" * 32)) == (1, None)
    index.add([(2, [b"b" * 32])])
    assert index.lookup(b"b" * 32) == (2, 0)
    index.close()
