"""What a home holds, to be checked or rebuilt: its engine and its segment files, read and not changed.

The node of that home must not run, or `reading` must be of one moment.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from cccnode.crypto.hashing import BLOCK, tagged
from storage import keys
from storage.checking import Audit, VerifyMany
from storage.copying import Readable, Row, origin_of
from storage.files import Disk
from storage.index import Index
from storage.segments import Segments

ROWS: Final = 500
"""Rows handed over at once."""
NEWEST: Final = 32
"""Heights that a quick check looks at: as many as may be unexecuted elsewhere, and as much again."""

IdsOf = Callable[[Sequence[bytes]], Sequence[bytes]]
"""Receipts of a block -> ids of the transactions decided there."""


class HomeContent:
    """See `checking.Content`."""

    def __init__(self, reading: Readable, disk: Disk) -> None:
        """Look what it is.

        Raises:
            Fault: HOME_EMPTY, HOME_FORMAT or STATE_CORRUPT.
        """
        self._reading, self._disk = reading, disk
        self.origin: Final = origin_of(reading)

    def rows(self, folder: str) -> Iterator[Sequence[Row]]:
        """See `Content`."""
        if folder == "heights":
            yield from _together(self._heights())
            return
        for prefix in (keys.EPOCH_RECORD, keys.GROUP, keys.META):
            yield from _together(self._reading.iterate(prefix))

    def first(self, folder: str) -> int | None:
        """See `Content`."""
        return Segments(self._disk, folder).first

    def records(self, folder: str) -> Iterator[tuple[int, bytes]]:
        """See `Content`."""
        segments = Segments(self._disk, folder)
        first = segments.first
        if first is not None:
            yield from segments.records(first, self.origin.applied.height)

    def by_id(self, audit: Audit) -> None:
        """Check that every header, and nothing else, is found by its block's id."""
        found = 0
        for key, value in self._reading.iterate(keys.HEIGHT_OF):
            height = int.from_bytes(value, "big")
            header = self._reading.get(keys.header(height))
            if header is None or tagged(BLOCK, header) != key[1:]:
                audit.say("heights", "a block id leads to another height", height)
            found += 1
        wanted = sum(1 for _ in self._reading.iterate(keys.HEADER))
        if found != wanted:
            audit.say("heights", f"{found} block ids for {wanted} headers")

    def _heights(self) -> Iterator[Row]:
        """Headers and results by height."""
        headers, results = self._reading.iterate(keys.HEADER), self._reading.iterate(keys.APPLIED_AT)
        header, result = next(headers, None), next(results, None)
        while header is not None or result is not None:
            if result is None or (header is not None and keys.height_in(header[0]) <= keys.height_in(result[0])):
                assert header is not None, "one of the two is there"
                yield header
                header = next(headers, None)
            else:
                yield result
                result = next(results, None)


class NewestContent(HomeContent):
    """The newest heights of it, without the groups: what a start looks at."""

    def __init__(self, reading: Readable, disk: Disk, heights: int = NEWEST) -> None:
        """See `HomeContent`."""
        super().__init__(reading, disk)
        self._from = max(0, self.origin.applied.height - heights + 1)

    def rows(self, folder: str) -> Iterator[Sequence[Row]]:
        """See `Content`; of the state, the epoch records only."""
        if folder == "state":
            yield from _together(self._reading.iterate(keys.EPOCH_RECORD))
            return
        for height in range(self._from, self.origin.applied.height + 1):
            found = [(key, self._reading.get(key)) for key in (keys.header(height), keys.applied_at(height))]
            yield [(key, value) for key, value in found if value is not None]

    def records(self, folder: str) -> Iterator[tuple[int, bytes]]:
        """See `Content`."""
        segments = Segments(self._disk, folder)
        first = segments.first
        if first is not None:
            yield from segments.records(max(first, self._from), self.origin.applied.height)


def quick_audit(reading: Readable, disk: Disk, verify_many: VerifyMany) -> Audit:
    """Look at the newest heights: blocks, receipts, results, certificates, and whether they end where they should.

    Whether the groups have the state root, opening the state finds out.

    Raises:
        Fault: HOME_EMPTY, HOME_FORMAT or STATE_CORRUPT.
    """
    audit = Audit(NewestContent(reading, disk), verify_many)
    for rows in audit.content.rows("state"):
        for key, value in rows:
            audit.epoch_record(key, value)
    for _ in audit.heights():
        pass
    return audit


def check_index(audit: Audit, index: Index, ids_of: IdsOf) -> None:
    """Let an audit that is about to run compare the index with each block's receipts, as far as it has come."""
    indexed = index.indexed_height
    applied = audit.content.origin.applied.height
    if indexed is not None and indexed > applied:
        audit.say("index", f"it is filled up to {indexed}, beyond the newest height", applied)

    def compare(height: int, receipts: Sequence[bytes]) -> None:
        if indexed is None or not index.earliest <= height <= indexed:
            return
        for position, tx_id in enumerate(ids_of(receipts)):
            audit.count("indexed")
            if index.lookup(tx_id) != (height, position):
                audit.say("index", f"transaction {tx_id.hex()[:16]} is not found where it was decided", height)
                return

    audit.receipts_seen = compare


def _together(rows: Iterator[Row]) -> Iterator[Sequence[Row]]:
    some: list[Row] = []
    for row in rows:
        some.append(row)
        if len(some) == ROWS:
            yield some
            some = []
    yield some
