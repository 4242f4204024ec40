"""A backup becomes the data of a home: refused where it does not belong, whole or not at all, and without votes."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from cccnode import keys as key_files
from cccnode.cli.testnet_files import prepare
from cccnode.driver.evidence import EVIDENCE
from cccnode.home import Home
from cccnode.keys import Role
from cccnode.node.backups import Taking, locked_folder, restore_home, running_source, small_files, stopped_source
from cccnode.node.data import (
    found_journal,
    has_journal,
    initialise,
    open_journal,
    read_home_genesis,
)
from cccnode.node.verifying import BackupCheck, HomeCheck
from cccnode.types.errors import (
    BACKUP_BUSY,
    BACKUP_INVALID,
    HOME_EMPTY,
    HOME_OTHER_CHAIN,
    KEY_MISSING,
    RESTORE_OVER,
    UNREACHABLE,
    Fault,
)
from storage import keys
from storage.backup import Part, read_manifest
from storage.files import RealDisk
from storage.journal import Journal
from storage.leveldb import LevelDB
from storage.store import Store


def written(home: Home) -> None:
    """The data of a node that has executed nothing yet."""
    genesis = read_home_genesis(home.genesis_file)
    engine, disk = LevelDB(home.data / "state"), RealDisk(home.data)
    node_id = key_files.read(home.first_node_key).public_key
    store = Store.open(disk, engine, chain=genesis.chain, node_id=node_id, depth=genesis.document.state_depth)
    initialise(store, genesis)
    engine.close()
    disk.close()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    prepare(Home(tmp_path / "net"), validators=2, accounts=3)
    node = Home(tmp_path / "net" / "node0")
    written(node)
    return node


@pytest.fixture
def other(home: Home) -> Home:
    """Another node of the same network, without data but its journal's mark."""
    return Home(home.root.parent / "node1")


def back_up(home: Home, folder: Path, *, with_keys: bool = False) -> None:
    with locked_folder(folder), stopped_source(home) as source:
        taking = Taking(home, folder, source, with_keys=with_keys)
        assert taking.expected >= 0
        for _ in taking.steps():
            pass


def restore(home: Home, folder: Path, *, replace: bool = False, with_keys: bool = False) -> None:
    for _ in restore_home(home, folder, replace=replace, with_keys=with_keys):
        pass


def verdict(check: BackupCheck | HomeCheck) -> str:
    for _ in check.steps():
        pass
    check.close()
    return check.verdict


def row(home: Home, key: bytes) -> bytes | None:
    engine = LevelDB(home.data / "state")
    value = engine.get(key)
    engine.close()
    return value


def test_restored_into_another_home(home: Home, other: Home, tmp_path: Path) -> None:
    """The data are the same but for the node's stamp; the other home's keys and marks stay as they are."""
    back_up(home, tmp_path / "backup")
    before = {path.name: path.read_bytes() for path in other.keys.iterdir() if path.is_file()}
    marks = sorted((other.data / "journal").iterdir())
    restore(other, tmp_path / "backup")
    assert verdict(HomeCheck(other)) == "sound"
    assert row(other, keys.APPLIED) == row(home, keys.APPLIED)
    assert row(other, keys.stamp("node")) == key_files.read(other.first_node_key).public_key
    assert {path.name: path.read_bytes() for path in other.keys.iterdir() if path.is_file()} == before
    assert sorted((other.data / "journal").iterdir()) == marks


def test_neither_votes_nor_keys(home: Home, tmp_path: Path) -> None:
    """No vote, no mark and no batch is in a backup, and no key unless it was asked for."""
    RealDisk(home.data).replace_file("batches/0000000000.seg", b"batch")
    back_up(home, tmp_path / "backup")
    names = {path.relative_to(tmp_path / "backup").parts[0] for path in (tmp_path / "backup").rglob("*")}
    assert names == {"SHA256SUMS", "heights", "home", "manifest.json", "receipts", "state"}
    assert {name for name, _ in small_files(home, with_keys=False)} == {"genesis.json", "config.toml"}
    assert verdict(BackupCheck(tmp_path / "backup")) == "sound"


def test_a_new_home_needs_its_keys(home: Home, tmp_path: Path) -> None:
    """Into an empty folder genesis and settings come out of the backup; without a node key nothing is restored."""
    new = Home(tmp_path / "new")
    back_up(home, tmp_path / "backup")
    with pytest.raises(Fault) as refused:
        restore(new, tmp_path / "backup")
    assert refused.value.spec is KEY_MISSING
    assert not (new.data / "state").exists()
    key_files.create(new.first_node_key, role=Role.NODE, passphrase=None, description="new")
    restore(new, tmp_path / "backup")
    assert new.genesis_file.read_bytes() == home.genesis_file.read_bytes()
    assert verdict(HomeCheck(new)) == "sound"


def test_with_keys(home: Home, tmp_path: Path) -> None:
    """Asked for on both sides, keys come too; the consensus key may have voted, so its node only observes at first."""
    new, folder = Home(tmp_path / "new"), tmp_path / "backup"
    back_up(home, folder, with_keys=True)
    assert all(not path.stat().st_mode & 0o077 for path in (folder / "home" / "keys").rglob("*"))
    restore(new, folder, with_keys=True)
    assert new.validator_key.read_bytes() == home.validator_key.read_bytes()
    assert new.validator_key.stat().st_mode & 0o777 == 0o600
    opened = open_journal(RealDisk(new.data), 0, key_files.read(new.validator_key).public_key)
    assert (opened.journal, opened.observe) == (None, "consensus/JOURNAL_LOST")


@pytest.mark.parametrize("name", ["data/journal/9", "run/lock", "restored/READY", "keys//x", ".bashrc/x"])
def test_a_forged_backup_plants_nothing(home: Home, other: Home, tmp_path: Path, name: str) -> None:
    """Of small files a home takes those that the backup of a home has: no votes, no data, nothing outside."""
    folder = tmp_path / "backup"
    back_up(home, folder)
    disk = RealDisk(folder)
    manifest = read_manifest(disk)
    assert manifest is not None
    part = Part(name=f"home/{name}", bytes=1, sha256=hashlib.sha256(b"x").hexdigest())
    parts = {**manifest.parts, "home": (*manifest.parts["home"], part)}
    text = msgspec.json.encode(msgspec.structs.replace(manifest, parts=parts))
    disk.replace_file("manifest.json", text + b"\n" + hashlib.sha256(text).hexdigest().encode() + b"\n")
    disk.replace_file(f"home/{name}", b"x")
    before = {path for path in other.root.rglob("*") if path.is_file()}
    with pytest.raises(Fault) as refused:
        restore(other, folder, with_keys=True)
    assert refused.value.spec is BACKUP_INVALID
    assert {path for path in other.root.rglob("*") if path.is_file()} == before


def test_what_is_there_stays_unless_asked(home: Home, tmp_path: Path) -> None:
    """Data is replaced only where that is asked for; evidence that waits to be reported is kept, votes too."""
    back_up(home, tmp_path / "backup")
    with pytest.raises(Fault) as refused:
        restore(home, tmp_path / "backup")
    assert refused.value.spec is RESTORE_OVER
    engine = LevelDB(home.data / "state")
    engine.write([(keys.meta(EVIDENCE), b"votes"), (keys.meta("other"), b"gone")], sync=True)
    engine.close()
    vote(home)
    restore(home, tmp_path / "backup", replace=True)
    assert row(home, keys.meta(EVIDENCE)) == b"votes"
    assert row(home, keys.meta("other")) is None
    assert has_journal(RealDisk(home.data), 3)


def vote(home: Home, epoch: int = 3) -> None:
    journal, _ = Journal.open(RealDisk(home.data), f"journal/{epoch}", epoch)
    journal.append(b"a vote")
    journal.sync()


def test_damaged_data_is_replaced(home: Home, tmp_path: Path) -> None:
    """Data that cannot even be opened does not keep a backup from replacing it."""
    back_up(home, tmp_path / "backup")
    (home.data / "state" / "CURRENT").write_text("damaged")
    restore(home, tmp_path / "backup", replace=True)
    assert verdict(HomeCheck(home)) == "sound"


def test_another_chain(home: Home, tmp_path: Path) -> None:
    """A backup of another chain is not restored, nor is one sound whose genesis document is another's."""
    prepare(Home(tmp_path / "far"), validators=1, accounts=4)
    far = Home(tmp_path / "far" / "node0")
    back_up(home, tmp_path / "backup")
    with pytest.raises(Fault) as refused:
        restore(far, tmp_path / "backup")
    assert refused.value.spec is HOME_OTHER_CHAIN
    home.genesis_file.write_bytes(far.genesis_file.read_bytes())
    with pytest.raises(Fault) as refused:
        verdict(HomeCheck(home))
    assert refused.value.spec is HOME_OTHER_CHAIN


@pytest.mark.parametrize("moment", range(6))
def test_a_restore_that_is_cut_off(home: Home, other: Home, tmp_path: Path, moment: int) -> None:
    """Given up at any step, the home has what it had; restoring again makes it whole."""
    back_up(home, tmp_path / "backup")
    steps: Iterator[object] = restore_home(other, tmp_path / "backup", replace=False, with_keys=False)
    for _ in range(moment):
        next(steps, None)
    steps.close()  # type: ignore[attr-defined]
    if not (other.data / "state").exists():
        restore(other, tmp_path / "backup")
    assert verdict(HomeCheck(other)) == "sound"


def test_one_backup_at_a_time(tmp_path: Path) -> None:
    """Two backups into one folder would spoil each other."""
    with locked_folder(tmp_path / "backup"):
        with pytest.raises(Fault) as refused, locked_folder(tmp_path / "backup"):
            pass
        assert refused.value.spec is BACKUP_BUSY
    with locked_folder(tmp_path / "backup"):
        pass


def test_nothing_to_back_up(home: Home, other: Home, tmp_path: Path) -> None:
    """A home that never ran has nothing to back up or to verify; a folder that is no backup is none."""
    for call in (lambda: back_up(other, tmp_path / "backup"), lambda: HomeCheck(other)):
        with pytest.raises(Fault) as refused:
            call()
        assert refused.value.spec is HOME_EMPTY
    with pytest.raises(Fault) as refused:
        restore(other, tmp_path / "backup")
    assert refused.value.spec is BACKUP_INVALID


def test_a_node_that_does_not_answer() -> None:
    """Where nobody listens, that is what is said."""
    with pytest.raises(Fault) as refused:
        next(iter(running_source("127.0.0.1:9", AssertionError)(0)))
    assert refused.value.spec is UNREACHABLE


def test_an_epoch_before_votes_is_not_founded(tmp_path: Path) -> None:
    """Data from an old backup lead through epochs in which this node voted: their journals are lost, not empty."""
    disk = RealDisk(tmp_path)
    journal, _ = Journal.open(disk, "journal/6", 6)
    journal.append(b"a vote")
    journal.sync()
    found_journal(disk, 4)
    assert not has_journal(disk, 4)
    assert open_journal(disk, 4, b"k" * 32).observe == "consensus/JOURNAL_LOST"
    found_journal(disk, 7)
    assert has_journal(disk, 7)
