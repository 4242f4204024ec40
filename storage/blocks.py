"""Final blocks, and their receipts, in append-only files: pruning drops whole files (D8).

Payload of a record: height u64 | bytes.  Heights are contiguous.  A file ends before each multiple of ten thousand
heights, and earlier once it is a sixteenth of what is kept: so what a policy keeps too much is little, whatever the
policy.  Beside each file lies an index of record ends; an entry is written only after its record is synced, so opening
checks the few records behind the last entry and no more.  The index can always be rebuilt.  A torn tail is cut off:
whether a block is missing that was executed already, the store sees from its applied height.

One thread appends and syncs; others may read.  Files are forgotten on the loop and removed wherever there is time.
"""

import re
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from struct import Struct
from typing import Final
from zlib import crc32

from cccnode.types.errors import BLOCKS_CORRUPT, OVERSIZE, Fault, fault
from storage import records
from storage.files import Disk

FOLDER: Final = "blocks"
RECEIPTS_FOLDER: Final = "receipts"
SEGMENT_HEIGHTS: Final = 10_000
"""A file ends before each multiple of this."""
SEGMENT_BYTES_MIN: Final = 1 << 20
"""A smaller file does not end for its size."""
SEGMENT_BYTES_MAX: Final = 256 << 20
"""A file that is so large ends with its next record."""
SEGMENT_PART: Final = 16
"""A file ends when it holds one of so many parts of all that is kept: then pruning is exact to about six percent."""
REMOVED_BYTES: Final = 32 << 20
"""A large file goes in steps of this: freeing gigabytes at once would make the syncs of others wait."""
BLOCK_RECORD_BYTES_MAX: Final = 16 << 20
"""One stored block: 4 MiB of transactions, the list of its batches, certificates, and room."""
RECEIPTS_RECORD_BYTES_MAX: Final = 64 << 20
"""Receipts of one block: what its transactions say comes back in events, with names around it."""
OPEN_INDEXES_MAX: Final = 8
"""Indexes of older files kept in memory, 80 kB each."""

_NAME: Final = re.compile(r"[0-9]{10,19}\.seg")
_HEIGHT: Final = Struct(">Q")
_ENTRY: Final = Struct(">QQI")
"""height u64 | end of its record u64 | crc32 of the two."""


@dataclass(slots=True)
class _Segment:
    start: int
    """The height in its name; only the first file of all may begin above it."""
    first: int
    """Height of its first record."""
    ends: "array[int]" = field(default_factory=lambda: array("Q"))
    """Where each record ends."""

    @property
    def last(self) -> int:
        return self.first + len(self.ends) - 1

    @property
    def size(self) -> int:
        return self.ends[-1] if self.ends else 0


class BlockFile:
    """Blocks, or receipts, by height."""

    def __init__(
        self, disk: Disk, folder: str, segment_heights: int, bytes_max: int, segment_bytes: tuple[int, int]
    ) -> None:
        self._disk = disk
        self._bytes_max = bytes_max
        self._folder = folder
        self._heights = segment_heights
        self._segment_bytes = segment_bytes
        self._starts: list[int] = []
        """Files, ascending."""
        self._sizes: dict[int, int] = {}
        """Bytes of the files before the last."""
        self._first: int | None = None
        self._tail: _Segment | None = None
        self._full = segment_bytes[0]
        """The last file ends when it has so many bytes."""
        self._older: dict[int, _Segment] = {}
        """Indexes of files before the last, as far as reads needed them lately."""
        self._unsynced: list[bytes] = []
        """Index entries of records that are not synced yet."""

    @classmethod
    def open(
        cls,
        disk: Disk,
        folder: str = FOLDER,
        *,
        segment_heights: int = SEGMENT_HEIGHTS,
        bytes_max: int = BLOCK_RECORD_BYTES_MAX,
        segment_bytes: tuple[int, int] | None = None,
        earliest: int = 0,
    ) -> "BlockFile":
        """What `folder` holds; nothing if there is no such folder.  A torn tail is cut off.

        Files that hold nothing from `earliest` on are what an interrupted pruning left: they are removed unread.

        Raises:
            Fault: BLOCKS_CORRUPT if a file is missing between others, or the oldest one is damaged.
        """
        blocks = cls(disk, folder, segment_heights, bytes_max, segment_bytes or (SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX))
        blocks._starts = sorted(int(name[:-4]) for name in disk.list(folder) if _NAME.fullmatch(name))
        blocks.drop_below(earliest)
        blocks._remove_orphans()
        blocks._open_tail()
        for start in blocks._starts[:-1]:
            blocks._check_end(start)
            blocks._sizes[start] = disk.size(blocks._path(start))
        if blocks._starts:
            blocks._first = blocks._segment(blocks._starts[0]).first
            blocks._full = blocks._room()
        return blocks

    @property
    def first(self) -> int | None:
        """The lowest height that is kept."""
        return self._first

    @property
    def last(self) -> int | None:
        """The highest height, synced or not."""
        return None if self._tail is None else self._tail.last

    @property
    def size(self) -> int:
        """Bytes of all records."""
        return sum(list(self._sizes.values())) + (self._tail.size if self._tail is not None else 0)

    def append(self, height: int, raw: bytes) -> None:
        """Add the block after the last one; any height may be the first.  It counts only after `sync`.

        Raises:
            Fault: OVERSIZE, or what the disk answers.
        """
        if len(raw) > self._bytes_max:
            raise fault(OVERSIZE, bytes=len(raw), limit=self._bytes_max)
        last = self.last
        assert last is None or height == last + 1, f"block {height} after {last}"
        tail = self._tail
        if tail is None or height % self._heights == 0 or tail.size >= self._full:
            self._finish_tail()
            tail = _Segment(height - height % self._heights if tail is None else height, height)
        record = records.frame(_HEIGHT.pack(height) + raw)
        self._disk.append(self._path(tail.start), record)
        end = tail.size + len(record)
        self._unsynced.append(_entry(height, end))
        tail.ends.append(end)
        if tail is not self._tail:
            self._starts.append(tail.start)
            self._tail = tail
            self._first = height if self._first is None else self._first

    def sync(self) -> None:
        """Make every appended block durable; then note it in the index, which needs no sync."""
        if self._tail is None or not self._unsynced:
            return
        self._disk.sync(self._path(self._tail.start))
        entries = b"".join(self._unsynced)
        self._unsynced.clear()
        self._disk.append(self._index_path(self._tail.start), entries)

    def read(self, height: int) -> bytes | None:
        """The block of a height, or None.

        Raises:
            Fault: BLOCKS_CORRUPT if what is stored is not what was written.
        """
        try:
            return self._read(height)
        except (Fault, IndexError):
            if self._first is not None and height < self._first:
                return None  # Another thread read it while it was forgotten and removed.
            raise

    def _read(self, height: int) -> bytes | None:
        first, last = self._first, self.last
        if first is None or last is None or not first <= height <= last:
            return None
        segment = self._segment(self._starts[bisect_right(self._starts, height) - 1])
        position = height - segment.first
        start = segment.ends[position - 1] if position else 0
        path = self._path(segment.start)
        payload = self._payload(self._disk.read(path, start, segment.ends[position] - start))
        if payload is None or _HEIGHT.unpack_from(payload)[0] != height:
            raise fault(BLOCKS_CORRUPT, path=path, offset=start, height=height)
        return payload[_HEIGHT.size :]

    def next_start(self) -> int | None:
        """The height with which the second file begins: what a reader would find first without the oldest file."""
        return self._starts[1] if len(self._starts) > 1 else None

    def starts_after(self, height: int) -> int | None:
        """The height with which the first file above a height begins."""
        place = bisect_right(self._starts, height)
        return self._starts[place] if place < len(self._starts) else None

    def forget_below(self, height: int) -> list[int]:
        """Read no more from the files whose heights all lie below `height`, never the last file; for `removing`.

        Belongs to the thread that reads.
        """
        gone = []
        while len(self._starts) > 1 and self._starts[1] <= height:
            self._first = self._starts[1]
            start = self._starts.pop(0)
            self._older.pop(start, None)
            self._sizes.pop(start, None)
            gone.append(start)
        return gone

    def removing(self, starts: list[int]) -> Iterator[int]:
        """Remove forgotten files, oldest first, in short steps; yields the bytes of each.  Blocks.

        Whoever is interrupted has noted before that they are to go.
        """
        for start in starts:
            self._disk.remove(self._index_path(start))
            yield from self._disk.removing(self._path(start), REMOVED_BYTES)

    def drop_below(self, height: int) -> None:
        """Remove the files whose heights all lie below `height`, oldest first; never the last file."""
        for _ in self.removing(self.forget_below(height)):
            pass

    def _remove_orphans(self) -> None:
        """An index goes before its file, so one alone is what a crash left of a file that was never synced."""
        names = self._disk.list(self._folder)
        kept = {f"{start:010d}.idx" for start in self._starts}
        for name in names:
            if name.endswith(".idx") and name not in kept:
                self._disk.remove(f"{self._folder}/{name}")

    def _check_end(self, start: int) -> None:
        """Whether a file that is not the last reaches up to the next: its last index entry says, or else the file."""
        following = self.starts_after(start)
        path = self._index_path(start)
        size = self._disk.size(path) if self._disk.exists(path) else 0
        if size >= _ENTRY.size:
            entry = self._disk.read(path, size - _ENTRY.size, _ENTRY.size)
            height, end, _ = _ENTRY.unpack(entry)
            if height + 1 == following and entry == _entry(height, end):
                return
        self._segment(start)

    def _room(self) -> int:
        """How large the last file may become."""
        least, most = self._segment_bytes
        return min(most, max(least, sum(list(self._sizes.values())) // SEGMENT_PART))

    def _open_tail(self) -> None:
        """Load the last file that has a record; files without any are what a crash left of a beginning."""
        while self._starts:
            start = self._starts[-1]
            tail = self._load(start, last=True)
            if tail.ends:
                self._disk.sync(self._path(start))
                self._tail = tail
                return
            self._disk.remove(self._index_path(start))
            self._disk.remove(self._path(start))
            self._starts.pop()

    def _finish_tail(self) -> None:
        if self._tail is not None:
            self.sync()
            self._disk.seal(self._path(self._tail.start))
            self._disk.seal(self._index_path(self._tail.start))
            self._sizes[self._tail.start] = self._tail.size
            self._full = self._room()

    def _segment(self, start: int) -> _Segment:
        tail = self._tail
        if tail is not None and tail.start == start:
            return tail
        segment = self._older.get(start)
        if segment is None:
            segment = self._load(start, last=False)
            while len(self._older) >= OPEN_INDEXES_MAX:
                del self._older[next(iter(self._older))]
            self._older[start] = segment
        return segment

    def _load(self, start: int, *, last: bool) -> _Segment:
        """A file's index, completed from the file itself; the index file is repaired where it falls short."""
        path, index_path = self._path(start), self._index_path(start)
        stored = self._disk.read(index_path) if self._disk.exists(index_path) else b""
        size = self._disk.size(path)
        entries = sound_entries(stored, size)
        offset = entries[-1][1] if entries else 0
        following = self.starts_after(start) or (start // self._heights + 1) * self._heights
        while (payload := self._record_at(path, offset, size)) is not None:
            (height,) = _HEIGHT.unpack_from(payload)
            if not start <= height < following or (entries and height != entries[-1][0] + 1):
                raise fault(BLOCKS_CORRUPT, path=path, offset=offset, height=height)
            offset += records.HEAD_BYTES + len(payload)
            entries.append((height, offset))
        if offset < size and last:
            self._disk.truncate(path, offset)
        elif not last and (offset < size or not entries or entries[-1][0] + 1 != following):
            raise fault(BLOCKS_CORRUPT, path=path, offset=offset, reason="a finished file has no sound end")
        wanted = b"".join([_entry(height, end) for height, end in entries])
        if stored != wanted:
            self._disk.replace_file(index_path, wanted)
        first = entries[0][0] if entries else start
        return _Segment(start, first, array("Q", [end for _, end in entries]))

    def _record_at(self, path: str, offset: int, size: int) -> bytes | None:
        """The payload of the record at `offset`, read alone: a file may be far larger than memory."""
        head = self._disk.read(path, offset, records.HEAD_BYTES)
        length = int.from_bytes(head[:4], "big")
        if offset + records.HEAD_BYTES + length > size or length > self._bytes_max + _HEIGHT.size:
            return None
        return self._payload(head + self._disk.read(path, offset + records.HEAD_BYTES, length))

    def _payload(self, record: bytes) -> bytes | None:
        return records.payload_at(record, 0, shortest=_HEIGHT.size, longest=self._bytes_max + _HEIGHT.size)

    def _path(self, start: int) -> str:
        return f"{self._folder}/{start:010d}.seg"

    def _index_path(self, start: int) -> str:
        return f"{self._folder}/{start:010d}.idx"


def _entry(height: int, end: int) -> bytes:
    return _ENTRY.pack(height, end, crc32(b"%d %d" % (height, end)))


def sound_entries(stored: bytes, size: int) -> list[tuple[int, int]]:
    """The (height, end) entries of an index file up to the first that is torn or does not fit the file."""
    entries: list[tuple[int, int]] = []
    for start in range(0, len(stored) - _ENTRY.size + 1, _ENTRY.size):
        height, end, _ = _ENTRY.unpack_from(stored, start)
        follows = not entries or (height == entries[-1][0] + 1 and end > entries[-1][1])
        if not follows or end > size or _entry(height, end) != stored[start : start + _ENTRY.size]:
            break
        entries.append((height, end))
    return entries
