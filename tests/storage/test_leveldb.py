"""LevelDB as the engine: the contract, named errors, and a real process killed in the middle of writing."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from cccnode.types.errors import (
    DISK_FAILED,
    DISK_FULL,
    DISK_READ_ONLY,
    ENGINE_MISSING,
    HOME_LOCKED,
    STATE_CORRUPT,
    Fault,
)
from storage.files import RealDisk
from storage.leveldb import LevelDB
from storage.memory import MemoryDisk, MemoryEngine
from tests.storage.builders import commit, initialised, open_store

ROUNDS = 6
WRITER = """
import sys
from storage.files import RealDisk
from storage.leveldb import LevelDB
from tests.storage.builders import commit, open_store

store = open_store(RealDisk(sys.argv[1]), LevelDB(sys.argv[1] + "/data/state"))
while True:
    applied = commit(store)
    print(applied.height, flush=True)
"""


def test_the_contract(tmp_path):
    """Batches are atomic and ordered, deletions delete, iteration is sorted and by prefix; all stays after closing."""
    engine = LevelDB(tmp_path / "data/state")
    engine.write([(b"b2", b"2"), (b"b1", b"1"), (b"a", b"0"), (b"c", b"3")], sync=True)
    engine.write([(b"c", None), (b"b1", b"new"), (b"none", None)], sync=False)
    engine.close()
    engine = LevelDB(tmp_path / "data/state")
    assert list(engine.iterate(b"")) == [(b"a", b"0"), (b"b1", b"new"), (b"b2", b"2")]
    assert list(engine.iterate(b"b")) == [(b"b1", b"new"), (b"b2", b"2")]
    assert (engine.get(b"a"), engine.get(b"c")) == (b"0", None)
    engine.close()


def test_a_second_opening_is_refused(tmp_path):
    """Two openings of one folder: the second is told that the home is locked."""
    engine = LevelDB(tmp_path / "state")
    with pytest.raises(Fault) as refusal:
        LevelDB(tmp_path / "state")
    assert refusal.value.spec is HOME_LOCKED
    engine.close()


def test_a_missing_library_is_named(tmp_path, monkeypatch):
    """Without plyvel the error names what to install."""
    monkeypatch.setitem(sys.modules, "plyvel", None)
    with pytest.raises(Fault) as refusal:
        LevelDB(tmp_path / "state")
    assert refusal.value.spec is ENGINE_MISSING


def test_a_damaged_database_is_named(tmp_path):
    """A folder whose files are not LevelDB's is refused as corrupt; a file in its place as a failing disk."""
    LevelDB(tmp_path / "state").close()
    next((tmp_path / "state").glob("MANIFEST*")).write_bytes(b"garbage" * 100)
    with pytest.raises(Fault) as refusal:
        LevelDB(tmp_path / "state")
    assert refusal.value.spec is STATE_CORRUPT
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Fault) as refusal:
        LevelDB(tmp_path / "file")
    assert refusal.value.spec is DISK_FAILED


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        (b"IO error: /x/000003.log: No space left on device", DISK_FULL),
        (b"IO error: /x/000003.log: Read-only file system", DISK_READ_ONLY),
        (b"IO error: /x/000003.log: Input/output error", DISK_FAILED),
    ],
)
def test_a_refused_write_is_named_and_final(tmp_path, text, spec):
    """What LevelDB says in words becomes a name, and no later write is tried."""
    engine = LevelDB(tmp_path / "state")
    real = engine._db

    class Refusing:
        def write_batch(self, **options):
            return self

        def put(self, key, value):
            pass

        delete = put

        def write(self):
            raise engine._plyvel.IOError(text)

    engine._db = Refusing()
    with pytest.raises(Fault) as refusal:
        engine.write([(b"a", b"1")], sync=True)
    assert refusal.value.spec is spec
    engine._db = real
    with pytest.raises(Fault) as refusal:
        engine.write([(b"a", b"1")], sync=True)
    assert refusal.value.spec is spec
    assert engine.get(b"a") is None
    engine.close()


def replayed(height):
    """The applied pointer after `height` blocks, from memory."""
    store = initialised(MemoryDisk(), MemoryEngine())
    for _ in range(height):
        commit(store)
    return store.applied


def test_a_killed_writer_loses_nothing(tmp_path):
    """A writer killed again and again: what it had reported is applied, and every root equals a replay."""
    home, rng, reported = str(tmp_path), Random(3), 0
    engine = LevelDB(home + "/data/state")
    initialised(RealDisk(home), engine)
    engine.close()
    root = Path(__file__).parents[2]
    for _ in range(ROUNDS):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, home],
            stdout=subprocess.PIPE,
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(root)},
        )
        for _ in range(rng.randint(1, 12)):
            reported = int(child.stdout.readline())
        child.send_signal(signal.SIGKILL)
        rest = child.stdout.read().split()
        child.wait()
        child.stdout.close()
        reported = int(rest[-1]) if rest else reported
        engine = LevelDB(home + "/data/state")
        disk = RealDisk(home)
        store = open_store(disk, engine)
        assert store.applied.height >= reported
        assert store.applied == replayed(store.applied.height)
        assert len(list(store.unapplied())) <= 1
        engine.close()
        disk.close()


def test_compaction_gives_space_back(tmp_path):
    """Deleted rows are gone from the disk once their range is compacted."""
    disk, engine = RealDisk(tmp_path), LevelDB(tmp_path / "state")
    rng = Random(1)
    for part in range(40):
        engine.write([(b"a%06d" % (100 * part + row), rng.randbytes(5_000)) for row in range(100)], sync=False)
    engine.compact(b"a", b"b")
    before = disk.usage("state")
    engine.write([(b"a%06d" % row, None) for row in range(3_500)], sync=True)
    engine.compact(b"a", b"b")
    assert disk.usage("state") < before / 3
    assert engine.get(b"a003600") is not None
    engine.close()
