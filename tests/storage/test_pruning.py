"""Pruning: what a policy and the node's own needs leave, wherever it is interrupted."""

import errno
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

import storage.blocks
import storage.pruning
import storage.retention
from cccnode.crypto import merkle
from cccnode.crypto.merkle import Frontier
from cccnode.types.errors import PRUNED, Fault
from cccnode.types.retention import ALL, Keep, Retention
from storage.index import Index
from storage.memory import MemoryDisk, MemoryEngine
from storage.pruning import Thread, derived_pruning, pruning, run
from storage.retention import Needs, derived_wanted, rows_needed, wanted
from tests.storage.builders import commit, initialised, open_store, receipts

MIN = 6
PART = 8
WINDOW = Needs(window_ms=10)
"""Header times are a millisecond apart."""
ANCHORS = {0, 13, 21}


@pytest.fixture(autouse=True, scope="module")
def small():
    """Small files and parts, so that few blocks fill many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage.blocks, "SEGMENT_BYTES_MIN", 900)
        patch.setattr(storage.retention, "BLOCKS_MIN", MIN)
        patch.setattr(storage.retention, "HEADERS_PART", PART)
        patch.setattr(storage.pruning, "HEADERS_PART", PART)
        patch.setattr(storage.pruning, "SWEPT_AT_ONCE", 3)
        patch.setattr(storage.pruning, "COMPACTED_HEIGHTS", 2 * PART)
        yield


def prune(store, retention, needs=WINDOW):
    while (to := wanted(store, retention, needs)) != store.earliest or to.swept < to.headers:
        run(pruning(store, to, anchors=ANCHORS))


def filled(count):
    home = MemoryDisk(), MemoryEngine()
    store = initialised(*home)
    for _ in range(count):
        commit(store)
    return home, store


def check(store, blocks, retention, needs=WINDOW):
    """What is stored is exactly the newest part of what was committed, and no more of it is gone than may be."""
    tip = store.applied.height
    first = {"blocks": store.earliest_height, "receipts": store.receipts_from}
    for kind, keep in (("blocks", retention.blocks), ("receipts", retention.receipts)):
        least = keep.milliseconds if keep.milliseconds is not None else keep.blocks
        kept = tip if least is None else max(least, MIN, needs.window_ms if kind == "receipts" else 0)
        assert first[kind] <= max(1, tip - kept + 1)
    for height in range(1, tip + 1):
        block = store.block(height)
        assert block == (blocks[height] if height >= first["blocks"] else None)
        assert store.receipts(height) == (receipts(height) if height >= first["receipts"] else None)
    for height in range(tip + 1):
        part = height - height % PART
        stays = height >= store.earliest.headers or height in rows_needed(ANCHORS, part)
        assert (store.header(height) is not None) == (stays or height >= first["blocks"])
        assert (store.applied_at(height) is not None) == stays


def names_of(disk, folder):
    return {int(name[:-4]) for name in disk.list(folder)}


def test_what_a_policy_leaves():
    """Whole files go, a policy for each kind; what is kept is read as before, before and after a restart."""
    retention = Retention(blocks=Keep(blocks=20), receipts=Keep(milliseconds=40), headers=Keep(blocks=30))
    home, store = filled(100)
    blocks = {height: store.block(height) for height in range(1, 101)}
    before = home[0].usage("blocks")
    prune(store, retention)
    for current in (store, open_store(*home)):
        check(current, blocks, retention)
        assert 60 < current.earliest_height <= 81
        assert 40 < current.receipts_from <= 61
        assert 24 <= current.earliest.headers == current.earliest.swept <= 56
        assert wanted(current, retention, WINDOW) == current.earliest
    assert home[0].usage("blocks") < before / 2
    assert min(names_of(home[0], "blocks")) == store.earliest_height
    assert min(names_of(home[0], "receipts")) == store.receipts_from


def test_everything_is_kept_by_default():
    """Without a policy nothing goes, and there is nothing to do."""
    _, store = filled(60)
    assert wanted(store, Retention(), WINDOW) == store.earliest
    assert (store.earliest_height, store.receipts_from) == (1, 0)
    assert derived_wanted(store, ALL) == 0


@pytest.mark.parametrize(
    ("needs", "kind", "most"),
    [
        (Needs(window_ms=10, snapshot=30), "blocks", 30),
        (Needs(window_ms=10, snapshot=30), "receipts", 30),
        (Needs(window_ms=10, indexed=25), "receipts", 25),
        (Needs(window_ms=50), "receipts", 50),
        (Needs(window_ms=10, snapshot=0), "blocks", 1),
    ],
)
def test_what_no_policy_gives_away(needs, kind, most):
    """Above the newest snapshot, in the duplicate window, or not indexed yet: it stays, whatever the policy."""
    home, store = filled(100)
    prune(store, Retention(blocks=Keep(blocks=1), receipts=Keep(blocks=1), headers=Keep(blocks=1)), needs)
    first = {"blocks": store.earliest_height, "receipts": store.receipts_from}[kind]
    assert most - 32 <= first <= most
    again = open_store(*home)
    assert again.applied.height == 100
    assert all(again.receipts(height) is not None for height in range(100 - needs.window_ms, 101))


def test_pruned_is_a_named_error():
    """The error names the height and the earliest one that is kept."""
    _, store = filled(60)
    prune(store, Retention(blocks=Keep(blocks=10)))
    refusal = store.pruned(3)
    assert refusal.spec is PRUNED
    assert refusal.values == {"height": 3, "earliest": store.earliest_height}
    assert store.block(3) is None


def test_old_blocks_stay_provable():
    """Genesis and the anchors lie provably in the history of every later block, however little is kept."""
    _, store = filled(100)
    ids = [store.applied_at(height).block_id for height in range(101)]
    prune(store, Retention(blocks=Keep(blocks=5), receipts=Keep(blocks=5), headers=Keep(blocks=5)))
    assert store.earliest.swept >= 80

    def history(height):
        return store.applied_at(height).history

    def range_root(start, end):
        count = end - 1 - start
        before = history(end - 2) if count else Frontier()
        return before.last(count, store.applied_at(end - 1).block_id)

    for anchor in ANCHORS:
        for size in (95, 97, 100):
            before = history(anchor - 1) if anchor else Frontier()
            path = merkle.inclusion_path(anchor, size, before, range_root)
            root = history(size - 1).root()
            assert merkle.verify_inclusion(leaf=ids[anchor], index=anchor, size=size, path=path, root=root)


KEEPS = st.one_of(
    st.just(ALL), st.builds(Keep, blocks=st.integers(1, 40)), st.builds(Keep, milliseconds=st.integers(1, 40))
)
POLICIES = st.builds(Retention, blocks=KEEPS, receipts=KEEPS, headers=KEEPS)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("commit"), st.integers(1, 25)),
        st.tuples(st.just("prune"), POLICIES),
        st.tuples(st.just("break off"), st.tuples(POLICIES, st.integers(0, 12))),
        st.tuples(st.just("reopen"), st.integers(0, 2**32)),
    ),
    max_size=12,
)


@given(STEPS)
def test_any_order(steps):
    """Whatever is committed, pruned, broken off, crashed and opened again: the retained end is all there, exactly."""
    home = MemoryDisk(), MemoryEngine()
    store, blocks, earliest = initialised(*home), {}, (1, 0)
    for what, value in steps:
        if what == "commit":
            for _ in range(value):
                commit(store)
                blocks[store.applied.height] = store.block(store.applied.height)
        elif what == "prune":
            prune(store, value)
            assert wanted(store, value, WINDOW) == store.earliest
        elif what == "break off":
            break_off(home, store, *value)
            store = open_store(*home)
        else:
            for part in home:
                part.crash(Random(value))
            store = open_store(*home)
        assert store.applied.height == len(blocks)
        before, earliest = earliest, (store.earliest_height, store.receipts_from)
        assert before[0] <= earliest[0] <= max(before[0], len(blocks) - MIN + 1)
        assert before[1] <= earliest[1] <= max(before[1], len(blocks) - WINDOW.window_ms + 1)
        kept = {height: block for height, block in blocks.items() if height >= earliest[0]}
        assert {height: store.block(height) for height in blocks if store.block(height) is not None} == kept
        for height in blocks:
            assert store.receipts(height) == (receipts(height) if height >= earliest[1] else None)
            assert store.applied_at(height) is not None or height < store.earliest.headers


def break_off(home, store, retention, operations):
    """Prune until so many operations of disk and engine were done, then lose what a power failure may lose."""
    disk, engine = home
    left = [operations]

    def refuse(_what, _path):
        left[0] -= 1
        return errno.EIO if left[0] < 0 else None

    disk.refuse = engine.refuse = refuse
    broken = False
    try:
        prune(store, retention)
    except Fault:
        broken = True
    disk.crash(Random(operations))
    engine.crash(Random(operations))
    return broken


def test_interrupted_at_every_operation():
    """Broken off at each operation of disk and engine in turn: the next start opens, and pruning ends alike."""
    retention = Retention(blocks=Keep(blocks=20), receipts=Keep(blocks=30), headers=Keep(blocks=35))
    whole, store = filled(100)
    blocks = {height: store.block(height) for height in range(1, 101)}
    prune(store, retention)
    expected = rows(whole), files(whole[0])
    operations = 0
    while True:
        home, store = filled(100)
        broken = break_off(home, store, retention, operations)
        again = open_store(*home)
        assert all(again.block(height) == blocks[height] for height in range(81, 101))
        assert again.applied.height == 100
        prune(again, retention)
        check(again, blocks, retention)
        assert (rows(home), files(home[0])) == expected
        if not broken:
            break
        operations += 1
    assert operations > 20


def rows(home):
    return dict(home[1].iterate(b""))


def files(disk):
    return {
        folder: [(name, disk.read(f"{folder}/{name}")) for name in disk.list(folder)]
        for folder in ("blocks", "receipts")
    }


def test_a_large_file_goes_in_steps(monkeypatch):
    """The space of a large file comes back in steps; broken off between, the rest goes at the next start."""
    monkeypatch.setattr(storage.blocks, "REMOVED_BYTES", 200)
    home, store = filled(60)
    retention = Retention(blocks=Keep(blocks=10))
    steps = pruning(store, wanted(store, retention, WINDOW), anchors=())
    answers = []
    thread, job = next(steps)
    try:
        while len(answers) < 4:
            answers.append(job())
            thread, job = steps.send(answers[-1])
    except StopIteration:
        pytest.fail("more steps than that")
    assert answers[1:] == [200, 200, 200]
    assert thread == "prune"
    again = open_store(*home)
    assert again.earliest_height == store.earliest_height == min(names_of(home[0], "blocks"))
    assert again.block(again.earliest_height) is not None


def test_index_follows_its_policy(tmp_path):
    """What was decided below a height is forgotten in pieces, the rest is found; the file becomes smaller."""
    index = Index(tmp_path / "tx.sqlite")
    rng = Random(5)
    ids = {height: [rng.randbytes(32) for _ in range(400)] for height in range(1, 101)}
    index.add(list(ids.items()))
    index.close()
    before = file_bytes(tmp_path)
    index = Index(tmp_path / "tx.sqlite")
    run(derived_pruning(index, Thread.INDEX, 91))
    assert index.earliest == 91
    assert all(index.lookup(one) is None for height in range(1, 91) for one in ids[height][:20])
    assert [index.lookup(one) for one in ids[95]] == [(95, position) for position in range(400)]
    index.close()
    assert file_bytes(tmp_path) < before / 3
    again = Index(tmp_path / "tx.sqlite")
    assert (again.earliest, again.indexed_height) == (91, 100)
    again.close()


def file_bytes(folder):
    return sum(path.stat().st_size for path in folder.iterdir() if path.suffix == ".sqlite")


def test_where_the_index_begins():
    """The index is asked for exactly the heights that its policy keeps, never for the newest few."""
    _, store = filled(100)
    assert derived_wanted(store, Keep(blocks=30)) == 71
    assert derived_wanted(store, Keep(milliseconds=50)) == 50
    assert derived_wanted(store, Keep(blocks=1)) == 100 - MIN
    index = Index(None)
    index.begin(50)
    assert (index.earliest, index.indexed_height) == (50, 49)
    index.begin(20)
    assert index.earliest == 50
    index.close()
