"""The facade: one pointer of truth, whatever happens between the two files that a block goes to."""

import errno
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from cccnode.codec import encode
from cccnode.crypto import merkle
from cccnode.crypto.hashing import ZERO
from cccnode.crypto.proofs import verify_state_proof
from cccnode.types.block import block_id, result_leaf
from cccnode.types.certificate import Certificate
from cccnode.types.errors import (
    BLOCKS_CORRUPT,
    DISK_FULL,
    HOME_FORMAT,
    HOME_OTHER_CHAIN,
    STATE_CORRUPT,
    Fault,
)
from cccnode.types.vote import Kind, Proposal
from storage import keys
from storage.blocks import BlockFile
from storage.memory import MemoryDisk, MemoryEngine
from storage.store import FORMAT, is_certified
from tests.storage.builders import CHAIN, DEPTH, ahead, block, commit, header, initialised, open_store, receipts, writes

CERTIFICATE = Certificate(1, Kind.FINALIZE, Proposal(2, 0, 1, b"b" * 32), b"\x07", (b"s" * 64,) * 3)


@pytest.fixture
def home():
    return MemoryDisk(), MemoryEngine()


def staged(store):
    """The next block, staged but not written."""
    following = block(store.applied.height + 1, store.applied.block_id)
    height = following.header.height
    return store.stage(following, block_id(following.header), writes(height), receipts(height)).finish()


def test_what_a_block_leaves(home):
    """A committed block is read by height and id: itself, header, receipts, results; before and after a restart."""
    store = initialised(*home)
    applied = [store.applied, *(commit(store) for _ in range(5))]
    for current in (store, open_store(*home)):
        assert current.applied == applied[-1]
        assert list(current.unapplied()) == []
        for height in range(6):
            parent = applied[height - 1].block_id if height else ZERO
            assert current.header(height) == header(height, parent)
            assert current.block(height).header == header(height, parent)
            assert current.height_of(applied[height].block_id) == height
            assert current.receipts(height) == (receipts(height) if height else [])
            assert current.applied_at(height) == applied[height]
        assert current.block(3) == block(3, applied[2].block_id)
        assert current.state.get(b"counter", b"height") == b"5"
        for missing in (current.block, current.header, current.receipts, current.applied_at, current.block_raw):
            assert missing(6) is None
        assert current.height_of(b"?" * 32) is None


def test_results_and_history_are_rfc_6962(home):
    """The frontiers give the roots over all result leaves and all block ids so far (J1)."""
    store = initialised(*home)
    for _ in range(9):
        commit(store)
    all_applied = [store.applied_at(height) for height in range(10)]
    leaves = [result_leaf(each.height, each.state_root, each.receipts_root) for each in all_applied]
    assert all_applied[4].receipts_root == merkle.root(receipts(4))
    for each in all_applied:
        assert each.results.root() == merkle.root(leaves[: each.height + 1])
        assert each.history.root() == merkle.root([one.block_id for one in all_applied[: each.height + 1]])


def test_crash_between_segment_and_state(home):
    """A block whose segment is synced but whose state batch is not is given back, and executing it heals."""
    disk, engine = home
    store = initialised(*home)
    commit(store)
    lost = staged(store)
    store.save_block(lost.block)
    disk.crash(Random(0))
    engine.crash(Random(0))
    again = open_store(*home)
    assert again.applied.height == 1
    assert [one.header.height for one in again.unapplied()] == [2]
    following = next(again.unapplied())
    outcome = again.stage(following, block_id(following.header), writes(2), receipts(2)).finish()
    again.write(outcome)
    assert again.adopt(outcome).state_root == lost.applied.state_root
    assert again.blocks.last == 2
    assert list(open_store(*home).unapplied()) == []


@given(st.integers(0, 2**32), st.integers(0, 12))
def test_crash_at_any_disk_operation(seed, operations):
    """Stop at any operation of disk or engine: the restart is at a committed height with the state of that height."""
    disk, engine = MemoryDisk(), MemoryEngine()
    store = initialised(disk, engine)
    roots, left = [store.applied.state_root], [operations]

    def refuse(what, path):
        left[0] -= 1
        return errno.EIO if left[0] < 0 else None

    disk.refuse = engine.refuse = refuse
    committed = 0
    try:
        for _ in range(10):
            roots.append(staged(store).applied.state_root)
            committed = commit(store).height
    except Fault:
        pass
    disk.crash(Random(seed))
    engine.crash(Random(seed))
    again = open_store(disk, engine)
    assert again.applied.height == committed
    assert again.applied.state_root == again.state.root == roots[committed]
    assert len(list(again.unapplied())) <= 1
    commit_count = committed + sum(1 for _ in again.unapplied())
    assert commit_count in (committed, committed + 1)


def test_a_full_disk_changes_nothing(home):
    """A refused write is named; the applied block stays and reads go on."""
    _, engine = home
    store = initialised(*home)
    outcome = staged(store)
    engine.refuse = lambda what, path: errno.ENOSPC
    with pytest.raises(Fault) as refusal:
        store.write(outcome)
    assert refusal.value.spec is DISK_FULL
    assert store.applied.height == 0
    assert store.state.get(b"counter", b"height") == b"0"


def test_saving_a_block_twice_is_once(home):
    """Blocks may be stored ahead of execution; storing or writing one again adds nothing."""
    store = initialised(*home)
    first = block(1, store.applied.block_id)
    second = block(2, block_id(first.header))
    for one in (first, second, first, second):
        store.save_block(one)
    assert [one.header.height for one in store.unapplied()] == [1, 2]
    assert store.header(2) == second.header
    commit(store)
    assert store.blocks.last == 2


@pytest.mark.parametrize(
    ("options", "spec"),
    [
        ({"chain": b"x" * 32}, HOME_OTHER_CHAIN),
        ({"node_id": b"x" * 32}, HOME_OTHER_CHAIN),
        ({"depth": DEPTH + 1}, HOME_OTHER_CHAIN),
    ],
)
def test_invalid_home(home, options, spec):
    """Data of another chain, node or tree depth are refused and not touched."""
    initialised(*home)
    with pytest.raises(Fault) as refusal:
        open_store(*home, **options)
    assert refusal.value.spec is spec
    assert open_store(*home).applied.height == 0


def test_invalid_newer_format(home):
    """Data of a newer program, or without any stamp, are refused."""
    initialised(*home)
    _, engine = home
    for value in ((FORMAT + 1).to_bytes(4, "big"), None):
        engine.write([(keys.stamp("format"), value)], sync=True)
        with pytest.raises(Fault) as refusal:
            open_store(*home)
        assert refusal.value.spec is HOME_FORMAT


@pytest.mark.parametrize("stopped_after", [0, 1, 2, 3, None])
def test_format_one_is_taken_over(stopped_after):
    """Receipts that an older program kept in the engine are moved once, wherever the first attempt was cut short."""
    disk, engine = MemoryDisk(), MemoryEngine()
    store = initialised(disk, engine)
    for _ in range(5):
        commit(store)
    old = [(b"r" + height.to_bytes(8, "big"), encode(store.receipts(height))) for height in range(6)]
    for name in disk.list("receipts"):
        disk.remove(f"receipts/{name}")
    engine.write([*old, (keys.stamp("format"), (1).to_bytes(4, "big"))], sync=True)
    if stopped_after is not None:
        begun = BlockFile.open(disk, "receipts")
        for height, (_, raw) in enumerate(old[:stopped_after]):
            begun.append(height, raw)
        begun.sync()

    again = open_store(disk, engine)

    assert [again.receipts(height) for height in range(6)] == [[], *map(receipts, range(1, 6))]
    assert not list(engine.iterate(b"r"))
    assert engine.get(keys.stamp("format")) == FORMAT.to_bytes(4, "big")
    commit(again)
    assert open_store(disk, engine).receipts(6) == receipts(6)


def test_invalid_receipts_below_applied(home):
    """Receipt files that end below the applied height are refused: something was lost that had been synced."""
    disk, _ = home
    commit(initialised(*home))
    for name in disk.list("receipts"):
        disk.remove(f"receipts/{name}")
    with pytest.raises(Fault) as refusal:
        open_store(*home)
    assert refusal.value.spec is BLOCKS_CORRUPT


def test_invalid_blocks_below_applied(home):
    """A block file that ends below the applied height is refused: something was lost that had been synced."""
    disk, _ = home
    store = initialised(*home)
    for _ in range(3):
        commit(store)
    path = f"blocks/{0:010d}.seg"
    disk.truncate(path, disk.size(path) - 1)
    with pytest.raises(Fault) as refusal:
        open_store(*home)
    assert refusal.value.spec is BLOCKS_CORRUPT


def test_invalid_unapplied_chain(home):
    """Stored blocks that do not continue the applied chain, or do not decode, are refused."""
    store = initialised(*home)
    store.save_block(block(1, b"x" * 32))
    with pytest.raises(Fault) as refusal:
        list(store.unapplied())
    assert refusal.value.spec is BLOCKS_CORRUPT
    store.blocks.append(2, b"not a block")
    with pytest.raises(Fault) as refusal:
        store.block(2)
    assert refusal.value.spec is BLOCKS_CORRUPT


def test_invalid_pointer(home):
    """An applied record that does not decode, or a state that is not its root's, is refused."""
    _, engine = home
    initialised(*home)
    sound = engine.get(keys.APPLIED)
    engine.write([(keys.APPLIED, sound[:-1])], sync=True)
    with pytest.raises(Fault) as refusal:
        open_store(*home)
    assert refusal.value.spec is STATE_CORRUPT
    engine.write([(keys.APPLIED, None)], sync=True)
    with pytest.raises(Fault) as refusal:
        open_store(*home)
    assert refusal.value.spec is STATE_CORRUPT


def test_a_wiped_state_is_rebuilt_from_blocks(home):
    """With the engine gone and the blocks kept, genesis and re-execution give the same pointer."""
    disk, _ = home
    store = initialised(*home)
    for _ in range(4):
        commit(store)
    again = initialised(disk, MemoryEngine())
    for one in list(again.unapplied()):
        height = one.header.height
        outcome = again.stage(one, block_id(one.header), writes(height), receipts(height), ahead=ahead(height)).finish()
        again.write(outcome)
        again.adopt(outcome)
    assert again.applied == store.applied


def test_records_that_ride_along(home):
    """Epoch records and named values become durable with the block, or alone; None forgets."""
    _, engine = home
    store = initialised(*home)
    following = block(1, store.applied.block_id)
    outcome = store.stage(
        following,
        block_id(following.header),
        {},
        [],
        receipts_root=merkle.EMPTY_ROOT,
        epoch_records={b"r" * 32: b"record"},
        meta={"name": b"value"},
    ).finish()
    assert store.epoch_record(b"r" * 32) is None
    store.write(outcome)
    store.adopt(outcome)
    store.put_epoch_record(b"s" * 32, b"other")
    store.put_meta("alone", b"1")
    engine.crash(Random(0))
    again = open_store(*home)
    assert [again.epoch_record(each * 32) for each in (b"r", b"s", b"t")] == [b"record", b"other", None]
    assert [again.meta(name) for name in ("name", "alone", "none")] == [b"value", b"1", None]
    again.put_meta("name", None)
    assert again.meta("name") is None


def test_proofs_are_of_the_applied_root(home):
    """A proof taken from the store verifies against `applied.state_root`."""
    store = initialised(*home)
    commit(store)
    proof = store.prove(b"counter")
    assert verify_state_proof(proof, b"counter", store.applied.state_root, DEPTH) == {b"height": b"1"}
    assert CHAIN not in proof.path


@pytest.mark.parametrize("certified", [False, True])
def test_certified(certified):
    """Whether a block carries its finalization is told from its bytes; what is no block is refused by name."""
    raw = encode(replace(block(1, ZERO), certificate=CERTIFICATE if certified else None))
    assert is_certified(raw) == certified
    for damaged in (b"", raw[:-1], encode([1, 2]), encode(None)):
        with pytest.raises(Fault) as refusal:
            is_certified(damaged)
        assert refusal.value.spec is BLOCKS_CORRUPT
