"""Disks, real and in memory: the same contract, named errors, no second try after a failed sync."""

import errno
import os
from random import Random

import pytest

from cccnode.types.errors import DISK_FAILED, DISK_FULL, DISK_READ_ONLY, Fault
from storage import files
from storage.files import RealDisk
from storage.memory import MemoryDisk, MemoryEngine


@pytest.fixture(params=["real", "memory"])
def disk(request, tmp_path):
    disk = RealDisk(tmp_path / "home") if request.param == "real" else MemoryDisk()
    yield disk
    disk.close()


def test_append_read_truncate(disk):
    """Bytes come back from any offset; truncating cuts the end; appending goes on behind it."""
    disk.append("a/b/file", b"0123")
    disk.append("a/b/file", b"456789")
    disk.sync("a/b/file")
    assert disk.read("a/b/file") == b"0123456789"
    assert disk.read("a/b/file", 4, 3) == b"456"
    assert disk.read("a/b/file", 8, 100) == b"89"
    disk.truncate("a/b/file", 4)
    disk.append("a/b/file", b"x")
    disk.seal("a/b/file")
    disk.append("a/b/file", b"y")
    assert (disk.read("a/b/file"), disk.size("a/b/file")) == (b"0123xy", 6)


def test_list_and_remove(disk):
    """Folders list sorted names; removing what is not there is nothing."""
    for name in ("b", "a", "sub/c"):
        disk.append(f"top/{name}", b"x")
    assert list(disk.list("top")) == ["a", "b", "sub"]
    assert list(disk.list("none")) == []
    assert disk.exists("top/sub")
    disk.remove("top/a")
    disk.remove("top/a")
    assert not disk.exists("top/a")
    disk.remove_tree("top")
    disk.remove_tree("top")
    assert not disk.exists("top/b")
    disk.append("top/b", b"new")
    assert disk.read("top/b") == b"new"


def test_replace_file(disk):
    """A replaced file holds the new bytes only, and can be appended to."""
    disk.append("folder/file", b"old, and longer")
    disk.sync("folder/file")
    disk.replace_file("folder/file", b"new")
    disk.append("folder/file", b"er")
    assert disk.read("folder/file") == b"newer"
    assert list(disk.list("folder")) == ["file"]


def test_invalid_missing_file(disk):
    """Reading what is not there is a named error."""
    for attempt in (lambda: disk.read("none"), lambda: disk.size("none")):
        with pytest.raises(Fault) as refusal:
            attempt()
        assert refusal.value.spec is DISK_FAILED


def test_a_failed_sync_is_never_tried_again(tmp_path, monkeypatch):
    """After EIO on fdatasync the path refuses appends and syncs although the disk would take them now."""
    disk = RealDisk(tmp_path)
    disk.append("file", b"x")

    def failing(handle):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(files, "_fdatasync", failing)
    with pytest.raises(Fault) as refusal:
        disk.sync("file")
    assert refusal.value.spec is DISK_FAILED
    monkeypatch.undo()
    for attempt in (lambda: disk.sync("file"), lambda: disk.append("file", b"y")):
        with pytest.raises(Fault):
            attempt()
    disk.append("other", b"z")
    disk.sync("other")
    disk.close()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full is not here")  # noqa: PTH110
def test_a_full_disk_is_named(tmp_path):
    """ENOSPC from the kernel becomes home/DISK_FULL, and the path stays refused."""
    (tmp_path / "file").symlink_to("/dev/full")
    disk = RealDisk(tmp_path)
    for _ in range(2):
        with pytest.raises(Fault) as refusal:
            disk.append("file", b"x")
        assert refusal.value.spec is DISK_FULL
    disk.close()


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EPERM])
def test_a_read_only_home_is_named(tmp_path, monkeypatch, number):
    """Not being allowed to write becomes home/READ_ONLY."""
    disk = RealDisk(tmp_path)

    def refusing(*args):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files.os, "open", refusing)
    with pytest.raises(Fault) as refusal:
        disk.append("file", b"x")
    assert refusal.value.spec is DISK_READ_ONLY


def test_short_writes_are_continued(tmp_path, monkeypatch):
    """A kernel that takes fewer bytes than given is asked again for the rest."""
    real = os.write
    monkeypatch.setattr(files.os, "write", lambda handle, data: real(handle, data[:3]))
    disk = RealDisk(tmp_path)
    disk.append("file", b"0123456789")
    assert disk.read("file") == b"0123456789"
    disk.close()


def test_memory_disk_forgets_only_what_was_not_synced():
    """A crash keeps synced bytes and a beginning of the rest; a file whose name was never synced may be gone."""
    outcomes = set()
    for seed in range(200):
        disk = MemoryDisk()
        disk.append("file", b"synced")
        disk.sync("file")
        disk.append("file", b"lost?")
        disk.append("new", b"name")
        assert disk.unsynced_bytes("file") == 5
        disk.crash(Random(seed))
        data = disk.read("file")
        assert data.startswith(b"synced")
        assert len(data) <= len(b"syncedlost?")
        outcomes.add((data, disk.exists("new")))
    assert {(b"synced", True), (b"synced", False), (b"syncedlost?", True)} <= outcomes
    assert any(not b"syncedlost?".startswith(data) for data, _ in outcomes), "garbage behind what was synced"


def test_memory_engine_loses_batches_from_the_end_only():
    """Synced batches survive a crash; of the unsynced ones a prefix does, each whole."""
    survivors = set()
    for seed in range(50):
        engine = MemoryEngine()
        engine.write([(b"a", b"0"), (b"b", b"0")], sync=True)
        for number in (b"1", b"2", b"3"):
            engine.write([(b"a", number), (b"b", number), (b"gone" + number, None)], sync=False)
        engine.crash(Random(seed))
        assert engine.get(b"a") == engine.get(b"b")
        survivors.add(engine.get(b"a"))
    assert survivors == {b"0", b"1", b"2", b"3"}


def test_memory_engine_refuses_after_a_failure():
    """A failed write is named, changes nothing, and later writes refuse until a restart."""
    engine = MemoryEngine()
    engine.refuse = lambda what, path: errno.ENOSPC
    for _ in range(2):
        with pytest.raises(Fault) as refusal:
            engine.write([(b"a", b"1")], sync=True)
        assert refusal.value.spec is DISK_FULL
        engine.refuse = lambda what, path: None
    assert engine.get(b"a") is None
    engine.crash(Random(0))
    engine.write([(b"a", b"1")], sync=True)
    assert list(engine.iterate(b"")) == [(b"a", b"1")]


def test_usage(disk):
    """What a folder takes on the disk, folders inside it included; what is cut or removed takes nothing any more."""
    assert disk.usage("top") == 0
    disk.append("top/a", bytes(100_000))
    disk.append("top/sub/b", bytes(100_000))
    for path in ("top/a", "top/sub/b"):
        disk.seal(path)
    assert 200_000 <= disk.usage("top") < 220_000
    disk.truncate("top/a", 10)
    assert 100_000 <= disk.usage("top") < 120_000
    disk.remove("top/sub/b")
    assert disk.usage("top") < 10_000


def test_removing_in_steps(disk, tmp_path):
    """A large file has no name from the first step on, and its space comes back a step at a time."""
    disk.append("top/a", bytes(250_000))
    disk.seal("top/a")
    steps = disk.removing("top/a", 100_000)
    assert next(steps) == 100_000
    assert not disk.exists("top/a")
    assert list(steps) == [100_000, 50_000]
    assert list(disk.removing("top/a", 100_000)) == []
    disk.append("top/empty", b"")
    assert sum(disk.removing("top/empty", 100_000)) == 0
    assert disk.list("top") == []
