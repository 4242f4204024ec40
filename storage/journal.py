"""The journal of consensus records, one folder per epoch: what this node signed, and what it must not forget.

Payload of a record: sequence u64 | epoch u64 | body.  Sequences count from 1 without gaps; a file is named after the
sequence of its first record.  Only synced records count, so a torn tail is cut off in silence: nothing that it would
have enabled was ever sent.  Damage anywhere else refuses, because a vote may be missing (consensus.md 3.14).

A journal is used by one thread at a time.
"""

from struct import Struct
from typing import Final

from cccnode.types.errors import JOURNAL_CORRUPT, OVERSIZE, Fault, fault
from storage import records
from storage.files import Disk

BODY_BYTES_MAX: Final = 1 << 20
"""One record body: the largest proposal with its justification is under half of this."""
SEGMENT_BYTES: Final = 4 << 20
"""A file is closed by the first sync that finds it this large; pruning drops whole files."""

_PREFIX: Final = Struct(">QQ")
_SUFFIX: Final = ".log"
_SHORTEST: Final = _PREFIX.size
_LONGEST: Final = _PREFIX.size + BODY_BYTES_MAX


class Journal:
    """Append-only records of one epoch."""

    def __init__(self, disk: Disk, folder: str, epoch: int, segment_bytes: int) -> None:
        self._disk = disk
        self._folder = folder
        self._epoch = epoch
        self._segment_bytes = segment_bytes
        self._segments: list[int] = []
        """First sequence of each file, ascending; records go to the last one."""
        self._next = 1
        self._size = 0
        """Bytes in the last file."""
        self._sealed = True
        """Whether the next record starts a new file."""

    @classmethod
    def open(
        cls, disk: Disk, folder: str, epoch: int, *, segment_bytes: int = SEGMENT_BYTES
    ) -> "tuple[Journal, list[bytes]]":
        """The journal in `folder` and the bodies it holds, oldest first; a missing folder is an empty journal.

        What is returned is durable: bytes that a killed process had written but not synced are synced here.

        Raises:
            Fault: JOURNAL_CORRUPT for damage that is not a torn tail, a sequence gap, or another epoch's record.
        """
        journal = cls(disk, folder, epoch, segment_bytes)
        names = [name for name in disk.list(folder) if name.endswith(_SUFFIX)]
        bodies: list[bytes] = []
        for name in names:
            bodies += journal._load(name, last=name == names[-1])
        if journal._segments:
            disk.sync(journal._path(journal._segments[-1]))
            journal._sealed = journal._size >= segment_bytes
        return journal, bodies

    @property
    def next_sequence(self) -> int:
        """The sequence that the next record will carry."""
        return self._next

    @property
    def first_sequence(self) -> int:
        """The oldest sequence that is kept; equals `next_sequence` while the journal is empty."""
        return self._segments[0] if self._segments else self._next

    def append(self, body: bytes) -> int:
        """Write one record and return its sequence.  It counts only after `sync`.

        Raises:
            Fault: OVERSIZE, or what the disk answers.
        """
        if len(body) > BODY_BYTES_MAX:
            raise fault(OVERSIZE, bytes=len(body), limit=BODY_BYTES_MAX)
        sequence = self._next
        if self._sealed:
            self._segments.append(sequence)
            self._size, self._sealed = 0, False
        raw = records.frame(_PREFIX.pack(sequence, self._epoch) + body)
        self._disk.append(self._path(self._segments[-1]), raw)
        self._size += len(raw)
        self._next = sequence + 1
        return sequence

    def sync(self) -> None:
        """Make every appended record durable.  Files end here only, so unsynced bytes never span two files."""
        if self._sealed:
            return
        path = self._path(self._segments[-1])
        if self._size >= self._segment_bytes:
            self._disk.seal(path)
            self._sealed = True
        else:
            self._disk.sync(path)

    def prune(self, keep_from_sequence: int) -> None:
        """Drop the files whose records all lie below `keep_from_sequence`, oldest first; never the last file."""
        while len(self._segments) > 1 and self._segments[1] <= keep_from_sequence:
            self._disk.remove(self._path(self._segments[0]))
            del self._segments[0]

    def _path(self, first: int) -> str:
        return f"{self._folder}/{first:020d}{_SUFFIX}"

    def _load(self, name: str, *, last: bool) -> list[bytes]:
        """Check one file and take it over; a torn tail of the last one is cut off."""
        path = f"{self._folder}/{name}"
        first = self._check_name(name)
        data = self._disk.read(path)
        bodies, end = [], 0
        for offset, payload in records.scan(data, shortest=_SHORTEST, longest=_LONGEST):
            sequence, epoch = _PREFIX.unpack_from(payload)
            if epoch != self._epoch:
                raise _corrupt(path, offset, f"record of epoch {epoch} in the journal of epoch {self._epoch}")
            if sequence != self._next:
                raise _corrupt(path, offset, f"record {sequence} where {self._next} belongs")
            bodies.append(payload[_PREFIX.size :])
            self._next = sequence + 1
            end = offset + records.HEAD_BYTES + len(payload)
        if end < len(data):
            if not last:
                raise _corrupt(path, end, "damaged record in a finished file")
            if records.sound_record_after(data, end, shortest=_SHORTEST, longest=_LONGEST):
                raise _corrupt(path, end, "damaged record before a sound one")
            self._disk.truncate(path, end)
        self._segments.append(first)
        self._size = end
        return bodies

    def _check_name(self, name: str) -> int:
        digits = name.removesuffix(_SUFFIX)
        if not (digits.isascii() and digits.isdigit()):
            raise _corrupt(f"{self._folder}/{name}", 0, "not the name of a journal file")
        first = int(digits)
        if not self._segments:
            self._next = first
        elif first != self._next:
            raise _corrupt(f"{self._folder}/{name}", 0, f"file begins at {first} where {self._next} belongs")
        return first


def folder_of(epoch: int) -> str:
    """Where the journal of an epoch lies."""
    return f"journal/{epoch}"


def _corrupt(path: str, offset: int, reason: str) -> Fault:
    return fault(JOURNAL_CORRUPT, path=path, offset=offset, reason=reason)
