"""Which transactions concern an account: an ordered map beside the transaction index, derived from blocks and receipts.

Like the index it is written off the commit path by one thread, without syncs: after a power failure it may lag or be
damaged, and is then filled again.  Keys run backwards in time, so that a page is one short walk from where it begins.
"""

import shutil
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from struct import Struct
from typing import Final

from cccnode.types.errors import STATE_CORRUPT, Fault
from storage.engine import Engine, Put
from storage.leveldb import LevelDB

_PLACE: Final = Struct(">QI")
_PROGRESS: Final = Struct(">QQ")
_PROGRESS_KEY: Final = b"p"
"""Shorter than an account: no walk over an account's keys meets it."""
_HEIGHT_MAX: Final = 2**64 - 1
_POSITION_MAX: Final = 2**32 - 1
PRUNED_AT_ONCE: Final = 2_000
"""Entries that one step of a pruning looks at."""

Row = tuple[bytes, Sequence[bytes]]
"""An id, and the accounts (20 bytes each) that its transaction concerns; position = index in the block's receipts."""
Block = tuple[int, Sequence[Row]]
"""A height and its rows, in block order."""


Place = tuple[int, int]
"""Where a receipt stands: height, and index in the block's receipts."""
Entry = tuple[Place, bytes]
"""One thing that happened to an account: where, and the transaction; zero where a rule of the block did it."""


class History:
    """Account -> the receipts that name it, newest first."""

    def __init__(self, engine: Engine) -> None:
        """Continue what the engine holds."""
        self._engine = engine
        progress = engine.get(_PROGRESS_KEY)
        self._first: int | None = None
        self._last: int | None = None
        if progress is not None:
            self._first, self._last = _PROGRESS.unpack(progress)

    @property
    def first_height(self) -> int | None:
        """From this height on nothing is missing."""
        return self._first

    @property
    def indexed_height(self) -> int | None:
        """The highest height that was added."""
        return self._last

    def add(self, blocks: Sequence[Block]) -> None:
        """Note the rows of the next heights; heights that were added before are ignored.

        Raises:
            Fault: DISK_FULL, DISK_READ_ONLY or DISK_FAILED.
        """
        first, last = self._first, self._last
        puts: list[Put] = []
        for height, rows in blocks:
            if last is not None and height <= last:
                continue
            assert last is None or height == last + 1, f"height {height} after {last}"
            for position, (tx_id, accounts) in enumerate(rows):
                place = _PLACE.pack(_HEIGHT_MAX - height, _POSITION_MAX - position)
                puts += [(account + place, tx_id) for account in accounts]
            first, last = height if first is None else first, height
        if first is None or last is None or last == self._last:
            return
        self._engine.write([*puts, (_PROGRESS_KEY, _PROGRESS.pack(first, last))], sync=False)
        self._first, self._last = first, last

    @property
    def earliest(self) -> int:
        """What happened below this height may be missing."""
        return self._first or 0

    def begin(self, height: int) -> None:
        """What lies below a height is not known any more, so `add` goes on there."""
        if height > 1 and (self._last is None or self._last < height - 1):
            self._note(height, height - 1)

    def prune(self, below: int) -> Iterator[int]:
        """Forget what happened below a height; yields, after each short step, how many entries went.

        The height is noted first.  What an interrupted pruning leaves is not shown, and goes with the next one.

        Raises:
            Fault: DISK_FULL, DISK_READ_ONLY or DISK_FAILED.
        """
        if self._last is None:
            return
        self._note(below, self._last)
        keys = (key for key, _ in self._engine.iterate(b"") if key != _PROGRESS_KEY)
        while part := list(islice(keys, PRUNED_AT_ONCE)):
            old = [key for key in part if _mirrored(*_PLACE.unpack_from(key, len(key) - _PLACE.size))[0] < below]
            self._engine.write([(key, None) for key in old], sync=False)
            yield len(old)
        for byte in range(256):
            self._engine.compact(bytes([byte]), bytes([byte]) + b"\xff" * 32)
            yield 0

    def _note(self, first: int, last: int) -> None:
        self._engine.write([(_PROGRESS_KEY, _PROGRESS.pack(first, last))], sync=False)
        self._first, self._last = first, last

    def page(self, account: bytes, *, before: Place | None = None, limit: int) -> list[Entry]:
        """At most `limit` entries of an account older than `before`, newest first."""
        start = b"" if before is None else account + _PLACE.pack(*_mirrored(*before)) + b"\x00"
        rows = islice(self._engine.iterate(account, start=start), limit)
        entries = [(_mirrored(*_PLACE.unpack_from(key, len(account))), tx_id) for key, tx_id in rows]
        return [entry for entry in entries if entry[0][0] >= self.earliest]

    def close(self) -> None:
        """Close the engine."""
        self._engine.close()


def open_history(folder: Path) -> History:
    """The history in a folder; a damaged one is replaced by an empty one.

    Raises:
        Fault: DISK_FULL, DISK_READ_ONLY, DISK_FAILED or HOME_LOCKED.
    """
    try:
        return History(LevelDB(folder))
    except Fault as damaged:
        if damaged.spec is not STATE_CORRUPT:
            raise
        shutil.rmtree(folder)
        return History(LevelDB(folder))


def _mirrored(height: int, position: int) -> Place:
    return _HEIGHT_MAX - height, _POSITION_MAX - position
