"""The data of a node: made once, opened at every start, and no vote after a journal was lost."""

from pathlib import Path

import pytest
from msgspec import structs

from cccnode.driver.epochs import Identity, current_epoch
from cccnode.driver.execution import look_ahead
from cccnode.driver.opened import OpenedJournal
from cccnode.node.data import (
    found,
    found_journal,
    initialise,
    open_data,
    open_journal,
    read_home_genesis,
    read_home_outline,
    unused_mark,
)
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
from genesis.bootstrap import make_demo
from p2p.directory import make_certificate
from storage.files import RealDisk
from storage.journal import Journal
from storage.memory import MemoryDisk, MemoryEngine
from storage.store import PREPARING, Store
from tests.simulation.nodes import STATE_DEPTH, demo_network

JOURNAL = "journal/0"
KEY, OTHER = b"k" * 32, b"o" * 32
UNUSED = unused_mark(KEY)


def opened_store(disk: MemoryDisk, engine: MemoryEngine | None = None) -> Store:
    chain = demo_network(4).genesis.chain
    return Store.open(disk, engine or MemoryEngine(), chain=chain, node_id=b"n" * 32, depth=STATE_DEPTH)


def founded() -> MemoryDisk:
    """The disk of a home whose key is new."""
    disk = MemoryDisk()
    disk.replace_file(UNUSED, b"")
    return disk


def record(view: int) -> bytes:
    return encode_record(VoteRecord(Vote(Kind.NULLIFY, nullified(view), 0, bytes(64))))


def voted(disk: MemoryDisk, views: int = 3, epoch: int = 0) -> None:
    """The node votes in the first views of an epoch."""
    found_journal(disk, epoch)
    journal = open_journal(disk, epoch, KEY).journal
    for view in range(1, views + 1):
        journal.append(record(view))
    journal.sync()


def may_vote(opened: OpenedJournal) -> bool:
    assert (opened.journal is None) == (opened.observe is not None)
    return opened.journal is not None


def views(opened: OpenedJournal) -> list[int]:
    return [held.vote.proposal.view for held in opened.records]


def test_genesis_is_written_once() -> None:
    """The first start writes height 0 and the first record; later starts read the same from it."""
    disk, engine = MemoryDisk(), MemoryEngine()
    genesis = demo_network(4).genesis
    first = initialise(opened_store(disk, engine), genesis)
    store = opened_store(disk, engine)
    again = initialise(store, genesis)
    epoch = current_epoch(store, again, Identity(node_key=bytes(32), signers={}))

    assert first == again
    assert (0, 0) == (first.height, epoch.number)
    assert 4 == len(epoch.record.validators)
    assert (epoch.record_hash, first) == (first.epoch_record_hash, epoch.start)


def test_genesis_looks_ahead() -> None:
    """Before any block the next record is known and stored: the same members, one epoch later, and no hurry."""
    store = opened_store(MemoryDisk())
    header = initialise(store, demo_network(4).genesis)
    now = current_epoch(store, header, Identity(node_key=bytes(32), signers={})).record
    ahead, records = look_ahead(structs.replace(now, epoch=1), now)

    assert (ahead, False) == (store.applied.ahead, ahead.due)
    assert records[ahead.record_hash] == store.epoch_record(ahead.record_hash)


# The vote journal of an epoch: which of them a node may begin empty


def test_a_new_key_votes() -> None:
    """A home whose key never signed begins in whatever epoch it is, with an empty journal."""
    for epoch in (0, 7):
        opened = open_journal(founded(), epoch, KEY)

        assert may_vote(opened)
        assert ([], 1) == (list(opened.records), opened.first_sequence)


def test_an_old_key_in_a_new_home() -> None:
    """The home's own key never signed; one that was brought there may have, so it counts as one with a lost journal."""
    disk = founded()

    assert NOT_SIGNING_JOURNAL_LOST.name == open_journal(disk, 0, OTHER).observe
    assert may_vote(open_journal(disk, 0, KEY))


def test_a_further_key_after_a_loss() -> None:
    """A key made in a home that lost its data votes at once; the old one stays silent; its doubt is its own."""
    disk = MemoryDisk()
    disk.replace_file(unused_mark(OTHER), b"")
    found_journal(disk, 3, unsure_view=1)

    assert not may_vote(open_journal(disk, 2, KEY))
    assert 1 == open_journal(disk, 3, KEY).unsure_view
    assert may_vote(open_journal(disk, 2, OTHER))
    assert 0 == open_journal(disk, 3, OTHER).unsure_view


def test_what_it_signed_comes_back() -> None:
    """The records of the journal in order, with the sequence of the first, also after old files were dropped."""
    disk = founded()
    voted(disk)
    opened = open_journal(disk, 0, KEY)
    assert ([1, 2, 3], 1) == (views(opened), opened.first_sequence)

    pruned = founded()
    journal, _ = Journal.open(pruned, JOURNAL, 0, segment_bytes=1)
    for view in (1, 2, 3):
        journal.append(record(view))
        journal.sync()
    journal.prune(3)
    opened = open_journal(pruned, 0, KEY)
    assert (3, [3]) == (opened.first_sequence, views(opened))


def test_a_journal_that_is_gone() -> None:
    """consensus/JOURNAL_LOST: it must assume that it has voted before, and observes."""
    disk = founded()
    voted(disk)
    disk.remove_tree(JOURNAL)

    for lost in (disk, MemoryDisk()):
        opened = open_journal(lost, 0, KEY)
        assert not may_vote(opened)
        assert NOT_SIGNING_JOURNAL_LOST.name == opened.observe
        assert not may_vote(open_journal(lost, 0, KEY)), "looking does not found one"


def test_a_journal_damaged_in_the_middle() -> None:
    """storage/JOURNAL_CORRUPT: a vote may be missing, so none is signed."""
    disk = founded()
    voted(disk)
    (name,) = disk.list(JOURNAL)
    disk._files[f"{JOURNAL}/{name}"].data[20] ^= 1
    opened = open_journal(disk, 0, KEY)

    assert not may_vote(opened)
    assert (JOURNAL_CORRUPT.name, []) == (opened.observe, list(opened.records))


def test_a_journal_that_something_else_wrote() -> None:
    """storage/JOURNAL_CORRUPT too when checksums hold and the records mean nothing."""
    disk = founded()
    journal, _ = Journal.open(disk, JOURNAL, 0)
    journal.append(b"not a record")
    journal.sync()
    opened = open_journal(disk, 0, KEY)

    assert not may_vote(opened)
    assert JOURNAL_CORRUPT.name == opened.observe


def test_a_torn_tail_is_no_damage() -> None:
    """What was never synced enabled nothing: it is cut off, and the node votes."""
    disk = founded()
    voted(disk)
    (name,) = disk.list(JOURNAL)
    disk.append(f"{JOURNAL}/{name}", b"\x00\x00\x00\x50torn")
    opened = open_journal(disk, 0, KEY)

    assert may_vote(opened)
    assert 3 == len(opened.records)


def test_the_marks_go_with_the_first_record() -> None:
    """Founded or unused, until the first synced vote: from then on an empty journal is a lost one."""
    disk = founded()
    found_journal(disk, 4)
    journal = open_journal(disk, 4, KEY).journal
    journal.append(record(1))
    assert disk.exists(UNUSED)
    assert disk.exists("journal/4/founded")
    journal.sync()

    assert not disk.exists(UNUSED)
    assert ["00000000000000000001.log"] == disk.list("journal/4")


def test_power_lost_between_the_first_record_and_the_marks() -> None:
    """The next start removes them."""
    disk = founded()
    found_journal(disk, 4)
    journal, _ = Journal.open(disk, "journal/4", 4)
    journal.append(record(1))
    journal.sync()

    assert [1] == views(open_journal(disk, 4, KEY))
    assert not disk.exists(UNUSED)
    assert not disk.exists("journal/4/founded")


def test_a_founded_epoch_begins_with_an_empty_journal() -> None:
    """After the first epoch only founding makes one; the epochs around it stay lost."""
    disk = founded()
    voted(disk)
    found_journal(disk, 1)

    assert may_vote(open_journal(disk, 1, KEY))
    assert may_vote(open_journal(disk, 1, KEY)), "until something is signed"
    assert not may_vote(open_journal(disk, 2, KEY))


def test_an_epoch_that_was_voted_in_is_not_founded_again() -> None:
    """Executing its first block once more, after a power cut or out of stored blocks, changes nothing."""
    disk = founded()
    voted(disk, views=2, epoch=1)
    found_journal(disk, 1)

    assert ["00000000000000000001.log"] == disk.list("journal/1")
    assert [1, 2] == views(open_journal(disk, 1, KEY))


def test_journals_of_old_epochs_are_dropped() -> None:
    """The current one and the one before stay; the others go in the thread that writes, behind what is written."""
    disk = founded()
    for epoch in range(5):
        voted(disk, epoch=epoch)
    assert ["3", "4"] == disk.list("journal")

    found_journal(disk, 5)
    journal = open_journal(disk, 5, KEY).journal
    assert ["3", "4", "5"] == disk.list("journal"), "the writer of an old one may be at work still"
    journal.append(record(1))
    journal.sync()
    assert ["4", "5"] == disk.list("journal")


def test_whether_votes_may_be_forgotten() -> None:
    """A home without any journal, and not marked as unused, may have voted in epochs that are yet to come here."""
    for disk, forgot in ((founded(), False), (MemoryDisk(), True)):
        assert forgot is open_data(disk, opened_store(disk)).forgot(KEY)
    assert open_data(founded(), opened_store(MemoryDisk())).forgot(OTHER), "it was brought here"

    disk = founded()
    voted(disk)
    assert not open_data(disk, opened_store(disk)).forgot(KEY)
    for lost in ("0", ""):
        disk.remove_tree(f"journal/{lost}".rstrip("/"))
        assert open_data(disk, opened_store(disk)).forgot(KEY)


def test_damaged_batches_are_named() -> None:
    """storage/BATCHES_CORRUPT stops the start: its remedy says what to do."""
    disk = founded()
    opened = open_data(disk, opened_store(disk))
    for number in range(3):
        opened.batches.put(bytes([number]) * 32, b"batch", 1)
    opened.batches.sync()
    (name,) = disk.list("batches")
    disk._files[f"batches/{name}"].data[30] ^= 1

    with pytest.raises(Fault, match=BATCHES_CORRUPT.name):
        open_data(disk, opened_store(disk))


def test_found_on_a_real_disk(tmp_path: Path) -> None:
    """`init` leaves a folder in which the first start may vote, with the key that was made and no other."""
    found(tmp_path / "data", KEY)
    disk = RealDisk(tmp_path / "data")

    assert not may_vote(open_journal(disk, 0, OTHER))
    assert may_vote(open_journal(disk, 0, KEY))
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


def test_a_first_state_that_was_interrupted_begins_anew() -> None:
    """What a stopped first start left is forgotten; then the same state comes of it as without."""
    genesis = demo_network(4).genesis
    disk, engine = MemoryDisk(), MemoryEngine()
    store = opened_store(disk, engine)
    store.prepare({b"left": {b"over": b"\1"}})
    again = opened_store(disk, engine)

    assert {} == again.state.group(b"left")
    assert initialise(opened_store(MemoryDisk()), genesis) == initialise(again, genesis)
    assert again.meta(PREPARING) is None
    assert again.state.root == opened_store(disk, engine).state.root


def test_an_allocation_is_read_line_by_line(tmp_path: Path) -> None:
    """The same genesis comes of lines, of another layout of the same accounts, and of the values themselves."""
    demo = make_demo(1, certify=make_certificate, accounts=1_500, seed=b"lines", time_ms=1)
    assert demo.allocation is not None
    name, content = demo.allocation
    path = tmp_path / "genesis.json"
    path.write_bytes(demo.document)
    (tmp_path / name).write_bytes(content)
    genesis = read_home_genesis(path)

    assert not isinstance(genesis.allocation, tuple)
    assert list(demo.genesis.accounts) == list(genesis.accounts) == list(genesis.accounts)
    assert initialise(opened_store(MemoryDisk()), demo.genesis) == initialise(opened_store(MemoryDisk()), genesis)
    assert (genesis.chain, ()) == (read_home_outline(path).chain, read_home_outline(path).allocation)


@pytest.mark.parametrize("content", [b"", b"[\n", b"[\n{}\n]\n", b"[\n]\n", b"[]", b"[\n1,\n]\n", b"\xff\n"])
def test_invalid_allocation_files(tmp_path: Path, content: bytes) -> None:
    """Whatever an allocation file holds that the document does not name, the genesis is invalid and says so."""
    demo = make_demo(1, certify=make_certificate, accounts=1_500, seed=b"lines", time_ms=1)
    assert demo.allocation is not None
    path = tmp_path / "genesis.json"
    path.write_bytes(demo.document)
    (tmp_path / demo.allocation[0]).write_bytes(content)

    with pytest.raises(Fault) as refused:
        read_home_genesis(path)
    assert GENESIS_INVALID is refused.value.spec
    assert "its SHA-256 is" in str(refused.value.values["errors"])
