"""Damaged homes are mended by what costs least; what is given up is set aside; votes and keys are never touched."""

import shutil
import sqlite3
from pathlib import Path
from typing import Self

import pytest
from msgspec.structs import replace

from cccnode import keys as key_files
from cccnode.cli.testnet_files import prepare
from cccnode.codec import encode
from cccnode.crypto.merkle import root
from cccnode.home import Home
from cccnode.ledger.receipts import decided_ids
from cccnode.node import mending
from cccnode.node.counting import Reindexing, compact, stats
from cccnode.node.data import initialise, read_home_genesis
from cccnode.node.mending import Mending, Report
from cccnode.node.verifying import INDEX_FILE, HomeCheck, look_at_start, quick_check
from cccnode.types.batch import batch_id
from cccnode.types.block import FinalBlock, block_id, body_root
from cccnode.types.errors import DATA_DAMAGED, HOME_EMPTY, Fault
from cccnode.types.receipt import Receipt
from storage import keys
from storage.blocks import FOLDER, RECEIPTS_FOLDER
from storage.files import RealDisk
from storage.index import Index
from storage.leveldb import LevelDB
from storage.segments import Segments
from storage.store import Store

BLOCKS = 60
PER_FILE = 10


class Opened:
    """The store of a home, while it is open."""

    def __init__(self, home: Home) -> None:
        self.home = home
        genesis = read_home_genesis(home.genesis_file)
        self.engine, self.disk = LevelDB(home.data / "state"), RealDisk(home.data)
        node_id, depth = key_files.read(home.first_node_key).public_key, genesis.document.state_depth
        self.store = Store.open(self.disk, self.engine, chain=genesis.chain, node_id=node_id, depth=depth)
        self.genesis = initialise(self.store, genesis)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.engine.close()
        self.disk.close()

    def grow(self, blocks: int) -> None:
        """Blocks whose headers say what they should; nobody certified them."""
        for _ in range(blocks):
            applied = self.store.applied
            assert applied is not None
            height = applied.height + 1
            batches = ((b"transaction of %d" % height,),)
            reported = self.store.applied_at(max(0, height - 2))
            header = replace(
                self.genesis,
                height=height,
                view=height,
                parent_view=height - 1,
                parent=applied.block_id,
                time_ms=applied.time_ms + 60_000,
                body_root=body_root(tuple(map(batch_id, batches))),
                tx_count=1,
                exec_height=reported.height,
                state_root=reported.state_root,
                results_root=reported.results.root(),
                history_root=applied.history.root(),
            )
            receipts = [encode(Receipt(b"%032d" % height, 0, 1, ()))]
            staged = self.store.stage(
                FinalBlock(header, batches, None, ()),
                block_id(header),
                {b"account/%d" % height: {b"balance": b"%d" % height}},
                receipts,
                receipts_root=root(receipts),
            ).finish()
            self.store.write(staged)
            self.store.adopt(staged)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty blocks, a minute apart, ten in a file, with an index."""
    folder = tmp_path_factory.mktemp("template")
    prepare(Home(folder), validators=1, accounts=3)
    made = Home(folder / "node0")
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(mending.BlockFile.open.__func__.__kwdefaults__, "segment_heights", PER_FILE)
        with Opened(made) as opened:
            opened.grow(BLOCKS)
            index = Index(made.data / INDEX_FILE)
            index.add([(at, decided_ids(opened.store.receipts(at) or ())) for at in range(1, BLOCKS + 1)])
            index.close()
    return made.root


@pytest.fixture
def home(template: Path, tmp_path: Path) -> Home:
    """A home to be spoilt."""
    return Home(shutil.copytree(template, tmp_path / "home"))


def mended(home: Home) -> Report:
    work = Mending(home)
    for _ in work.steps():
        pass
    return work.report


def sound(home: Home) -> bool:
    check = HomeCheck(home)
    for _ in check.steps():
        pass
    check.close()
    assert check.audit.sound, [str(finding) for finding in check.audit.findings]
    return True


def spoil(home: Home, folder: str, height: int) -> None:
    """One byte of the record of a height becomes another."""
    disk = RealDisk(home.data)
    start = max(start for start in Segments(disk, folder).starts() if start <= height)
    path = home.data / Segments(disk, folder).path(start)
    raw = bytearray(path.read_bytes())
    sizes = [len(record) + 16 for at, record in Segments(disk, folder).records(max(start, 1), height)]
    raw[sum(sizes) - 3] ^= 1
    path.write_bytes(raw)


def test_a_sound_home(home: Home) -> None:
    """Nothing is found, nothing is done."""
    assert sound(home)
    report = mended(home)
    assert (report.found, report.done, report.lost, report.aside) == ([], [], [], None)
    assert quick_check(home).sound


def test_a_torn_end(home: Home) -> None:
    """Half a record at the end was never finished: it is cut off."""
    path = max((home.data / "blocks").glob("*.seg"))
    with path.open("ab") as file:
        file.write(path.read_bytes()[:50])
    report = mended(home)
    assert any("50 bytes of a record that was never finished" in line for line in report.done)
    assert sound(home)


def test_what_stands_beside_the_files(home: Home) -> None:
    """Indexes of block files are made anew."""
    for path in (home.data / "blocks").glob("*.idx"):
        path.unlink()
    report = mended(home)
    assert sum("made anew" in line for line in report.done) >= 1
    assert sound(home)


def test_block_ids(home: Home) -> None:
    """Rows by block id follow from the headers."""
    engine = LevelDB(home.data / "state")
    rows = list(engine.iterate(keys.HEIGHT_OF))
    engine.write([(rows[3][0], None), (rows[4][0], b"\7" * 8), (keys.height_of(b"z" * 32), b"\1" * 8)], sync=True)
    engine.close()
    report = mended(home)
    assert report.done == ["3 rows by block id were made anew from the headers"]
    assert sound(home)


def test_the_index(home: Home) -> None:
    """An index that lies is removed; filled again it agrees."""
    connection = sqlite3.connect(home.data / INDEX_FILE)
    connection.execute("UPDATE tx SET position = 7 WHERE height = 5")
    connection.commit()
    connection.close()
    report = mended(home)
    assert report.found == [
        "index at height 5: transaction " + (b"%032d" % 5).hex()[:16] + " is not found where it was decided"
    ]
    assert not (home.data / INDEX_FILE).exists()
    work = Reindexing(home)
    for _ in work.steps():
        pass
    work.close()
    assert (work.transactions, work.height) == (BLOCKS, BLOCKS)
    assert sound(home)
    assert stats(home)["index"]["transactions"] == BLOCKS


def test_leveldb_mends_itself(home: Home) -> None:
    """A state folder without its manifest is mended by LevelDB, and then found whole."""
    (home.data / "state" / "CURRENT").unlink()
    for path in (home.data / "state").glob("MANIFEST*"):
        path.unlink()
    report = mended(home)
    assert "LevelDB's own repair of data/state" in report.done
    assert sound(home)


@pytest.mark.parametrize("folder", [FOLDER, RECEIPTS_FOLDER])
def test_old_files(home: Home, folder: str) -> None:
    """A damaged old file goes as if it had been pruned, with those before it; the rest stays."""
    spoil(home, folder, 25)
    report = mended(home)
    assert report.lost == [f"{folder} below height 30; other nodes have them"]
    assert sound(home)
    with Opened(home) as opened:
        assert getattr(opened.store.earliest, folder) == 30
        opened.grow(3)
    assert {path.name for path in (report.aside / folder).glob("*.seg")} == {
        "0000000000.seg",
        "0000000010.seg",
        "0000000020.seg",
    }
    assert report.following == "The data is sound: start the node."


@pytest.mark.parametrize(("folder", "kept"), [(FOLDER, BLOCKS - 3), (RECEIPTS_FOLDER, BLOCKS)])
def test_new_files(home: Home, folder: str, kept: int) -> None:
    """Damage where the start reads: the state is set aside, to be made again from the blocks that are sound."""
    spoil(home, folder, BLOCKS - 2)
    report = mended(home)
    assert f"it executes blocks 1 to {kept} again" in report.following
    assert not (home.data / "state").exists()
    assert not (home.data / "receipts").exists()
    assert (report.aside / "state").exists()
    with Opened(home) as opened:
        assert [block.header.height for block in opened.store.unapplied()] == list(range(1, kept + 1))


def test_the_state(home: Home) -> None:
    """A state that does not have its root is made again from the blocks, all of which are sound."""
    engine = LevelDB(home.data / "state")
    key, _ = next(engine.iterate(keys.GROUP))
    engine.write([(key, encode([[b"balance", b"more"]]))], sync=True)
    engine.close()
    assert not quick_check(home).sound
    report = mended(home)
    assert any(line.startswith("state") for line in report.found)
    assert f"it executes blocks 1 to {BLOCKS} again" in report.following
    with Opened(home) as opened:
        assert len(list(opened.store.unapplied())) == BLOCKS


def test_nothing_to_begin_with(home: Home) -> None:
    """State and oldest blocks damaged: all that can be fetched is set aside; votes and keys stay."""
    (home.data / "journal" / "0").mkdir(exist_ok=True)
    (home.data / "journal" / "0" / "vote").write_bytes(b"vote")
    spoil(home, FOLDER, 1)
    engine = LevelDB(home.data / "state")
    key, _ = next(engine.iterate(keys.GROUP))
    engine.write([(key, None)], sync=True)
    engine.close()
    report = mended(home)
    assert report.following == "Start the node: it fetches state and blocks from other nodes."
    assert {path.name for path in home.data.iterdir()} == {"journal", report.aside.name}
    assert (home.data / "journal" / "0" / "vote").read_bytes() == b"vote"
    with pytest.raises(Fault) as refused:
        mended(home)
    assert refused.value.spec is HOME_EMPTY


def test_a_start_looks(home: Home) -> None:
    """A start reads its newest blocks: damage there is said before anything is served; what is older is not read."""
    for height, found in ((5, False), (BLOCKS - 1, True)):
        spoil(home, FOLDER, height)
        engine, disk = LevelDB(home.data / "state"), RealDisk(home.data)
        try:
            if found:
                with pytest.raises(Fault) as refused:
                    look_at_start(engine, disk)
                assert refused.value.spec is DATA_DAMAGED
                assert f"blocks at height {height}" in refused.value.values["findings"][0]
            else:
                assert look_at_start(engine, disk)["height"] == BLOCKS
        finally:
            engine.close()
            disk.close()


def test_counted_and_compacted(home: Home) -> None:
    """Files, bytes and rows by kind; after compacting the same rows in no more bytes."""
    before = stats(home)
    assert before["blocks"]["files"] == 14
    assert before["state"]["headers"] == BLOCKS + 1
    assert before["state"]["height"] == BLOCKS
    assert before["blocks"]["first_height"] == 1
    found = compact(home)
    assert set(found) == {"state", "index"}
    assert stats(home)["state"]["groups"] == before["state"]["groups"]
    assert sound(home)


def test_an_empty_home(tmp_path: Path) -> None:
    """A home without data has nothing to count, to compact, to index or to mend."""
    empty = Home(tmp_path)
    for call in (stats, compact, Reindexing, mended, quick_check):
        with pytest.raises(Fault) as refused:
            call(empty)
        assert refused.value.spec is HOME_EMPTY
