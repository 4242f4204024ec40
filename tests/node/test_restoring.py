"""A snapshot becomes the data of a home: whole or not at all, and never over what is newer."""

from pathlib import Path

import pytest

from cccnode.city.registry.record import epoch_record
from cccnode.cli.testnet_files import prepare
from cccnode.home import Home
from cccnode.node import restoring
from cccnode.node.data import initialise, read_home_genesis, read_home_outline
from cccnode.node.restoring import HomeTarget, origin_of, swap_in
from cccnode.types.errors import DISK_FULL, SNAPSHOT_OLDER, Fault
from cccnode.types.validators import epoch_record_hash
from storage.files import RealDisk
from storage.leveldb import LevelDB
from storage.memory import MemoryDisk, MemoryEngine
from storage.store import Store


def whole(data: Path) -> None:
    """Old data, and restored data that is whole."""
    for folder, text in ((data, "old"), (data / "restored", "new")):
        for name in ("state", "blocks", "receipts"):
            (folder / name).mkdir(parents=True)
            (folder / name / "file").write_text(text)
    (data / "index").mkdir()
    (data / "history").mkdir()
    (data / "journal").mkdir()
    (data / "restored" / "READY").touch()


def now(data: Path) -> dict[str, str]:
    return {name: (data / name / "file").read_text() for name in ("state", "blocks", "receipts")}


def test_whole_data_comes_in_place(tmp_path: Path) -> None:
    """What was restored replaces the old, what is derived goes, votes stay; the second time there is nothing to do."""
    whole(tmp_path)

    assert swap_in(tmp_path)
    assert now(tmp_path) == {"state": "new", "blocks": "new", "receipts": "new"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["blocks", "journal", "receipts", "state"]
    assert not swap_in(tmp_path)


def test_what_is_not_whole_changes_nothing(tmp_path: Path) -> None:
    """Without its mark it is what an interrupted building left."""
    whole(tmp_path)
    (tmp_path / "restored" / "READY").unlink()

    assert not swap_in(tmp_path)
    assert now(tmp_path) == {"state": "old", "blocks": "old", "receipts": "old"}


@pytest.mark.parametrize("moment", range(9))
def test_a_swap_that_is_cut_off_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int) -> None:
    """Killed between any two steps, the next start ends it."""
    whole(tmp_path)
    steps = iter(range(100))
    remove, rename = restoring.shutil.rmtree, Path.rename

    def counted(call):
        def step(*arguments, **options):
            if next(steps) == moment:
                raise OSError(28, "cut off")
            return call(*arguments, **options)

        return step

    with monkeypatch.context() as patched:
        patched.setattr(restoring.shutil, "rmtree", counted(remove))
        patched.setattr(Path, "rename", counted(rename))
        with pytest.raises(Fault) as found:
            swap_in(tmp_path)
    assert found.value.spec is DISK_FULL or found.value.values
    assert swap_in(tmp_path)
    assert now(tmp_path) == {"state": "new", "blocks": "new", "receipts": "new"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["blocks", "journal", "receipts", "state"]


def test_trust_begins_without_the_accounts(tmp_path: Path) -> None:
    """The validators of genesis are the same with and without its allocation file."""
    prepare(Home(tmp_path), validators=4, accounts=30)
    home = Home(tmp_path / "node0")
    genesis = read_home_genesis(home.genesis_file)
    store = Store.open(
        MemoryDisk(), MemoryEngine(), chain=genesis.chain, node_id=b"", depth=genesis.document.state_depth
    )
    header = initialise(store, genesis)
    origin = origin_of(read_home_outline(home.genesis_file))

    assert epoch_record(store.state, 0) == origin.record
    assert header.epoch_record_hash == epoch_record_hash(origin.record)


def test_a_target_is_begun_anew(tmp_path: Path) -> None:
    """What an interrupted building left is deleted; what the node remembers is taken along."""
    target = HomeTarget(tmp_path, chain=b"c" * 32, node_id=b"n", depth=4, remember=lambda: {"evidence": b"x"})
    for _ in range(2):
        disk, engine = target.begin()
        assert [key for key, _ in engine.iterate(b"g")] == []
        assert engine.get(b"mevidence") == b"x"
        engine.write([(b"gleft", b"over")], sync=True)
        engine.close()
        disk.close()
    target.finish()
    assert swap_in(tmp_path)
    engine = LevelDB(tmp_path / "state")
    assert engine.get(b"gleft") == b"over"
    engine.close()


def test_a_home_that_is_further_is_left_alone(tmp_path: Path) -> None:
    """A snapshot from before takes nothing away."""
    prepare(Home(tmp_path), validators=1, accounts=3)
    home = Home(tmp_path / "node0")
    genesis = read_home_genesis(home.genesis_file)
    engine = LevelDB(home.data / "state")
    store = Store.open(
        RealDisk(home.data), engine, chain=genesis.chain, node_id=b"n", depth=genesis.document.state_depth
    )
    initialise(store, genesis)
    engine.close()

    with pytest.raises(Fault) as found:
        restoring._look(home, 0)
    assert found.value.spec is SNAPSHOT_OLDER
    assert restoring._look(home, 1) == {}
