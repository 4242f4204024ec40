"""The journal: every synced record comes back, a torn tail goes, damage refuses."""

import errno
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cccnode.types.errors import DISK_FAILED, DISK_FULL, JOURNAL_CORRUPT, OVERSIZE, Fault
from storage.files import RealDisk
from storage.journal import BODY_BYTES_MAX, Journal, folder_of
from storage.memory import MemoryDisk
from tests.storage.builders import disk_with

FOLDER = folder_of(3)
FIRST = f"{FOLDER}/{1:020d}.log"
BODIES = [b"vote %d " % number * (1 + number % 5) for number in range(40)]


def written(bodies, *, segment_bytes=1 << 20):
    disk = MemoryDisk()
    journal, _ = Journal.open(disk, FOLDER, 3, segment_bytes=segment_bytes)
    for body in bodies:
        journal.append(body)
        journal.sync()
    return disk


def reopened(disk, epoch=3, **options):
    return Journal.open(disk, FOLDER, epoch, **options)[1]


def recovered(disk):
    """The bodies that come back, or None where the journal refuses by its name."""
    try:
        return reopened(disk)
    except Fault as refusal:
        if refusal.spec is not JOURNAL_CORRUPT:
            raise
        return None


def write(journal, body):
    journal.append(body)
    journal.sync()


RAW = written(BODIES).read(FIRST)
ENDS = [len(written(BODIES[:count]).read(FIRST)) for count in range(1, len(BODIES) + 1)]


def test_records_come_back_in_order():
    """What was synced is returned at the next open, and sequences go on from there."""
    disk = written(BODIES)
    journal, bodies = Journal.open(disk, FOLDER, 3)
    assert bodies == BODIES
    assert journal.append(b"next") == len(BODIES) + 1


def test_a_missing_folder_is_an_empty_journal():
    """A new epoch starts with no records and sequence one."""
    journal, bodies = Journal.open(MemoryDisk(), FOLDER, 3)
    assert (bodies, journal.next_sequence, journal.first_sequence) == ([], 1, 1)


def test_truncated_at_every_byte():
    """Wherever the file ends, exactly the whole records before that point come back, and writing goes on."""
    for size in range(len(RAW) + 1):
        disk = disk_with(FIRST, RAW[:size])
        journal, bodies = Journal.open(disk, FOLDER, 3)
        assert bodies == BODIES[: sum(end <= size for end in ENDS)]
        journal.append(b"after")
        journal.sync()
        assert reopened(disk) == [*bodies, b"after"]


@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
def test_every_unsynced_byte_flipped(flip):
    """With any byte behind the last sync changed, every synced record comes back, or the journal refuses."""
    synced = len(BODIES) - 5
    for position in range(ENDS[synced - 1], len(RAW)):
        raw = bytearray(RAW)
        raw[position] ^= flip
        bodies = recovered(disk_with(FIRST, bytes(raw)))
        if bodies is not None:
            assert synced <= len(bodies) < len(BODIES)
            assert bodies == BODIES[: len(bodies)]


def test_invalid_middle_refuses():
    """A changed byte in any record that a sound one follows refuses to open, wherever it is."""
    for position in range(ENDS[-2]):
        raw = bytearray(RAW)
        raw[position] ^= 0x55
        with pytest.raises(Fault) as refusal:
            reopened(disk_with(FIRST, bytes(raw)))
        assert refusal.value.spec is JOURNAL_CORRUPT


def test_lost_sectors_recover_or_refuse():
    """With a random part of the unsynced bytes zeroed, synced records come back, or the journal refuses."""
    rng, synced = Random(5), 10
    for _ in range(200):
        raw = bytearray(RAW)
        start = rng.randrange(ENDS[synced - 1], len(RAW))
        end = min(len(RAW), start + rng.randrange(1, 512))
        raw[start:end] = bytes(end - start)
        bodies = recovered(disk_with(FIRST, bytes(raw)))
        if bodies is not None:
            assert len(bodies) >= synced
            assert bodies == BODIES[: len(bodies)]


def test_invalid_another_epoch():
    """A journal does not open as that of another epoch."""
    with pytest.raises(Fault) as refusal:
        reopened(written(BODIES), epoch=4)
    assert refusal.value.spec is JOURNAL_CORRUPT


def test_invalid_gap_between_files():
    """A missing file between others refuses, and so does a repeated record."""
    disk = written(BODIES, segment_bytes=200)
    names = disk.list(FOLDER)
    assert len(names) > 3
    disk.remove(f"{FOLDER}/{names[1]}")
    with pytest.raises(Fault) as refusal:
        reopened(disk)
    assert refusal.value.spec is JOURNAL_CORRUPT
    with pytest.raises(Fault):
        reopened(disk_with(FIRST, RAW + RAW))


def test_invalid_damage_in_a_finished_file():
    """A torn end is tolerated in the last file only; a foreign file name is refused."""
    disk = written(BODIES, segment_bytes=200)
    path = f"{FOLDER}/{disk.list(FOLDER)[0]}"
    disk.truncate(path, disk.size(path) - 1)
    with pytest.raises(Fault) as refusal:
        reopened(disk)
    assert refusal.value.spec is JOURNAL_CORRUPT
    with pytest.raises(Fault):
        reopened(disk_with(f"{FOLDER}/copy.log", RAW))


def test_prune_drops_whole_old_files_only():
    """Records from the given sequence on stay; so does the last file."""
    disk = written(BODIES, segment_bytes=200)
    journal, _ = Journal.open(disk, FOLDER, 3, segment_bytes=200)
    journal.prune(20)
    assert 1 < journal.first_sequence <= 20
    assert reopened(disk) == BODIES[journal.first_sequence - 1 :]
    journal.prune(10_000)
    assert len(disk.list(FOLDER)) == 1
    assert journal.append(b"next") == 41


def test_files_end_at_a_sync():
    """Unsynced records never span two files, so only the last file can be torn."""
    disk = MemoryDisk()
    journal, _ = Journal.open(disk, FOLDER, 3, segment_bytes=100)
    for _ in range(50):
        journal.append(b"unsynced record")
    assert len(disk.list(FOLDER)) == 1
    journal.sync()
    journal.append(b"first of the next")
    assert len(disk.list(FOLDER)) == 2


def test_invalid_oversize_record():
    """A record over the limit is refused by name before anything is written."""
    disk = MemoryDisk()
    journal, _ = Journal.open(disk, FOLDER, 3)
    with pytest.raises(Fault) as refusal:
        journal.append(bytes(BODY_BYTES_MAX + 1))
    assert refusal.value.spec is OVERSIZE
    assert not disk.list(FOLDER)


@pytest.mark.parametrize("operation", ["append", "sync"])
@pytest.mark.parametrize(("number", "spec"), [(errno.ENOSPC, DISK_FULL), (errno.EIO, DISK_FAILED)])
def test_refused_by_the_disk(operation, number, spec):
    """A full or failing disk is named, stays refused, and after the restart every synced record is there."""
    for failing in range(10):
        disk = MemoryDisk()
        journal, _ = Journal.open(disk, FOLDER, 3)
        for body in BODIES[:failing]:
            journal.append(body)
            journal.sync()
        disk.refuse = lambda what, path: number if what == operation else None
        with pytest.raises(Fault) as refusal:
            write(journal, BODIES[failing])
        assert refusal.value.spec is spec
        disk.refuse = lambda what, path: None
        with pytest.raises(Fault):
            journal.append(b"never after a failure")
        disk.crash(Random(failing))
        assert reopened(disk)[:failing] == BODIES[:failing]


@given(st.lists(st.tuples(st.binary(max_size=80), st.booleans()), max_size=30), st.integers(0, 2**32))
def test_crash_keeps_what_was_synced(steps, seed):
    """After a power failure at any point, the records are a prefix of what was appended with all that was synced."""
    disk, synced = MemoryDisk(), 0
    journal, _ = Journal.open(disk, FOLDER, 3, segment_bytes=300)
    for count, (body, sync) in enumerate(steps, start=1):
        journal.append(body)
        if sync:
            journal.sync()
            synced = count
    disk.crash(Random(seed))
    bodies = reopened(disk)
    assert len(bodies) >= synced
    assert bodies == [body for body, _ in steps[: len(bodies)]]


def test_on_a_real_disk(tmp_path):
    """The journal survives closing and opening on the file system, torn tail included."""
    disk = RealDisk(tmp_path)
    journal, _ = Journal.open(disk, FOLDER, 3, segment_bytes=500)
    for body in BODIES:
        journal.append(body)
        journal.sync()
    disk.close()
    last = tmp_path / FOLDER / max(path.name for path in (tmp_path / FOLDER).iterdir())
    last.write_bytes(last.read_bytes() + b"\x00\x00\x00\x40torn")
    assert reopened(RealDisk(tmp_path)) == BODIES
