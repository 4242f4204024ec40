"""Snapshots of a store: pieces that cover the state, taken while it changes, made into the same store again."""

from pathlib import Path
from random import Random

import pytest

from cccnode.codec import encode
from cccnode.crypto.hashing import ZERO
from cccnode.types.errors import OVERSIZE, SNAPSHOT_INVALID, SNAPSHOT_MISSING, Fault
from storage import snapshots, taking
from storage.leveldb import LevelDB
from storage.memory import MemoryDisk, MemoryEngine
from storage.restoring import Facts, restore
from storage.snapshots import NO_PATH, GenesisPath, Shelf, check_content, read_manifest, state_rows
from storage.store import stamp
from storage.taking import Taking
from tests.storage.builders import CHAIN, DEPTH, NODE, ahead, commit, header, initialised, open_store

BLOCKS = 40
SPAN_MS = 10


def grown(engine=None):
    """A store with some blocks."""
    disk, engine = MemoryDisk(), engine or MemoryEngine()
    store = initialised(disk, engine)
    for _ in range(BLOCKS):
        commit(store)
    return store, engine


def begun(store, engine, shelf):
    return Taking(store, engine.snapshot(), shelf, chain=CHAIN, depth=DEPTH, span_ms=SPAN_MS)


def taken(store, engine, shelf):
    """Content of a snapshot whose pieces are all on the shelf."""
    one = begun(store, engine, shelf)
    while one.step():
        pass
    return one._content()


def facts():
    return Facts(lifetime_ms=SPAN_MS, headers=(header(0),), records={}, meta={"x": b"y"}, certificate=None)


def rebuilt(content, shelf, piece=None):
    """Disk and engine made of a snapshot."""
    disk, engine = MemoryDisk(), MemoryEngine()
    stamp(engine, chain=CHAIN, node_id=NODE, depth=DEPTH)
    piece = piece or (lambda number: shelf.piece(content, number))
    for _ in restore(content, facts(), piece, disk, engine, lambda view: (ahead(BLOCKS), {})):
        pass
    return disk, engine


@pytest.fixture(params=["memory", "leveldb"])
def engine(request, tmp_path: Path):
    made = MemoryEngine() if request.param == "memory" else LevelDB(tmp_path / "state")
    yield made
    made.close()


def test_a_reading_stays_as_it_was(engine):
    """What is written afterwards is not in it, whatever the engine."""
    engine.write([(b"ga", b"1"), (b"gb", b"2"), (b"h", b"3")], sync=False)
    reading = engine.snapshot()
    engine.write([(b"ga", b"9"), (b"gb", None), (b"gc", b"4")], sync=False)

    assert [(b"ga", b"1"), (b"gb", b"2")] == list(reading.iterate(b"g"))
    assert (b"1", None, b"3") == (reading.get(b"ga"), reading.get(b"gc"), reading.get(b"h"))
    assert [(b"ga", b"9"), (b"gc", b"4")] == list(engine.iterate(b"g"))
    reading.close()


@pytest.mark.parametrize("part_bytes", [1, 200, 1_000, 4_000, 1 << 20])
def test_the_parts_cover_the_state(monkeypatch, part_bytes):
    """However small the parts, they lead to the state root and hold every group once, none larger than it must be."""
    monkeypatch.setattr(taking, "PART_BYTES", part_bytes)
    store, engine = grown()
    shelf = Shelf(MemoryDisk())
    content = taken(store, engine, shelf)
    check_content(content)
    rows: list = []
    for number in range(len(content.parts)):
        rows += state_rows(content, number, shelf.piece(content, number))

    assert len(rows) == content.groups == sum(1 for _ in engine.iterate(b"g"))
    assert {group: store.state.group(group) for _, (group, _) in rows} == {
        group: dict(snapshots.decode(list[tuple[bytes, bytes]], record)) for _, (group, record) in rows
    }
    for part in content.parts:
        size = shelf.disk.size(f"{shelf.path(BLOCKS)}/{snapshots.state_name(part)}")
        assert part.level == 0 or size <= part_bytes
    assert part_bytes > 1 or len(content.parts) > DEPTH
    assert part_bytes < 1 << 20 or len(content.parts) == 1


def test_it_is_taken_while_the_state_changes(engine):
    """Blocks that are executed between two steps are not in it."""
    store, engine = grown(engine)
    one, other = Shelf(MemoryDisk()), Shelf(MemoryDisk())
    quiet = taken(store, engine, one)
    changing = begun(store, engine, other)
    commit(store)
    while changing.step():
        commit(store)

    assert store.applied.height > BLOCKS + 1
    assert changing._content() == quiet
    assert [one.piece(quiet, number) for number in range(len(quiet.parts))] == [
        other.piece(quiet, number) for number in range(len(quiet.parts))
    ]


def test_the_same_store_again(monkeypatch):
    """Restored, it has the same state, window and pointers, and goes on with the next block."""
    monkeypatch.setattr(taking, "PART_BYTES", 400)
    monkeypatch.setattr(snapshots, "body_root", lambda ids: ZERO)
    store, engine = grown()
    shelf = Shelf(MemoryDisk())
    content = taken(store, engine, shelf)
    again = open_store(*rebuilt(content, shelf))

    assert again.applied == store.applied
    assert again.state.root == store.state.root
    assert again.block(BLOCKS) == store.block(BLOCKS)
    assert again.meta("x") == b"y"
    for height in range(BLOCKS - SPAN_MS + 1, BLOCKS + 1):
        assert again.receipts(height) == store.receipts(height)
        assert again.header(height) == store.header(height)
    assert again.header(5) is None
    assert commit(again) == commit(store)


def test_none_for_a_window_after_a_restore(monkeypatch):
    """Who began at a snapshot lacks what others executed: it hears so before its state is read."""
    monkeypatch.setattr(snapshots, "body_root", lambda ids: ZERO)
    store, engine = grown()
    shelf, new = Shelf(MemoryDisk()), Shelf(MemoryDisk())
    disk, engine = rebuilt(taken(store, engine, shelf), shelf)
    again = open_store(disk, engine)

    with pytest.raises(Fault) as found:
        begun(again, engine, new).step()
    assert found.value.spec is SNAPSHOT_INVALID
    assert new.disk.list(new.path(BLOCKS)) == []
    for _ in range(SPAN_MS + 1):
        commit(again)
    assert taken(again, engine, new).applied == again.applied


def test_damaged_pieces_make_no_store(monkeypatch):
    """Whichever piece is another, the restoring ends with the reason."""
    monkeypatch.setattr(taking, "PART_BYTES", 400)
    monkeypatch.setattr(snapshots, "body_root", lambda ids: ZERO)
    store, engine = grown()
    shelf = Shelf(MemoryDisk())
    content = taken(store, engine, shelf)
    count = len(content.parts) + len(content.tail) + 1

    assert len(content.parts) > 1
    assert len(content.tail) > 1
    for bad in range(count):
        for raw in (b"", b"\x90", shelf.piece(content, (bad + 1) % count)):
            if raw == shelf.piece(content, bad):
                continue  # A part without groups.
            with pytest.raises(Fault) as found:
                rebuilt(content, shelf, lambda number: raw if number == bad else shelf.piece(content, number))  # noqa: B023
            assert found.value.spec is SNAPSHOT_INVALID


def test_a_stored_state_that_is_not_the_applied_one():
    """A damaged record makes no snapshot."""
    store, engine = grown()
    key, _ = next(engine.iterate(b"g"))
    for puts in ([(key, None)], [(key, b"?")]):
        engine.write(puts, sync=True)
        with pytest.raises(Fault) as found:
            taken(store, engine, Shelf(MemoryDisk()))
        assert found.value.spec is SNAPSHOT_INVALID


def test_a_piece_must_fit_a_frame(monkeypatch):
    """A state with a bucket that no frame carries has no snapshot, and says why."""
    monkeypatch.setattr(taking, "PIECE_BYTES_MAX", 100)
    store, engine = grown()
    with pytest.raises(Fault) as found:
        taken(store, engine, Shelf(MemoryDisk()))
    assert found.value.spec is OVERSIZE


def test_the_shelf():
    """A snapshot counts once its manifest is there; what was never finished, and what is old, goes."""
    shelf = Shelf(MemoryDisk())
    for height in (10, 20, 30, 40):
        shelf.put(height, "block", b"x")
    for height in (10, 20, 30):
        shelf.finish(height, b"manifest")

    assert [10, 20, 30] == shelf.heights()
    shelf.tidy(2)
    assert [20, 30] == shelf.heights()
    assert ["0000000020", "0000000030"] == shelf.disk.list(shelf.folder)
    assert shelf.manifest(20) == b"manifest"
    shelf.tidy(0)
    assert shelf.heights() == []
    with pytest.raises(Fault) as found:
        shelf.manifest(20)
    assert found.value.spec is SNAPSHOT_MISSING


def test_a_manifest_that_is_none():
    """Foreign bytes are refused by name."""
    for raw in (b"", b"\xc1", encode([1, 2]), Random(1).randbytes(500), bytes(snapshots.MANIFEST_BYTES_MAX + 1)):
        with pytest.raises(Fault) as found:
            read_manifest(raw)
        assert found.value.spec is SNAPSHOT_INVALID


def test_the_way_to_genesis_grows():
    """Out of any earlier one and the heights from there on, it is the same as out of all."""
    store, _ = grown()
    for known in range(2, BLOCKS + 1):
        earlier = GenesisPath(known, snapshots.history_path(store.applied_at, 0, known))

        def kept(height, known=known):
            return store.applied_at(height) if height >= known - 1 else None

        for size in range(known, BLOCKS + 2):
            whole = snapshots.history_path(store.applied_at, 0, size)
            assert snapshots.genesis_path(kept, size, earlier) == whole
            assert snapshots.genesis_path(store.applied_at, size, NO_PATH) == whole
