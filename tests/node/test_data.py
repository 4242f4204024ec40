"""The data of a node: made once, opened at every start, and no vote after a journal was lost."""

from pathlib import Path

import pytest

from cccnode.node.data import FOUNDED, found, initialise, open_data, read_home_genesis
from cccnode.types.errors import (
    BATCHES_CORRUPT,
    DISK_FAILED,
    GENESIS_INVALID,
    JOURNAL_CORRUPT,
    NOT_SIGNING_JOURNAL_LOST,
    Fault,
)
from cccnode.types.vote import Kind, Vote, nullified
from consensus.records import VoteRecord, encode_record
from storage.files import RealDisk
from storage.journal import Journal
from storage.memory import MemoryDisk, MemoryEngine
from storage.store import Store
from tests.simulation.network import STATE_DEPTH, demo_network

JOURNAL = "journal/0"


def opened_store(disk: MemoryDisk, engine: MemoryEngine | None = None) -> Store:
    chain = demo_network(4).genesis.chain
    return Store.open(disk, engine or MemoryEngine(), chain=chain, node_id=b"n" * 32, depth=STATE_DEPTH)


def founded() -> MemoryDisk:
    disk = MemoryDisk()
    disk.replace_file(f"{JOURNAL}/{FOUNDED}", b"")
    return disk


def voted(disk: MemoryDisk, views: int = 3) -> None:
    journal, _ = Journal.open(disk, JOURNAL, 0)
    for view in range(1, views + 1):
        journal.append(encode_record(VoteRecord(Vote(Kind.NULLIFY, nullified(view), 0, bytes(64)))))
    journal.sync()


def test_genesis_is_written_once() -> None:
    """The first start writes height 0; later starts read the same header and record from it."""
    disk, engine = MemoryDisk(), MemoryEngine()
    genesis = demo_network(4).genesis
    first = initialise(opened_store(disk, engine), genesis)
    again = initialise(opened_store(disk, engine), genesis)

    assert first == again
    assert 0 == first[0].height
    assert 4 == len(first[1].validators)


def test_a_founded_validator_votes() -> None:
    """Only founding makes an empty journal; then the node may vote."""
    disk = founded()
    opened = open_data(disk, opened_store(disk), 0, validates=True)

    assert opened.journal is not None
    assert opened.observe is None
    assert [] == list(opened.records)
    assert 1 == opened.first_sequence


def test_what_it_signed_comes_back() -> None:
    """The records of the journal in order, with the sequence of the first, also after old files were dropped."""
    disk = founded()
    voted(disk)
    opened = open_data(disk, opened_store(disk), 0, validates=True)
    assert [1, 2, 3] == [record.vote.proposal.view for record in opened.records]
    assert 1 == opened.first_sequence

    pruned = founded()
    journal, _ = Journal.open(pruned, JOURNAL, 0, segment_bytes=1)
    for view in (1, 2, 3):
        journal.append(encode_record(VoteRecord(Vote(Kind.NULLIFY, nullified(view), 0, bytes(64)))))
        journal.sync()
    journal.prune(3)
    opened = open_data(pruned, opened_store(pruned), 0, validates=True)
    assert (3, [3]) == (opened.first_sequence, [record.vote.proposal.view for record in opened.records])


def test_a_journal_that_is_gone() -> None:
    """consensus/JOURNAL_LOST: it must assume that it has voted before, and observes."""
    disk = MemoryDisk()
    opened = open_data(disk, opened_store(disk), 0, validates=True)

    assert opened.journal is None
    assert NOT_SIGNING_JOURNAL_LOST.name == opened.observe


def test_a_journal_damaged_in_the_middle() -> None:
    """storage/JOURNAL_CORRUPT: a vote may be missing, so none is signed."""
    disk = founded()
    voted(disk)
    name = next(name for name in disk.list(JOURNAL) if name != FOUNDED)
    disk._files[f"{JOURNAL}/{name}"].data[20] ^= 1
    opened = open_data(disk, opened_store(disk), 0, validates=True)

    assert (None, JOURNAL_CORRUPT.name) == (opened.journal, opened.observe)
    assert [] == list(opened.records)


def test_a_journal_that_something_else_wrote() -> None:
    """storage/JOURNAL_CORRUPT too when checksums hold and the records mean nothing."""
    disk = founded()
    journal, _ = Journal.open(disk, JOURNAL, 0)
    journal.append(b"not a record")
    journal.sync()
    opened = open_data(disk, opened_store(disk), 0, validates=True)

    assert (None, JOURNAL_CORRUPT.name) == (opened.journal, opened.observe)


def test_a_torn_tail_is_no_damage() -> None:
    """What was never synced enabled nothing: it is cut off, and the node votes."""
    disk = founded()
    voted(disk)
    name = next(name for name in disk.list(JOURNAL) if name != FOUNDED)
    disk.append(f"{JOURNAL}/{name}", b"\x00\x00\x00\x50torn")
    opened = open_data(disk, opened_store(disk), 0, validates=True)

    assert opened.observe is None
    assert 3 == len(opened.records)


def test_a_node_that_does_not_validate_has_no_journal() -> None:
    """It opens its batches and nothing else."""
    disk = founded()
    opened = open_data(disk, opened_store(disk), 0, validates=False)

    assert (None, None) == (opened.journal, opened.observe)


def test_damaged_batches_are_named() -> None:
    """storage/BATCHES_CORRUPT stops the start: its remedy says what to do."""
    disk = founded()
    opened = open_data(disk, opened_store(disk), 0, validates=False)
    for number in range(3):
        opened.batches.put(bytes([number]) * 32, b"batch", 1)
    opened.batches.sync()
    (name,) = disk.list("batches")
    disk._files[f"batches/{name}"].data[30] ^= 1

    with pytest.raises(Fault, match=BATCHES_CORRUPT.name):
        open_data(disk, opened_store(disk), 0, validates=False)


def test_found_on_a_real_disk(tmp_path: Path) -> None:
    """`init` leaves a folder in which the first start may vote."""
    found(tmp_path / "data")
    disk = RealDisk(tmp_path / "data")

    assert disk.exists(f"{JOURNAL}/{FOUNDED}")
    disk.close()


def test_genesis_file(tmp_path: Path) -> None:
    """A missing file is home/DISK_FAILED with its path, a bad one genesis/INVALID; a good one is read."""
    path = tmp_path / "genesis.json"
    with pytest.raises(Fault) as missing:
        read_home_genesis(path)
    assert DISK_FAILED is missing.value.spec
    assert str(path) == missing.value.values["path"]

    path.write_bytes(b"{}")
    with pytest.raises(Fault) as invalid:
        read_home_genesis(path)
    assert GENESIS_INVALID is invalid.value.spec

    path.write_bytes(demo_network(4).document)
    assert demo_network(4).genesis.chain == read_home_genesis(path).chain
