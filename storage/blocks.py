"""Final blocks, and their receipts, in append-only files, ten thousand heights each: pruning drops whole files (D8).

Payload of a record: height u64 | bytes.  Heights are contiguous.  Beside each file lies an index of record ends;
an entry is written only after its record is synced, so opening checks the few records behind the last entry and no
more.  The index can always be rebuilt.  A torn tail is cut off: whether a block is missing that was executed already,
the store sees from its applied height.

One thread appends and syncs; another may read.
"""

import re
from array import array
from dataclasses import dataclass, field
from struct import Struct
from typing import Final
from zlib import crc32

from cccnode.types.errors import BLOCKS_CORRUPT, OVERSIZE, fault
from storage import records
from storage.files import Disk

FOLDER: Final = "blocks"
RECEIPTS_FOLDER: Final = "receipts"
SEGMENT_HEIGHTS: Final = 10_000
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
    number: int
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

    def __init__(self, disk: Disk, folder: str, segment_heights: int, bytes_max: int) -> None:
        self._disk = disk
        self._bytes_max = bytes_max
        self._folder = folder
        self._heights = segment_heights
        self._numbers: list[int] = []
        """Files, ascending."""
        self._first: int | None = None
        self._tail: _Segment | None = None
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
    ) -> "BlockFile":
        """What `folder` holds; nothing if there is no such folder.  A torn tail is cut off.

        Raises:
            Fault: BLOCKS_CORRUPT if a file is missing between others, or the oldest one is damaged.
        """
        blocks = cls(disk, folder, segment_heights, bytes_max)
        numbers = [int(name[:-4]) // segment_heights for name in disk.list(folder) if _NAME.fullmatch(name)]
        if numbers and numbers != list(range(numbers[0], numbers[0] + len(numbers))):
            raise fault(BLOCKS_CORRUPT, path=folder, reason="a file is missing between others")
        blocks._numbers = numbers
        blocks._open_tail()
        if numbers:
            blocks._first = blocks._segment(numbers[0]).first
        return blocks

    @property
    def first(self) -> int | None:
        """The lowest height that is kept."""
        return self._first

    @property
    def last(self) -> int | None:
        """The highest height, synced or not."""
        return None if self._tail is None else self._tail.last

    def append(self, height: int, raw: bytes) -> None:
        """Add the block after the last one; any height may be the first.  It counts only after `sync`.

        Raises:
            Fault: OVERSIZE, or what the disk answers.
        """
        if len(raw) > self._bytes_max:
            raise fault(OVERSIZE, bytes=len(raw), limit=self._bytes_max)
        last = self.last
        assert last is None or height == last + 1, f"block {height} after {last}"
        number = height // self._heights
        tail = self._tail
        if tail is None or tail.number != number:
            self._finish_tail()
            tail = _Segment(number, height)
        record = records.frame(_HEIGHT.pack(height) + raw)
        self._disk.append(self._path(number), record)
        end = tail.size + len(record)
        self._unsynced.append(_entry(height, end))
        tail.ends.append(end)
        if tail is not self._tail:
            self._numbers.append(number)
            self._tail = tail
            self._first = height if self._first is None else self._first

    def sync(self) -> None:
        """Make every appended block durable; then note it in the index, which needs no sync."""
        if self._tail is None or not self._unsynced:
            return
        self._disk.sync(self._path(self._tail.number))
        entries = b"".join(self._unsynced)
        self._unsynced.clear()
        self._disk.append(self._index_path(self._tail.number), entries)

    def read(self, height: int) -> bytes | None:
        """The block of a height, or None.

        Raises:
            Fault: BLOCKS_CORRUPT if what is stored is not what was written.
        """
        first, last = self._first, self.last
        if first is None or last is None or not first <= height <= last:
            return None
        segment = self._segment(height // self._heights)
        position = height - segment.first
        start = segment.ends[position - 1] if position else 0
        path = self._path(segment.number)
        payload = self._payload(self._disk.read(path, start, segment.ends[position] - start))
        if payload is None or _HEIGHT.unpack_from(payload)[0] != height:
            raise fault(BLOCKS_CORRUPT, path=path, offset=start, height=height)
        return payload[_HEIGHT.size :]

    def drop_below(self, height: int) -> None:
        """Remove the files whose heights all lie below `height`, oldest first; never the last file."""
        while len(self._numbers) > 1 and (self._numbers[0] + 1) * self._heights <= height:
            number = self._numbers.pop(0)
            self._first = self._numbers[0] * self._heights
            self._older.pop(number, None)
            self._disk.remove(self._index_path(number))
            self._disk.remove(self._path(number))

    def _open_tail(self) -> None:
        """Load the last file that has a record; files without any are what a crash left of a beginning."""
        while self._numbers:
            number = self._numbers[-1]
            tail = self._load(number, last=True)
            if tail.ends:
                self._disk.sync(self._path(number))
                self._tail = tail
                return
            self._disk.remove(self._index_path(number))
            self._disk.remove(self._path(number))
            self._numbers.pop()

    def _finish_tail(self) -> None:
        if self._tail is not None:
            self.sync()
            self._disk.seal(self._path(self._tail.number))
            self._disk.seal(self._index_path(self._tail.number))

    def _segment(self, number: int) -> _Segment:
        tail = self._tail
        if tail is not None and tail.number == number:
            return tail
        segment = self._older.get(number)
        if segment is None:
            segment = self._load(number, last=False)
            while len(self._older) >= OPEN_INDEXES_MAX:
                del self._older[next(iter(self._older))]
            self._older[number] = segment
        return segment

    def _load(self, number: int, *, last: bool) -> _Segment:
        """A file's index, completed from the file itself; the index file is repaired where it falls short."""
        path, index_path = self._path(number), self._index_path(number)
        stored = self._disk.read(index_path) if self._disk.exists(index_path) else b""
        size = self._disk.size(path)
        entries = _sound_entries(stored, size)
        offset = entries[-1][1] if entries else 0
        while (payload := self._record_at(path, offset, size)) is not None:
            (height,) = _HEIGHT.unpack_from(payload)
            if height // self._heights != number or (entries and height != entries[-1][0] + 1):
                raise fault(BLOCKS_CORRUPT, path=path, offset=offset, height=height)
            offset += records.HEAD_BYTES + len(payload)
            entries.append((height, offset))
        if offset < size and last:
            self._disk.truncate(path, offset)
        elif not last and (offset < size or not entries or (entries[-1][0] + 1) % self._heights):
            raise fault(BLOCKS_CORRUPT, path=path, offset=offset, reason="a finished file has no sound end")
        wanted = b"".join([_entry(height, end) for height, end in entries])
        if stored != wanted:
            self._disk.replace_file(index_path, wanted)
        first = entries[0][0] if entries else number * self._heights
        return _Segment(number, first, array("Q", [end for _, end in entries]))

    def _record_at(self, path: str, offset: int, size: int) -> bytes | None:
        """The payload of the record at `offset`, read alone: a file may be far larger than memory."""
        head = self._disk.read(path, offset, records.HEAD_BYTES)
        length = int.from_bytes(head[:4], "big")
        if offset + records.HEAD_BYTES + length > size or length > self._bytes_max + _HEIGHT.size:
            return None
        return self._payload(head + self._disk.read(path, offset + records.HEAD_BYTES, length))

    def _payload(self, record: bytes) -> bytes | None:
        return records.payload_at(record, 0, shortest=_HEIGHT.size, longest=self._bytes_max + _HEIGHT.size)

    def _path(self, number: int) -> str:
        return f"{self._folder}/{number * self._heights:010d}.seg"

    def _index_path(self, number: int) -> str:
        return f"{self._folder}/{number * self._heights:010d}.idx"


def _entry(height: int, end: int) -> bytes:
    return _ENTRY.pack(height, end, crc32(b"%d %d" % (height, end)))


def _sound_entries(stored: bytes, size: int) -> list[tuple[int, int]]:
    """The (height, end) entries of an index file up to the first that is torn or does not fit the file."""
    entries: list[tuple[int, int]] = []
    for start in range(0, len(stored) - _ENTRY.size + 1, _ENTRY.size):
        height, end, _ = _ENTRY.unpack_from(stored, start)
        follows = not entries or (height == entries[-1][0] + 1 and end > entries[-1][1])
        if not follows or end > size or _entry(height, end) != stored[start : start + _ENTRY.size]:
            break
        entries.append((height, end))
    return entries
