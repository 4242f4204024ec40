"""Reads the files of blocks or receipts without changing them: beside the node that writes them, or where it stopped.

`BlockFile` repairs what it opens; whoever only looks, checks or copies must not.  What is asked for must be durable
already: heights up to an applied one.
"""

import re
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
    SEGMENT_HEIGHTS,
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
    """The files in one folder: blocks, or receipts."""

    def __init__(self, disk: Disk, folder: str, *, segment_heights: int = SEGMENT_HEIGHTS) -> None:
        """Nothing is read yet."""
        self._disk, self._folder, self._heights = disk, folder, segment_heights
        self._bytes_max = BYTES_MAX[folder] + _HEIGHT.size

    def numbers(self) -> list[int]:
        """The files that are there, ascending."""
        found = self._disk.list(self._folder)
        return [int(name[:-4]) // self._heights for name in found if _NAME.fullmatch(name)]

    @property
    def first(self) -> int | None:
        """The lowest height that is kept; None where there is nothing.

        Raises:
            Fault: BLOCKS_CORRUPT: the first record is not sound.
        """
        numbers = self.numbers()
        if not numbers:
            return None
        reel = self._reel(numbers[0], 0)
        payload = reel.next()
        if payload is None:
            raise _corrupt(reel, "no sound record")
        return int(_HEIGHT.unpack_from(payload)[0])

    def bytes_from(self, height: int) -> int:
        """About how many bytes `records` reads from a height on: whole files count."""
        numbers = [number for number in self.numbers() if number > height // self._heights]
        tail = height // self._heights
        size = sum(self._disk.size(self.path(number)) for number in numbers)
        if tail in self.numbers():
            size += self._disk.size(self.path(tail)) - self._offset_of(tail, height)
        return size

    def records(self, first: int, last: int) -> Iterator[tuple[int, bytes]]:
        """Height and payload (without the height) of every record from `first` to `last`, in order, each checked.

        Raises:
            Fault: BLOCKS_CORRUPT: a record is damaged, missing, or not of the height that belongs there.
        """
        height = first
        while height <= last:
            number = height // self._heights
            if not self._disk.exists(self.path(number)):
                raise fault(BLOCKS_CORRUPT, path=self.path(number), height=height, reason="the file is missing")
            reel = self._reel(number, self._offset_of(number, height))
            end = min(last, (number + 1) * self._heights - 1)
            while height <= end:
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

    def path(self, number: int) -> str:
        """The file of a number."""
        return f"{self._folder}/{number * self._heights:010d}.seg"

    def _reel(self, number: int, offset: int) -> Reel:
        return Reel(self._disk, self.path(number), offset, self._bytes_max)

    def _offset_of(self, number: int, height: int) -> int:
        """Where the record of a height begins, as far as the index beside the file knows; else some place before."""
        index = self.path(number)[:-4] + ".idx"
        stored = self._disk.read(index) if self._disk.exists(index) else b""
        ends = dict(sound_entries(stored, self._disk.size(self.path(number))))
        return ends.get(height - 1, 0)


def _corrupt(reel: Reel, reason: str, height: int | None = None) -> Fault:
    where = {} if height is None else {"height": height}
    return fault(BLOCKS_CORRUPT, path=reel.path, offset=reel.offset, reason=reason, **where)
