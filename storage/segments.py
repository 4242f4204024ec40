"""Reads the files of blocks or receipts without changing them: beside the node that writes them, or where it stopped.

`BlockFile` repairs what it opens; whoever only looks, checks or copies must not.  What is asked for must be durable
already: heights up to an applied one.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from struct import Struct
from typing import Final

from cccnode.types.errors import BLOCKS_CORRUPT, Fault, fault
from storage import records
from storage.blocks import (
    BLOCK_RECORD_BYTES_MAX,
    FOLDER,
    RECEIPTS_FOLDER,
    RECEIPTS_RECORD_BYTES_MAX,
    sound_entries,
)
from storage.files import Disk

CHUNK_BYTES: Final = 1 << 20
"""Read at once."""
BYTES_MAX: Final = {FOLDER: BLOCK_RECORD_BYTES_MAX, RECEIPTS_FOLDER: RECEIPTS_RECORD_BYTES_MAX}
"""What one record may hold, by folder."""

_NAME: Final = re.compile(r"[0-9]{10,19}\.seg")
_HEIGHT: Final = Struct(">Q")


class Reel:
    """Records one after the other, out of a file or of several that are read as one."""

    def __init__(self, disk: Disk, path: str, offset: int, bytes_max: int) -> None:
        """Begin at `offset`, where a record must start."""
        self.disk, self.path, self.bytes_max = disk, path, bytes_max
        self._size = disk.size(path)
        self._base, self._data = offset, b""
        self.offset = offset
        """Of the next record."""

    def next(self) -> bytes | None:
        """The next payload; None at the end, or where no sound record follows."""
        head = self._take(self.offset, records.HEAD_BYTES)
        length = int.from_bytes(head[:4], "big")
        if len(head) < records.HEAD_BYTES or length > self.bytes_max:
            return None
        record = self._take(self.offset, records.HEAD_BYTES + length)
        payload = records.payload_at(record, 0, shortest=0, longest=self.bytes_max)
        if payload is not None:
            self.offset += len(record)
        return payload

    @property
    def ended(self) -> bool:
        """Whether nothing follows, not even something unsound."""
        return self.offset >= self._size

    def _take(self, offset: int, size: int) -> bytes:
        """Bytes of the file from the chunk in memory; fewer at its end."""
        if offset + size > self._base + len(self._data):
            self._base = offset
            self._data = self.disk.read(self.path, offset, max(size, CHUNK_BYTES))
        start = offset - self._base
        return self._data[start : start + size]


class Segments:
    """The files in one folder: blocks, or receipts.  Each is named after the height with which it begins."""

    def __init__(self, disk: Disk, folder: str) -> None:
        """Nothing is read yet."""
        self._disk, self._folder = disk, folder
        self._bytes_max = BYTES_MAX[folder] + _HEIGHT.size

    def starts(self) -> list[int]:
        """The files that are there, ascending."""
        return sorted(int(name[:-4]) for name in self._disk.list(self._folder) if _NAME.fullmatch(name))

    @property
    def first(self) -> int | None:
        """The lowest height that is kept; None where there is nothing.

        Raises:
            Fault: BLOCKS_CORRUPT: the first record is not sound.
        """
        starts = self.starts()
        while len(starts) > 1 and self._cut(starts[0]):
            starts.pop(0)
        if not starts:
            return None
        reel = self._reel(starts[0], 0)
        payload = reel.next()
        if payload is None:
            raise _corrupt(reel, "no sound record")
        return int(_HEIGHT.unpack_from(payload)[0])

    def bytes_from(self, height: int) -> int:
        """About how many bytes `records` reads from a height on."""
        starts = self.starts()
        place = max(0, bisect_right(starts, height) - 1)
        size = sum(self._disk.size(self.path(start)) for start in starts[place:])
        return size - (self._offset_of(starts[place], height) if starts else 0)

    def records(self, first: int, last: int) -> Iterator[tuple[int, bytes]]:
        """Height and payload (without the height) of every record from `first` to `last`, in order, each checked.

        Raises:
            Fault: BLOCKS_CORRUPT: a record is damaged, missing, or not of the height that belongs there.
        """
        starts = self.starts()
        place = bisect_right(starts, first) - 1
        if first <= last and place < 0:
            raise fault(BLOCKS_CORRUPT, path=self._folder, height=first, reason="the file is missing")
        height = first
        while height <= last:
            if place >= len(starts):
                raise fault(BLOCKS_CORRUPT, path=self._folder, height=height, reason="the file is missing")
            following = starts[place + 1] if place + 1 < len(starts) else last + 1
            reel = self._reel(starts[place], self._offset_of(starts[place], height))
            while height <= min(last, following - 1):
                payload = reel.next()
                if payload is None:
                    raise _corrupt(reel, "no sound record", height)
                (found,) = _HEIGHT.unpack_from(payload)
                if found < height:
                    continue
                if found != height:
                    raise _corrupt(reel, f"the record of height {found} stands here", height)
                yield height, payload[_HEIGHT.size :]
                height += 1
            place += 1

    def path(self, start: int) -> str:
        """The file that begins with a height."""
        return f"{self._folder}/{start:010d}.seg"

    def _reel(self, start: int, offset: int) -> Reel:
        return Reel(self._disk, self.path(start), offset, self._bytes_max)

    def _entries(self, start: int) -> bytes:
        index = self.path(start)[:-4] + ".idx"
        return self._disk.read(index) if self._disk.exists(index) else b""

    def _offset_of(self, start: int, height: int) -> int:
        """Where the record of a height begins, as far as the index beside the file knows; else some place before."""
        ends = dict(sound_entries(self._entries(start), self._disk.size(self.path(start))))
        return ends.get(height - 1, 0)

    def _cut(self, start: int) -> bool:
        """Whether the node is removing a file, which it cuts shorter and shorter: its index says that it was longer."""
        stored, size = self._entries(start), self._disk.size(self.path(start))
        whole = sound_entries(stored, 1 << 62)
        return bool(whole) and whole[-1][1] > size


def _corrupt(reel: Reel, reason: str, height: int | None = None) -> Fault:
    where = {} if height is None else {"height": height}
    return fault(BLOCKS_CORRUPT, path=reel.path, offset=reel.offset, reason=reason, **where)
