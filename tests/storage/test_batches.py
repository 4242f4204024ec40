"""Batch files: what was synced is held until it is released, and files go when nothing in them is."""

import errno
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cccnode.types.errors import BATCHES_CORRUPT, DISK_FULL, OVERSIZE, Fault
from storage.batches import BATCH_RECORD_BYTES_MAX, FOLDER, BatchStore
from storage.memory import MemoryDisk

FIRST = f"{FOLDER}/0000000000.seg"


def id_of(number):
    return b"%032d" % number


def raw(number):
    return b"batch %d " % number * (1 + number % 7)


def opened(disk):
    return BatchStore.open(disk, FOLDER, segment_bytes=500)


def filled(count):
    disk = MemoryDisk()
    store = opened(disk)
    for number in range(count):
        assert store.put(id_of(number), raw(number), 1_000 + number)
        store.sync()
    return disk, store


def contents(store):
    return {batch_id: (store.get(batch_id), store.expires_ms(batch_id)) for batch_id in store.ids()}


def expected(numbers):
    return {id_of(number): (raw(number), 1_000 + number) for number in numbers}


def test_batches_by_id():
    """A batch and its expiry are read back by id, before and after opening again; others are None."""
    disk, store = filled(40)
    assert contents(store) == contents(opened(disk)) == expected(range(40))
    assert store.ids() == [id_of(number) for number in range(40)]
    assert store.get(id_of(99)) is None
    assert store.expires_ms(id_of(99)) is None


def test_a_batch_is_stored_once():
    """Putting a batch again writes nothing."""
    disk, store = filled(1)
    size = disk.size(FIRST)
    assert not store.put(id_of(0), raw(0), 5)
    assert disk.size(FIRST) == size


def test_files_go_when_all_is_released():
    """Released batches are gone at once; their file goes at the next sync after its last one, unless current."""
    disk, store = filled(40)
    files = len(disk.list(FOLDER))
    assert files > 4
    for number in range(39):
        store.release(id_of(number))
        store.release(id_of(number))
    assert contents(store) == expected([39])
    store.sync()
    assert len(disk.list(FOLDER)) == 1
    assert id_of(39) in opened(disk).ids()


def test_the_current_file_stays_when_all_is_released():
    """Batches go on in the current file although nothing before them is held any more."""
    disk, store = filled(2)
    for number in range(2):
        store.release(id_of(number))
    store.sync()
    store.put(id_of(2), raw(2), 1_002)
    store.sync()
    assert contents(store) == expected([2])
    assert contents(opened(disk)) == expected(range(3))


def test_a_new_file_begins_after_the_last():
    """After opening, batches go on in the last file, and what they hold is read right."""
    disk, _ = filled(10)
    store = opened(disk)
    for number in range(10, 30):
        store.put(id_of(number), raw(number), 1_000 + number)
        store.sync()
    assert contents(opened(disk)) == contents(store) == expected(range(30))


def test_truncated_at_every_byte():
    """Wherever the last file ends, the whole batches before that point are held."""
    disk, _ = filled(3)
    whole = disk.read(FIRST)
    for size in range(len(whole) + 1):
        cut = MemoryDisk()
        cut.replace_file(FIRST, whole[:size])
        store = opened(cut)
        assert contents(store) == expected(range(len(store.ids())))
        store.put(id_of(7), raw(7), 1_007)
        store.sync()
        assert opened(cut).get(id_of(7)) == raw(7)


def test_invalid_damage():
    """A changed batch that a sound one follows refuses to open; one that changes later is refused when read."""
    disk, store = filled(3)
    whole = bytearray(disk.read(FIRST))
    whole[50] ^= 1
    disk.replace_file(FIRST, bytes(whole))
    for attempt in (lambda: store.get(id_of(0)), lambda: opened(disk)):
        with pytest.raises(Fault) as refusal:
            attempt()
        assert refusal.value.spec is BATCHES_CORRUPT


def test_invalid_damage_in_a_finished_file():
    """A torn end is tolerated in the last file only."""
    disk, _ = filled(40)
    disk.truncate(FIRST, disk.size(FIRST) - 1)
    with pytest.raises(Fault) as refusal:
        opened(disk)
    assert refusal.value.spec is BATCHES_CORRUPT


def test_invalid_oversize_batch():
    """A batch over the limit is refused by name."""
    with pytest.raises(Fault) as refusal:
        opened(MemoryDisk()).put(id_of(0), bytes(BATCH_RECORD_BYTES_MAX + 1), 0)
    assert refusal.value.spec is OVERSIZE


def test_a_full_disk_is_named():
    """A batch that the disk does not take is not held."""
    disk, store = filled(2)
    disk.refuse = lambda what, path: errno.ENOSPC
    with pytest.raises(Fault) as refusal:
        store.put(id_of(2), raw(2), 0)
    assert refusal.value.spec is DISK_FULL
    assert store.get(id_of(2)) is None
    disk.crash(Random(0))
    assert contents(opened(disk)) == expected(range(2))


@given(st.lists(st.booleans(), max_size=30), st.integers(0, 2**32))
def test_crash_keeps_what_was_synced(syncs, seed):
    """After a power failure at any point every synced batch is held."""
    disk, synced = MemoryDisk(), 0
    store = opened(disk)
    for number, sync in enumerate(syncs):
        store.put(id_of(number), raw(number), 1_000 + number)
        if sync:
            store.sync()
            synced = number + 1
    disk.crash(Random(seed))
    store = opened(disk)
    assert len(store.ids()) >= synced
    assert contents(store) == expected(range(len(store.ids())))
