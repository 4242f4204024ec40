"""Batches that this node has promised to hold, in append-only files (architecture J10).

Payload of a record: expires_ms u64 | batch id (32) | encoded batch.  The index by id is in memory and rebuilt at open.
A file is deleted when all its batches are released.  Releases are not written down: what a file still holds comes back
after a restart, and its owner releases it again.

One thread puts and syncs; another may get and release.
"""

import re
from dataclasses import dataclass
from struct import Struct
from typing import Final

from cccnode.types.errors import BATCHES_CORRUPT, OVERSIZE, fault
from cccnode.types.limits import BATCH_BYTES_MAX, BATCH_TXS_MAX
from storage import records
from storage.files import Disk

FOLDER: Final = "batches"
BATCH_RECORD_BYTES_MAX: Final = BATCH_BYTES_MAX + 8 * BATCH_TXS_MAX
"""One encoded batch: its transactions, and a few bytes of framing for each."""
SEGMENT_BYTES: Final = 8 << 20
"""A file is closed by the first sync that finds it this large."""

_PREFIX: Final = Struct(">Q32s")
_SHORTEST: Final = _PREFIX.size
_LONGEST: Final = _PREFIX.size + BATCH_RECORD_BYTES_MAX
_SUFFIX: Final = ".seg"
_NAME: Final = re.compile(r"[0-9]{10}\.seg")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    segment: int
    offset: int
    size: int
    """Bytes of the whole record."""
    expires_ms: int


class BatchStore:
    """Encoded batches by id."""

    def __init__(self, disk: Disk, folder: str, segment_bytes: int) -> None:
        self._disk = disk
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._places: dict[bytes, _Place] = {}
        self._live: dict[int, dict[bytes, None]] = {}
        """Ids that each file still holds."""
        self._tail = 0
        self._tail_size = 0
        self._unsynced = False

    @classmethod
    def open(cls, disk: Disk, folder: str = FOLDER, *, segment_bytes: int = SEGMENT_BYTES) -> "BatchStore":
        """The batches in `folder`; none if there is no such folder.  A torn tail is cut off.

        Raises:
            Fault: BATCHES_CORRUPT for damage that is not a torn tail.
        """
        store = cls(disk, folder, segment_bytes)
        names = [name for name in disk.list(folder) if _NAME.fullmatch(name)]
        for name in names:
            store._load(int(name.removesuffix(_SUFFIX)), last=name == names[-1])
        if names:
            disk.sync(store._path(store._tail))
        return store

    def put(self, batch_id: bytes, raw_batch: bytes, expires_ms: int) -> bool:
        """Write one encoded batch; False if it is there already.  It counts only after `sync`.

        `expires_ms` is the latest expiry of its transactions: by then it is certainly decided.

        Raises:
            Fault: OVERSIZE, or what the disk answers.
        """
        if batch_id in self._places:
            return False
        if len(raw_batch) > BATCH_RECORD_BYTES_MAX:
            raise fault(OVERSIZE, bytes=len(raw_batch), limit=BATCH_RECORD_BYTES_MAX)
        record = records.frame(_PREFIX.pack(expires_ms, batch_id) + raw_batch)
        self._disk.append(self._path(self._tail), record)
        self._note(batch_id, len(record), expires_ms)
        self._unsynced = True
        return True

    def sync(self) -> None:
        """Make every batch durable; then delete the files that hold none any more."""
        if self._unsynced:
            self._unsynced = False
            if self._tail_size >= self._segment_bytes:
                self._disk.seal(self._path(self._tail))
                self._tail, self._tail_size = self._tail + 1, 0
            else:
                self._disk.sync(self._path(self._tail))
        for segment in [number for number, ids in self._live.items() if not ids and number != self._tail]:
            del self._live[segment]
            self._disk.remove(self._path(segment))

    def get(self, batch_id: bytes) -> bytes | None:
        """The encoded batch, or None.

        Raises:
            Fault: BATCHES_CORRUPT if what is stored is not what was written.
        """
        place = self._places.get(batch_id)
        if place is None:
            return None
        path = self._path(place.segment)
        record = self._disk.read(path, place.offset, place.size)
        payload = records.payload_at(record, 0, shortest=_SHORTEST, longest=_LONGEST)
        if payload is None or _PREFIX.unpack_from(payload)[1] != batch_id:
            raise fault(BATCHES_CORRUPT, path=path, offset=place.offset, batch=batch_id)
        return payload[_PREFIX.size :]

    def ids(self) -> list[bytes]:
        """The batches that are held, oldest first."""
        return list(self._places)

    def expires_ms(self, batch_id: bytes) -> int | None:
        """The latest expiry of a batch's transactions, or None if it is not held."""
        place = self._places.get(batch_id)
        return None if place is None else place.expires_ms

    def release(self, batch_id: bytes) -> None:
        """Forget a batch that is final and stored, or certainly expired; its bytes go with their file."""
        place = self._places.pop(batch_id, None)
        if place is not None:
            self._live[place.segment].pop(batch_id, None)

    def _note(self, batch_id: bytes, size: int, expires_ms: int) -> None:
        """Index the record that was just read or written at the end of the last file."""
        place = _Place(segment=self._tail, offset=self._tail_size, size=size, expires_ms=expires_ms)
        self._live.setdefault(self._tail, {})[batch_id] = None
        self._places[batch_id] = place
        self._tail_size += size

    def _load(self, segment: int, *, last: bool) -> None:
        path = self._path(segment)
        self._tail, self._tail_size = segment, 0
        self._live[segment] = {}
        data = self._disk.read(path)
        for _, payload in records.scan(data, shortest=_SHORTEST, longest=_LONGEST):
            expires_ms, batch_id = _PREFIX.unpack_from(payload)
            self._note(batch_id, records.HEAD_BYTES + len(payload), expires_ms)
        end = self._tail_size
        if end < len(data):
            if not last or records.sound_record_after(data, end, shortest=_SHORTEST, longest=_LONGEST):
                raise fault(BATCHES_CORRUPT, path=path, offset=end)
            self._disk.truncate(path, end)

    def _path(self, segment: int) -> str:
        return f"{self._folder}/{segment:010d}{_SUFFIX}"
