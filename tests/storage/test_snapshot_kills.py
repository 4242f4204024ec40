"""Power cuts at every write of a snapshot that is taken or made into a store.

Nothing half counts afterwards, and the next try works.
"""

import errno
from random import Random

import pytest

from cccnode.codec import decode, encode
from cccnode.crypto.hashing import ZERO
from cccnode.types.errors import Fault
from storage import keys, snapshots, taking
from storage.memory import MemoryDisk, MemoryEngine
from storage.restoring import restore
from storage.snapshots import Content, Shelf, check_content, check_piece, piece_name
from storage.store import stamp
from tests.storage.builders import CHAIN, DEPTH, NODE, ahead, commit, open_store
from tests.storage.test_snapshots import BLOCKS, begun, facts, grown, taken

WRITES = 64
"""More than either of them does with pieces of this size."""


@pytest.fixture(autouse=True, scope="module")
def small_parts():
    """Many pieces of a small state; the test blocks name no body."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(taking, "PART_BYTES", 400)
        patched.setattr(snapshots, "body_root", lambda ids: ZERO)
        yield


@pytest.fixture(scope="module")
def source(small_parts):
    """A store, its snapshot, and where that lies."""
    store, engine = grown()
    shelf = Shelf(MemoryDisk())
    return store, engine, taken(store, engine, shelf), shelf


def cut_after(operations):
    """A disk or engine that fails after so many writes."""
    left = [operations]

    def refuse(what, path):
        left[0] -= 1
        return errno.EIO if left[0] < 0 else None

    return refuse


def whole(shelf):
    """Every snapshot that counts: all of it is there and holds."""
    for height in shelf.heights():
        content = decode(Content, shelf.manifest(height))
        check_content(content)
        for number in range(len(content.parts) + len(content.tail) + 1):
            assert shelf.disk.exists(f"{shelf.path(height)}/{piece_name(content, number)}")
            check_piece(content, number, shelf.piece(content, number))
    return shelf.heights()


def take(store, engine, shelf):
    one = begun(store, engine, shelf)
    while one.step():
        pass
    # Its certificate is not the matter here: the content stands for the manifest.
    shelf.finish(one.height, encode(one._content()))


@pytest.mark.parametrize("operations", range(WRITES + 1))
@pytest.mark.parametrize("seed", range(3))
def test_taking_is_cut_off_anywhere(source, seed, operations):
    """What counts afterwards is whole; the rest goes, and the same snapshot can be taken again."""
    store, engine, content, _ = source
    disk = MemoryDisk()
    shelf = Shelf(disk)
    disk.refuse = cut_after(operations)
    try:
        take(store, engine, shelf)
        done = True
    except Fault:
        done = False
    disk.crash(Random(seed))

    assert whole(shelf) == ([BLOCKS] if done else [])
    shelf.tidy(2)
    assert disk.list(shelf.folder) == ([f"{BLOCKS:010d}"] if done else [])
    take(store, engine, shelf)
    assert whole(shelf) == [BLOCKS]
    assert decode(Content, shelf.manifest(BLOCKS)) == content


def make(content, shelf, disk, engine):
    stamp(engine, chain=CHAIN, node_id=NODE, depth=DEPTH)
    piece = lambda number: shelf.piece(content, number)  # noqa: E731 - one line for the one argument
    for _ in restore(content, facts(), piece, disk, engine, lambda view: (ahead(BLOCKS), {})):
        pass


@pytest.mark.parametrize("operations", range(WRITES + 1))
@pytest.mark.parametrize("seed", range(3))
def test_restoring_is_cut_off_anywhere(source, seed, operations):
    """What has an applied height afterwards is the whole store; anything else is begun anew, and works."""
    store, _, content, shelf = source
    disk, engine = MemoryDisk(), MemoryEngine()
    disk.refuse = engine.refuse = cut_after(operations)
    try:
        make(content, shelf, disk, engine)
        done = True
    except Fault:
        done = False
    disk.crash(Random(seed))
    engine.crash(Random(seed))

    assert done == (engine.get(keys.APPLIED) is not None)
    if not done:
        disk, engine = MemoryDisk(), MemoryEngine()
        make(content, shelf, disk, engine)
    again = open_store(disk, engine)
    assert again.applied == store.applied
    assert again.state.root == store.state.root
    assert again.block(BLOCKS) == store.block(BLOCKS)
    assert again.receipts(BLOCKS) == store.receipts(BLOCKS)
    assert commit(again).height == BLOCKS + 1


def test_every_write_is_reached(source):
    """The numbers of writes above cover every write."""
    store, engine, content, shelf = source
    for run in (
        lambda disk, other: take(store, engine, Shelf(disk)),
        lambda disk, other: make(content, shelf, disk, other),
    ):
        disk, other, count = MemoryDisk(), MemoryEngine(), [0]

        def counted(what, path, count=count):
            count[0] += 1

        disk.refuse = other.refuse = counted
        run(disk, other)
        assert 10 < count[0] <= WRITES
