"""Block files: contiguous heights, torn tails cut, indexes rebuilt, old files dropped whole."""

import errno
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cccnode.types.errors import BLOCKS_CORRUPT, DISK_FAILED, OVERSIZE, Fault
from storage.blocks import BLOCK_RECORD_BYTES_MAX, FOLDER, BlockFile
from storage.files import RealDisk
from storage.memory import MemoryDisk


def raw(height):
    return b"block %d " % height * (1 + height % 4)


def opened(disk, **options):
    return BlockFile.open(disk, FOLDER, **{"segment_heights": 10, **options})


def filled(first, last, disk=None):
    disk = disk or MemoryDisk()
    blocks = opened(disk)
    for height in range(first, last + 1):
        blocks.append(height, raw(height))
        blocks.sync()
    return disk


def contents(blocks):
    if blocks.first is None:
        return {}
    return {height: blocks.read(height) for height in range(blocks.first, blocks.last + 1)}


def test_blocks_by_height(tmp_path):
    """What was written is read back by height, before and after opening again, on a real disk too."""
    for disk in (MemoryDisk(), RealDisk(tmp_path)):
        filled(1, 35, disk)
        blocks = opened(disk)
        assert (blocks.first, blocks.last) == (1, 35)
        assert contents(blocks) == {height: raw(height) for height in range(1, 36)}
        assert blocks.read(0) is None
        assert blocks.read(36) is None
        blocks.append(36, raw(36))
        assert blocks.read(36) == raw(36)
        assert [name for name in disk.list(FOLDER) if name.endswith("seg")] == [
            f"{n:010d}.seg" for n in (0, 10, 20, 30)
        ]
        disk.close()


def test_a_chain_may_begin_anywhere():
    """The first block decides where the file begins; after it heights are contiguous."""
    disk = filled(17, 23)
    assert contents(opened(disk)) == {height: raw(height) for height in range(17, 24)}
    with pytest.raises(AssertionError):
        opened(disk).append(25, b"")


def test_truncated_at_every_byte():
    """Wherever the last file ends, the whole blocks before that point are there and writing goes on."""
    path = f"{FOLDER}/0000000010.seg"
    whole = filled(1, 14).read(path)
    for size in range(len(whole) + 1):
        disk = filled(1, 14)
        disk.truncate(path, size)
        blocks = opened(disk)
        last = blocks.last
        assert contents(blocks) == {height: raw(height) for height in range(1, last + 1)}
        blocks.append(last + 1, raw(last + 1))
        blocks.sync()
        assert opened(disk).read(last + 1) == raw(last + 1)


@pytest.mark.parametrize("damage", ["missing", "empty", "torn", "flipped", "foreign", "short"])
def test_index_is_rebuilt(damage):
    """An index file that is lost, torn or wrong changes nothing that is read, for the last file and an older one."""
    for number in (0, 20):
        disk = filled(1, 25)
        path = f"{FOLDER}/{number:010d}.idx"
        stored = disk.read(path)
        if damage == "missing":
            disk.remove(path)
        else:
            changed = {
                "empty": b"",
                "torn": stored[:-3],
                "flipped": stored[:25] + bytes([stored[25] ^ 1]) + stored[26:],
                "foreign": b"?" * 100,
                "short": stored[:20],
            }
            disk.replace_file(path, changed[damage])
        assert contents(opened(disk)) == {height: raw(height) for height in range(1, 26)}
        opened(disk).read(5)
        assert disk.read(path) == stored


def test_drop_below():
    """Dropping removes whole files below a height, never the last; what is left is read as before."""
    disk = filled(1, 35)
    blocks = opened(disk)
    blocks.drop_below(27)
    assert (blocks.first, blocks.last) == (20, 35)
    assert blocks.read(19) is None
    assert contents(opened(disk)) == {height: raw(height) for height in range(20, 36)}
    blocks.drop_below(1_000)
    assert blocks.first == 30
    assert sorted(disk.list(FOLDER)) == ["0000000030.idx", "0000000030.seg"]


def test_invalid_damage():
    """A changed block is refused when read; a cut older file too; a missing file between others at opening."""
    disk = filled(1, 35)
    path = f"{FOLDER}/0000000010.seg"
    whole = bytearray(disk.read(path))
    whole[20] ^= 1
    disk.replace_file(path, bytes(whole))
    with pytest.raises(Fault) as refusal:
        opened(disk).read(10)
    assert refusal.value.spec is BLOCKS_CORRUPT
    disk.truncate(path, len(whole) - 1)
    with pytest.raises(Fault) as refusal:
        opened(disk).read(15)
    assert refusal.value.spec is BLOCKS_CORRUPT
    disk.remove(path)
    with pytest.raises(Fault) as refusal:
        opened(disk)
    assert refusal.value.spec is BLOCKS_CORRUPT


def test_invalid_height_in_a_file():
    """A record whose height does not belong where it stands is refused."""
    disk = filled(1, 5)
    disk.append(f"{FOLDER}/0000000000.seg", disk.read(f"{FOLDER}/0000000000.seg"))
    with pytest.raises(Fault) as refusal:
        opened(disk)
    assert refusal.value.spec is BLOCKS_CORRUPT


def test_invalid_oversize_block():
    """A block over the limit is refused by name."""
    with pytest.raises(Fault) as refusal:
        opened(MemoryDisk()).append(1, bytes(BLOCK_RECORD_BYTES_MAX + 1))
    assert refusal.value.spec is OVERSIZE


def test_a_failed_sync_stops_the_file():
    """After a failed sync nothing is appended any more, and the restart finds every synced block."""
    disk = filled(1, 12)
    blocks = opened(disk)
    blocks.append(13, raw(13))
    disk.refuse = lambda what, path: errno.EIO if what == "sync" else None
    with pytest.raises(Fault) as refusal:
        blocks.sync()
    assert refusal.value.spec is DISK_FAILED
    disk.refuse = lambda what, path: None
    with pytest.raises(Fault):
        blocks.append(14, raw(14))
    disk.crash(Random(1))
    assert opened(disk).last in (12, 13)


@given(st.lists(st.booleans(), max_size=30), st.integers(0, 2**32))
def test_crash_keeps_what_was_synced(syncs, seed):
    """After a power failure at any point the blocks are a prefix with every synced one."""
    disk, synced = MemoryDisk(), 0
    blocks = opened(disk)
    for height, sync in enumerate(syncs, start=1):
        blocks.append(height, raw(height))
        if sync:
            blocks.sync()
            synced = height
    disk.crash(Random(seed))
    blocks = opened(disk)
    last = blocks.last or 0
    assert synced <= last <= len(syncs)
    assert contents(blocks) == {height: raw(height) for height in range(1, last + 1)}


def test_files_end_by_size_too():
    """A file ends once it is a part of all that is kept, between a least and a most size; names are first heights."""
    disk = MemoryDisk()
    blocks = opened(disk, segment_heights=1_000, segment_bytes=(100, 2_000))
    for height in range(5, 2_001):
        blocks.append(height, raw(height))
        if height % 7 == 0:
            blocks.sync()
    blocks.sync()
    starts = sorted(int(name[:-4]) for name in disk.list(FOLDER) if name.endswith("seg"))
    sizes = [disk.size(f"{FOLDER}/{start:010d}.seg") for start in starts]
    assert {0, 1_000, 2_000} <= set(starts)
    assert 100 <= min(sizes[:-1]) < max(sizes) < 2_100
    assert sizes[3] < 200 < sizes[-10]
    again = opened(disk, segment_heights=1_000, segment_bytes=(100, 2_000))
    assert (again.first, again.last, again.size) == (5, 2_000, blocks.size) == (5, 2_000, sum(sizes))
    assert all(again.read(height) == raw(height) for height in range(5, 2_001))


def test_old_files_are_read_on():
    """Files that end at multiples alone, as an older program wrote them, are as good as others."""
    disk = filled(1, 35)
    blocks = opened(disk, segment_bytes=(1, 60))
    for height in range(36, 60):
        blocks.append(height, raw(height))
        blocks.sync()
    assert contents(opened(disk, segment_bytes=(1, 60))) == {height: raw(height) for height in range(1, 60)}
    assert len([name for name in disk.list(FOLDER) if name.endswith("seg")]) > 6


def test_what_was_to_go_goes_unread():
    """Files below the mark are removed at opening, however damaged; an index alone is removed too."""
    disk = filled(1, 35)
    disk.truncate(f"{FOLDER}/0000000000.seg", 3)
    disk.remove(f"{FOLDER}/0000000010.idx")
    disk.replace_file(f"{FOLDER}/0000000005.idx", b"left")
    blocks = opened(disk, earliest=20)
    assert contents(blocks) == {height: raw(height) for height in range(20, 36)}
    assert sorted(disk.list(FOLDER)) == [f"00000000{n}.{kind}" for n in (20, 30) for kind in ("idx", "seg")]


def test_forgotten_is_not_read(tmp_path):
    """What is forgotten is not read any more; whoever read it in that moment, in another thread, gets nothing."""
    disk = RealDisk(tmp_path)
    filled(1, 35, disk)
    blocks = opened(disk)
    assert blocks.starts_after(9) == blocks.next_start() == 10
    gone = blocks.forget_below(25)
    assert (gone, blocks.first, blocks.read(19)) == ([0, 10], 20, None)
    assert disk.exists(f"{FOLDER}/0000000000.seg")
    assert sum(blocks.removing(gone)) > 0
    assert not disk.exists(f"{FOLDER}/0000000000.seg")
    blocks._starts.insert(0, 10)
    blocks._first = 10  # As another thread saw it a moment ago.
    size = disk.size

    def late(path):
        blocks._first = 20
        return size(path)

    disk.size = late
    assert blocks.read(15) is None
    disk.close()
