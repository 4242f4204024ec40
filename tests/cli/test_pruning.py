"""`cccnode db prune`: a home whose node does not run."""

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

import storage.blocks
import storage.retention
from cccnode import keys
from cccnode.cli.main import run_cli
from cccnode.cli.testnet_files import prepare
from cccnode.home import Home, HomeLock
from cccnode.node.data import initialise, read_home_genesis
from cccnode.types.block import FinalBlock, block_id
from storage.files import RealDisk
from storage.index import Index
from storage.leveldb import LevelDB
from storage.store import Store

HEIGHTS = 200


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A node with two hundred blocks, a second apart, in small files."""
    monkeypatch.setattr(storage.blocks, "SEGMENT_BYTES_MIN", 4_000)
    monkeypatch.setattr(storage.retention, "BLOCKS_MIN", 20)
    home = prepare(Home(tmp_path / "net"), validators=1, seed=b"x", time_ms=1).node(0).home
    genesis = read_home_genesis(home.genesis_file)
    disk, engine = RealDisk(home.data), LevelDB(home.data / "state")
    node_id = keys.read(home.first_node_key).public_key
    depth = genesis.document.state_depth
    store = Store.open(disk, engine, chain=genesis.chain, node_id=node_id, depth=depth)
    index = Index(home.data / "index" / "transactions.sqlite")
    header = initialise(store, genesis)
    index.add([(0, [])])
    for height in range(1, HEIGHTS + 1):
        parent = store.applied.block_id if store.applied is not None else b""
        header = replace(header, height=height, parent=parent, time_ms=header.time_ms + 1_000)
        block = FinalBlock(header, ((b"%064d" % height,),), None, ())
        staged = store.stage(block, block_id(header), {}, [b"%064d" % height]).finish()
        store.write(staged)
        store.adopt(staged)
        index.add([(height, [b"%032d" % height])])
    index.close()
    engine.close()
    disk.close()
    return home


def prune(capsys: pytest.CaptureFixture[str], home: Home, *settings: str, output: str = "json") -> tuple[int, Any]:
    flags = [part for setting in settings for part in ("--set", setting)]
    code = run_cli(["db", "prune", "--home", str(home.root), *flags, "--output", output])
    out = capsys.readouterr().out
    return code, json.loads(out) if output == "json" and out else out


def test_prune(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """What the policies give away goes from the disk; a second time there is nothing left to do."""
    code, found = prune(capsys, home, "retention.blocks=40 blocks", "retention.index=50s")
    assert code == 0
    assert 140 < int(found["earliest"]["blocks"]) <= 161
    assert found["earliest"]["index"] == "150"
    assert found["earliest"]["receipts"] == "0", "the default policy keeps them"
    assert int(found["freed_bytes"]["blocks"]) > 30_000
    _, again = prune(capsys, home, "retention.blocks=40 blocks", "retention.index=50s")
    assert again["earliest"] == found["earliest"]
    assert again["freed_bytes"]["blocks"] == "0"


def test_prune_for_people(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """One line for each kind: from where on it is kept, and how much came back."""
    code, shown = prune(capsys, home, "retention.blocks=40 blocks", output="text")
    assert code == 0
    assert "kept from height" in shown
    assert "MB freed" in shown


def test_a_running_node_is_left_alone(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """While a process uses the home, nothing is touched."""
    with HomeLock.take(home):
        code, answer = prune(capsys, home, "retention.blocks=40 blocks")
    assert (code, answer["error"]["name"]) == (75, "home/LOCKED")
