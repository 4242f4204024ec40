"""Backups: whole after any crash, of one height, added to and not written anew, refused when anything is changed."""

import errno
import hashlib
from contextlib import suppress
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cccnode.codec import encode
from cccnode.types.block import block_id
from cccnode.types.errors import (
    BACKUP_FORMAT,
    BACKUP_INVALID,
    BACKUP_OTHER,
    BLOCKS_CORRUPT,
    DISK_FULL,
    HOME_EMPTY,
    HOME_FORMAT,
    STATE_CORRUPT,
    Fault,
    fault,
)
from storage import keys
from storage.backup import MANIFEST, SUMS, UNFINISHED, Backup, BackupWriter, Part, read_manifest, restore, take
from storage.blocks import FOLDER, RECEIPTS_FOLDER, BlockFile
from storage.copying import END, Origin, Page, origin_of, pages, read_origin
from storage.memory import MemoryDisk, MemoryEngine
from storage.records import frame
from storage.segments import Segments
from storage.store import FORMAT, stamp
from tests.storage.builders import CHAIN, DEPTH, block, commit, initialised, open_store, receipts, writes

SMALL = 700
"""Bytes of a part, so that a few blocks fill several."""


class Home:
    """A store on memory, and backups of it."""

    def __init__(self, blocks=0):
        self.disk, self.engine = MemoryDisk(), MemoryEngine()
        self.store = initialised(self.disk, self.engine)
        self.grow(blocks)

    def grow(self, blocks):
        for _ in range(blocks):
            commit(self.store)

    def pages(self, first):
        return pages(self.engine.snapshot(), first)

    def back_up(self, there, files=(("genesis.json", b"{}"),)):
        writer = BackupWriter(there, part_bytes=SMALL)
        for _ in take(writer, self.pages, lambda folder: Segments(self.disk, folder), files):
            pass
        return writer.finish()


def restored(there):
    """What a backup makes of an empty home: its store, its disk and its engine."""
    disk, engine = MemoryDisk(), MemoryEngine()
    stamp(engine, chain=CHAIN, node_id=b"other".ljust(32), depth=DEPTH)
    for _ in restore(Backup(there), disk, engine):
        pass
    return open_store(disk, engine, node_id=b"other".ljust(32)), disk, engine


def files_of(disk):
    return {name: bytes(file.data) for name, file in disk._files.items()}


def checked(there):
    """The backup of a folder, with every file compared."""
    backup = Backup(there)
    for _ in backup.check_files():
        pass
    return backup


def heights(backup, folder):
    return [height for height, _ in backup.records(folder)]


def test_restored_is_equal():
    """A restored store has the same state, blocks, receipts, results and rows; only the node's stamp differs."""
    home, there = Home(20), MemoryDisk()
    home.back_up(there)
    store, disk, engine = restored(there)
    assert store.applied == home.store.applied
    assert files_of(disk) == files_of(home.disk)
    rows, wanted = dict(engine.iterate(b"")), dict(home.engine.iterate(b""))
    assert {key for key in wanted if rows.get(key) != wanted[key]} == {keys.stamp("node")}
    assert set(rows) == set(wanted)
    commit(store)


def test_one_height():
    """The backup is of the height at which the engine was read, though blocks come while it is written."""
    home, there = Home(10), MemoryDisk()
    writer = BackupWriter(there, part_bytes=SMALL)
    for number, _ in enumerate(take(writer, home.pages, lambda folder: Segments(home.disk, folder), ())):
        if number % 2:
            home.grow(1)
    manifest = writer.finish()
    assert home.store.applied.height > manifest.height == 10
    backup = checked(there)
    assert heights(backup, FOLDER) == list(range(1, 11))
    assert heights(backup, RECEIPTS_FOLDER) == list(range(11))
    store, _, _ = restored(there)
    assert store.applied == home.store.applied_at(10)


def test_added_to():
    """A second backup writes no old block, receipt or result again; the state is written anew."""
    home, there = Home(20), MemoryDisk()
    home.back_up(there)
    before = files_of(there)
    home.grow(15)
    written = []
    append = there.append
    there.append = lambda path, data: (written.append(path), append(path, data))
    manifest = home.back_up(there)
    assert not set(written) & set(before)
    assert manifest.height == 35
    after = files_of(there)
    kept = {name for name in before if name.endswith(".part") and not name.startswith("state/")}
    assert all(after[name] == before[name] for name in kept)
    assert not {name for name in before if name.startswith("state/")} & set(after)
    assert restored(there)[0].applied == home.store.applied
    assert files_of(restored(there)[1]) == files_of(home.disk)


def test_nothing_new():
    """A backup of the same height writes nothing but the small files that changed."""
    home, there = Home(5), MemoryDisk()
    home.back_up(there, [("genesis.json", b"{}"), ("keys/node.json", b"secret")])
    before = files_of(there)
    home.back_up(there, [("genesis.json", b"{}"), ("keys/node.json", b"secret")])
    assert files_of(there) == before
    home.back_up(there, [("genesis.json", b"{ }")])
    assert set(files_of(there)) == set(before) - {"home/keys/node.json"}
    checked(there)


def test_where_older_blocks_were_dropped():
    """What the node dropped leaves the backup too, wherever that stands; what is left is whole."""
    home, there = Home(30), MemoryDisk()
    home.back_up(there)
    for first in (8, 28, 31):
        home.grow(max(0, first + 2 - home.store.applied.height))
        _drop_below(home, first)
        manifest = home.back_up(there)
        backup = checked(there)
        assert manifest.parts[FOLDER][-1].last == home.store.applied.height
        assert manifest.parts[FOLDER][0].last >= first
        assert heights(backup, FOLDER)[-1] == home.store.applied.height
        assert restored(there)[0].applied == home.store.applied


def _drop_below(home, first):
    """The node keeps no block or receipt below a height."""
    for folder in (FOLDER, RECEIPTS_FOLDER):
        kept = [
            (height, raw)
            for height, raw in Segments(home.disk, folder).records(*_span(home, folder))
            if height >= first
        ]
        home.disk.remove(f"{folder}/0000000000.idx")
        home.disk.replace_file(
            f"{folder}/0000000000.seg", b"".join(frame(height.to_bytes(8, "big") + raw) for height, raw in kept)
        )
    home.store = open_store(home.disk, home.engine)


def _span(home, folder):
    return Segments(home.disk, folder).first, home.store.applied.height


def test_blocks_dropped_while_they_are_copied():
    """A running node may drop its oldest files at any moment; the backup then begins where the data does."""
    for moment in range(12):
        home, there = Home(25), MemoryDisk()
        writer = BackupWriter(there, part_bytes=SMALL)
        for number, _ in enumerate(take(writer, home.pages, lambda folder, home=home: _ByHeight(home), ())):
            if number == moment:
                home.dropped = 12
        writer.finish()
        backup = checked(there)
        assert heights(backup, FOLDER)[-1] == 25
        assert heights(backup, FOLDER)[0] in (1, 12)


class _ByHeight:
    """Blocks of a home that drops some, each in a file of its own."""

    def __init__(self, home):
        self._home = home

    @property
    def first(self):
        return getattr(self._home, "dropped", 1)

    def records(self, first, last):
        for height in range(first, last + 1):
            if height < self.first:
                raise fault(BLOCKS_CORRUPT, height=height)
            yield height, self._home.store.blocks.read(height) * 5_000


@given(st.integers(0, 2**32), st.integers(0, 400))
def test_a_crash_at_any_moment(seed, moment):
    """Whenever the power is lost, the folder holds the earlier backup or the new one, and the next one goes on."""
    home, there = Home(12), MemoryDisk()
    first = home.back_up(there)
    home.grow(9)

    def dies(operation, path):
        nonlocal moment
        moment -= 1
        return errno.EIO if moment < 0 else None

    there.refuse = dies
    with suppress(Fault):
        home.back_up(there)
    there.crash(Random(seed))
    manifest = checked(there).manifest
    assert manifest.height in (first.height, 21)
    assert restored(there)[0].applied == home.store.applied_at(manifest.height)
    home.grow(2)
    assert home.back_up(there).height == 23
    checked(there)
    assert restored(there)[0].applied == home.store.applied
    assert UNFINISHED not in files_of(there)


def test_an_interrupted_backup_is_gone_on_with():
    """Parts that an interrupted backup has finished are not written again."""
    home, there = Home(40), MemoryDisk()
    there.refuse = lambda operation, path: errno.ENOSPC if path.startswith("receipts/") else None
    with pytest.raises(Fault) as full:
        home.back_up(there)
    assert full.value.spec is DISK_FULL
    with pytest.raises(Fault) as none:
        Backup(there)
    assert none.value.spec is BACKUP_INVALID
    there.crash(Random(1))
    finished = {part.name for part in read_manifest(there, UNFINISHED).parts[FOLDER]}
    written = []
    append = there.append
    there.append = lambda path, data: (written.append(path), append(path, data))
    home.grow(3)
    home.back_up(there)
    assert finished
    assert not finished & set(written)
    assert restored(there)[0].applied == home.store.applied


def test_every_changed_byte_is_found():
    """One changed byte anywhere in any file, manifest included, and the backup is refused by name."""
    home, there = Home(3), MemoryDisk()
    home.back_up(there)
    for name, raw in files_of(there).items():
        for position in range(0, len(raw), 7):
            changed = bytearray(raw)
            changed[position] ^= 0x20
            there._files[name].data[:] = changed
            if name != SUMS:
                with pytest.raises(Fault) as refused:
                    checked(there)
                assert refused.value.spec in (BACKUP_INVALID, BACKUP_FORMAT), (name, position)
        there._files[name].data[:] = raw
    checked(there)


@pytest.mark.parametrize("what", ["missing", "shorter", "longer"])
def test_a_file_that_is_not_what_it_was(what):
    """A file that is missing, or of another size, is named."""
    home, there = Home(3), MemoryDisk()
    name = home.back_up(there).parts[FOLDER][0].name
    if what == "missing":
        there.remove(name)
    elif what == "shorter":
        del there._files[name].data[-1:]
    else:
        there._files[name].data += b"x"
    with pytest.raises(Fault) as refused:
        checked(there)
    assert (refused.value.spec, refused.value.values["path"]) == (BACKUP_INVALID, name)


def test_a_newer_backup_is_refused():
    """A backup of a newer program is refused by name, before anything else in it is read."""
    there = MemoryDisk()
    text = b'{"version":9,"what":"ever"}'
    there.replace_file(MANIFEST, text + b"\n" + hashlib.sha256(text).hexdigest().encode() + b"\n")
    for read in (Backup, BackupWriter):
        with pytest.raises(Fault) as refused:
            read(there)
        assert refused.value.spec is BACKUP_FORMAT


def test_a_manifest_that_leads_outside():
    """A file outside the folder is none of a backup."""
    home, there = Home(1), MemoryDisk()
    manifest = home.back_up(there)
    outside = (
        "../../etc/passwd",
        "/etc/passwd",
        "passwd",
        "home//etc/passwd",
        "home/",
        "home/./passwd",
        "home/\0",
        "home",
    )
    for name in (*outside, manifest.parts["state"][0].name):
        parts = {**manifest.parts, "home": (Part(name=name, bytes=1, sha256=""),)}
        text = msgspec.json.encode(msgspec.structs.replace(manifest, parts=parts))
        there.replace_file(MANIFEST, text + b"\n" + hashlib.sha256(text).hexdigest().encode() + b"\n")
        with pytest.raises(Fault) as refused:
            Backup(there)
        assert refused.value.spec is BACKUP_INVALID


def test_another_chain_in_the_folder():
    """A folder with another chain's backup, or a newer one, or one of a fork, is left as it is."""
    there = MemoryDisk()
    long = Home(9)
    long.back_up(there)
    before = files_of(there)
    for home in (Home(4), _forked(9), _forked(12)):
        with pytest.raises(Fault) as refused:
            home.back_up(there)
        assert refused.value.spec is BACKUP_OTHER
        assert {name: raw for name, raw in files_of(there).items() if name in before} == before
    checked(there)
    stranger = Home(12)
    stranger.engine.write([(keys.stamp("chain"), b"d" * 32)], sync=True)
    with pytest.raises(Fault) as refused:
        stranger.back_up(there)
    assert refused.value.spec is BACKUP_OTHER


def _forked(blocks):
    """A chain whose third block is another."""
    home = Home(2)
    applied = home.store.applied
    other = block(3, applied.block_id)
    other = msgspec.structs.replace(other, header=msgspec.structs.replace(other.header, time_ms=1))
    staged = home.store.stage(other, block_id(other.header), writes(3), receipts(3)).finish()
    home.store.write(staged)
    home.store.adopt(staged)
    home.grow(blocks - 3)
    return home


def test_pages_that_break_off():
    """A transfer that ends before its last page, or that begins with nothing, is not taken for a whole one."""
    home = Home(5)
    whole = list(home.pages(0))
    for some in ([], whole[:1], whole[:-1]):
        there = MemoryDisk()
        writer = BackupWriter(there)
        with pytest.raises(Fault) as refused:
            for _ in take(writer, lambda first, some=some: some, lambda folder: Segments(home.disk, folder), ()):
                pass
        assert refused.value.spec is BACKUP_INVALID
        assert MANIFEST not in files_of(there)


def test_pages_that_are_none():
    """Bytes that are no page are refused; an origin of another format is refused by its number."""
    home = Home(1)
    writer = BackupWriter(MemoryDisk())
    with pytest.raises(Fault) as refused:
        writer.begin(b"nothing")
    assert refused.value.spec is BACKUP_INVALID
    origin = origin_of(home.engine)
    with pytest.raises(Fault) as refused:
        read_origin(encode(msgspec.structs.replace(origin, format=FORMAT + 1)))
    assert (refused.value.spec, refused.value.values["found"]) == (HOME_FORMAT, FORMAT + 1)
    writer.begin(encode(origin))
    with pytest.raises(Fault) as refused:
        writer.page(b"nothing")
    assert refused.value.spec is BACKUP_INVALID
    assert not writer.page(encode(END))
    assert isinstance(origin, Origin)
    assert Page("end", ()) == END


def test_an_engine_that_has_nothing_to_back_up():
    """An empty engine, one of another format and one with a damaged pointer are refused by name."""
    home = Home(1)
    for spec, engine, put in (
        (HOME_EMPTY, MemoryEngine(), None),
        (HOME_FORMAT, home.engine, (keys.stamp("format"), (1).to_bytes(4, "big"))),
        (HOME_FORMAT, home.engine, (keys.stamp("format"), (FORMAT + 1).to_bytes(4, "big"))),
        (STATE_CORRUPT, Home(1).engine, (keys.APPLIED, b"damaged")),
    ):
        if put is not None:
            engine.write([put], sync=True)
        with pytest.raises(Fault) as refused:
            origin_of(engine)
        assert refused.value.spec is spec


def test_a_damaged_block_is_not_backed_up():
    """Blocks are checked while they are copied: a damaged one is named, and the earlier backup stays."""
    home, there = Home(6), MemoryDisk()
    home.back_up(there)
    home.grow(6)
    data = home.disk._files["blocks/0000000000.seg"].data
    data[-3] ^= 1
    with pytest.raises(Fault) as refused:
        home.back_up(there)
    assert (refused.value.spec, refused.value.values["height"]) == (BLOCKS_CORRUPT, 12)
    assert checked(there).manifest.height == 6
    assert len(list(Backup(there).records(FOLDER))) == 6


def test_a_segment_that_is_missing():
    """A height below what the files hold is named as missing, not skipped."""
    home = Home(3)
    with pytest.raises(Fault) as refused:
        list(Segments(home.disk, FOLDER).records(0, 3))
    assert refused.value.spec is BLOCKS_CORRUPT
    home.disk.remove("blocks/0000000000.seg")
    with pytest.raises(Fault) as refused:
        list(Segments(home.disk, FOLDER).records(1, 3))
    assert refused.value.values["reason"] == "the file is missing"
    assert Segments(home.disk, FOLDER).first is None


def test_segments_of_many_files():
    """Records are read over the ends of files, from any height on, with and without an index beside them."""
    disk = MemoryDisk()
    file = BlockFile.open(disk, FOLDER, segment_heights=10, segment_bytes=(1_500, 1_500))
    for height in range(1, 30):
        file.append(height, b"block %d" % height * 60)
    file.sync()
    segments = Segments(disk, FOLDER)
    assert segments.starts() == [0, 5, 9, 10, 14, 18, 20, 24, 28]
    for first in range(1, 30):
        if first == 15:
            for name in disk.list(FOLDER):
                if name.endswith(".idx"):
                    disk.remove(f"{FOLDER}/{name}")
        found = list(segments.records(first, 28))
        assert found == [(height, b"block %d" % height * 60) for height in range(first, 29)]
    assert segments.bytes_from(0) == sum(disk.size(f"{FOLDER}/{name}") for name in disk.list(FOLDER))


def test_a_file_that_is_being_removed():
    """A node removes a large file by cutting it shorter and shorter: what is cut is not counted any more."""
    disk = MemoryDisk()
    file = BlockFile.open(disk, FOLDER, segment_heights=4)
    for height in range(1, 10):
        file.append(height, b"block %d" % height)
    file.sync()
    segments = Segments(disk, FOLDER)
    assert segments.first == 1
    disk.truncate("blocks/0000000000.seg", 10)
    assert segments.first == 4
    disk.remove("blocks/0000000000.idx")
    disk.remove("blocks/0000000000.seg")
    assert segments.first == 4
    assert [height for height, _ in segments.records(4, 9)] == [4, 5, 6, 7, 8, 9]
