"""Where each transaction was decided: a SQLite table, derived from receipts and rebuildable from them.

It is written off the commit path by one thread, without syncs: after a power failure it may lag or be damaged, and is
then filled again from the receipts that the store holds.  Reads use a second connection.

Pruning goes through the table in the order of its ids, a piece at a time, because rows of one height lie everywhere;
pages that become free are given back to the disk.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Final

from cccnode.types.errors import DISK_FAILED, DISK_FULL, DISK_READ_ONLY, ErrorSpec, Fault, fault

SCHEMA_VERSION: Final = 2
"""Another number on disk means: begin with an empty file and fill it again."""
PIECE_PAGES: Final = 256
"""Pages of the file that one step of a pruning looks through or gives back: a megabyte, some milliseconds."""
FREE_PART: Final = 16
"""Pages are given back when one of so many is free; fewer are soon filled again."""

WAL_BYTES: Final = 8 << 20
"""What SQLite's write-ahead log keeps of the disk between two transactions: one alone may touch every page."""

_SCHEMA: Final = f"""
CREATE TABLE tx (id BLOB PRIMARY KEY, height INTEGER NOT NULL, position INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE progress (height INTEGER NOT NULL);
CREATE TABLE earliest (height INTEGER NOT NULL);
PRAGMA user_version = {SCHEMA_VERSION};
"""
_TOGETHER: Final = 100
"""Rows of one statement: each statement costs as much as a row, and may cost this thread the interpreter."""
_INSERT: Final = "INSERT OR IGNORE INTO tx VALUES "
_INSERT_ONE: Final = _INSERT + "(?, ?, ?)"
_INSERT_MANY: Final = _INSERT + ", ".join(["(?, ?, ?)"] * _TOGETHER)
_ROWS: Final[dict[int, ErrorSpec]] = {sqlite3.SQLITE_FULL: DISK_FULL, sqlite3.SQLITE_READONLY: DISK_READ_ONLY}

Block = tuple[int, Sequence[bytes]]
"""A height and the ids of the transactions decided there, in order."""


class Index:
    """Transaction id -> (height, position among the decided transactions of that block)."""

    def __init__(self, path: str | Path | None) -> None:
        """Open or create the file; a damaged one is replaced by an empty one.  None keeps the index in memory.

        Raises:
            Fault: DISK_FULL, DISK_READ_ONLY or DISK_FAILED.
        """
        self._path = None if path is None else Path(path)
        with _named(str(path)):
            if self._path is not None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._writer = self._open()
            except sqlite3.DatabaseError as error:
                if self._path is None or isinstance(error, sqlite3.OperationalError):
                    raise
                self._remove()
                self._writer = self._open()
            self._reader = self._writer if self._path is None else self._connect()
        self._indexed = self._read_one("progress")
        self._earliest = self._read_one("earliest") or 0

    @property
    def indexed_height(self) -> int | None:
        """The highest height whose transactions are in the index."""
        return self._indexed

    @property
    def earliest(self) -> int:
        """Transactions decided below this height may be missing."""
        return self._earliest

    def add(self, blocks: Sequence[Block]) -> None:
        """Note the decided transactions of the next heights; heights that were added before are ignored.

        One transaction, rows in the order of their ids: ids are random, so many at once touch far fewer pages each.

        Raises:
            Fault: DISK_FULL, DISK_READ_ONLY or DISK_FAILED.
        """
        rows: list[tuple[bytes, int, int]] = []
        indexed = self._indexed
        for height, tx_ids in blocks:
            if indexed is not None and height <= indexed:
                continue
            assert indexed is None or height == indexed + 1, f"height {height} after {indexed}"
            rows += [(tx_id, height, position) for position, tx_id in enumerate(tx_ids)]
            indexed = height
        if indexed == self._indexed:
            return
        rows.sort(key=itemgetter(0))
        whole = len(rows) - len(rows) % _TOGETHER
        many = (tuple(chain.from_iterable(rows[at : at + _TOGETHER])) for at in range(0, whole, _TOGETHER))
        with _named(str(self._path)), self._writer:
            self._writer.executemany(_INSERT_MANY, many)
            self._writer.executemany(_INSERT_ONE, rows[whole:])
            self._writer.execute("DELETE FROM progress")
            self._writer.execute("INSERT INTO progress VALUES (?)", (indexed,))
        self._indexed = indexed

    def lookup(self, tx_id: bytes) -> tuple[int, int] | None:
        """The (height, position) of a decided transaction, or None."""
        with _named(str(self._path)):
            row = self._reader.execute("SELECT height, position FROM tx WHERE id = ?", (tx_id,)).fetchone()
        return None if row is None else (row[0], row[1])

    def clear(self) -> None:
        """Forget everything, to be filled again."""
        with _named(str(self._path)), self._writer:
            for table in ("tx", "progress", "earliest"):
                self._writer.execute(f"DELETE FROM {table}")  # noqa: S608 - names of this file
        self._indexed, self._earliest = None, 0

    def begin(self, height: int) -> None:
        """What was decided below a height is not known any more, so `add` goes on there."""
        if height > 1 and (self._indexed is None or self._indexed < height - 1):
            self._remember(progress=height - 1, earliest=height)

    def prune(self, below: int) -> Iterator[int]:
        """Forget transactions that were decided below a height; yields, after each short step, how many rows went.

        The height is noted first.  What an interrupted pruning leaves, the next one takes.

        Raises:
            Fault: DISK_FULL, DISK_READ_ONLY or DISK_FAILED.
        """
        self._remember(earliest=below)
        pieces = max(1, self._pragma("page_count") // PIECE_PAGES)
        for piece in range(pieces):
            bounds = [(piece << 32) // pieces, ((piece + 1) << 32) // pieces]
            yield self._delete(bounds[0].to_bytes(5, "big")[1:], bounds[1].to_bytes(5, "big")[1:], below)
        free = before = self._pragma("freelist_count")
        while free * FREE_PART > self._pragma("page_count") and free <= before:
            with _named(str(self._path)):
                self._writer.execute(f"PRAGMA incremental_vacuum({PIECE_PAGES})").fetchall()
            yield 0
            free, before = self._pragma("freelist_count"), free - 1

    def _delete(self, first: bytes, end: bytes, below: int) -> int:
        """One piece: ids from `first` up to `end`, which stands for no end where it is zero."""
        last = "" if end == bytes(len(end)) else " AND id < ?"
        values = (below, first) if not last else (below, first, end)
        with _named(str(self._path)), self._writer:
            deleted = self._writer.execute(f"DELETE FROM tx WHERE height < ? AND id >= ?{last}", values)  # noqa: S608
        return deleted.rowcount

    def _remember(self, **heights: int) -> None:
        with _named(str(self._path)), self._writer:
            for table, height in heights.items():
                self._writer.execute(f"DELETE FROM {table}")  # noqa: S608 - names of this file
                self._writer.execute(f"INSERT INTO {table} VALUES (?)", (height,))  # noqa: S608
        self._indexed = heights.get("progress", self._indexed)
        self._earliest = heights.get("earliest", self._earliest)

    def _pragma(self, name: str) -> int:
        with _named(str(self._path)):
            return int(self._writer.execute(f"PRAGMA {name}").fetchone()[0])

    def rows(self) -> int:
        """How many transactions it holds."""
        with _named(str(self._path)):
            return int(self._writer.execute("SELECT count(*) FROM tx").fetchone()[0])

    def compact(self) -> None:
        """Write the file anew without its free pages.  Blocks; needs as much space again meanwhile.

        Raises:
            Fault: DISK_FULL, DISK_READ_ONLY or DISK_FAILED.
        """
        with _named(str(self._path)):
            self._writer.execute("VACUUM")

    def close(self) -> None:
        """Close both connections."""
        self._reader.close()
        self._writer.close()

    def _read_one(self, table: str) -> int | None:
        with _named(str(self._path)):
            row = self._writer.execute(f"SELECT height FROM {table}").fetchone()  # noqa: S608 - names of this file
        return None if row is None else int(row[0])

    def _connect(self) -> sqlite3.Connection:
        # Each connection is used by one thread at a time, though not by the one that opened it.
        connection = sqlite3.connect(":memory:" if self._path is None else self._path, check_same_thread=False)
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # Counts only before a new file is first written.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
        return connection

    def _open(self) -> sqlite3.Connection:
        connection = self._connect()
        try:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version not in {0, SCHEMA_VERSION}:
                raise sqlite3.DatabaseError(f"schema {version}")
            if not version:
                connection.executescript("DROP TABLE IF EXISTS tx; DROP TABLE IF EXISTS progress;" + _SCHEMA)
            connection.execute("SELECT count(*) FROM (SELECT 1 FROM tx LIMIT 1)").fetchone()
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _remove(self) -> None:
        assert self._path is not None
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)


@contextmanager
def _named(path: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise _fault(error, path) from error
    except OSError as error:
        raise fault(DISK_FAILED, path=path, reason=str(error)) from error


def _fault(error: sqlite3.Error, path: str) -> Fault:
    code = getattr(error, "sqlite_errorcode", 0) or 0
    return fault(_ROWS.get(code & 0xFF, DISK_FAILED), path=path, reason=str(error))
