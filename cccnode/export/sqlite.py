"""An export in a SQLite file: one connection in a thread of its own, so that the loop goes on reading blocks.

A task that is cancelled leaves its statement to that thread; what ends the transaction is queued behind it.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from cccnode.export.rows import Row
from cccnode.types.errors import EXPORT_AWAY, EXPORT_FULL, EXPORT_TARGET, ErrorSpec, fault

T = TypeVar("T")

BUSY_S: Final = 30.0
"""How long it waits for another that writes the file."""


class SqliteSession:
    """Statements of the open transaction."""

    def __init__(self, connection: sqlite3.Connection, thread: Executor) -> None:
        """Use a connection that no other session uses, in its thread."""
        self._connection, self._thread = connection, thread

    async def execute(self, sql: str, *values: object) -> int:
        """See `Session`."""
        return await self.run(lambda: self._connection.execute(sql, values).rowcount)

    async def fetch(self, sql: str, *values: object) -> Sequence[Sequence[Any]]:
        """See `Session`."""
        return await self.run(lambda: self._connection.execute(sql, values).fetchall())

    async def insert(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """See `Session`."""
        marks = ", ".join("?" * len(columns))
        sql = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608 - names of our own tables
        await self.run(lambda: self._connection.executemany(sql, rows))

    async def run(self, work: Callable[[], T]) -> T:
        """Do something with the connection, after what was begun before."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


class SqliteEngine:
    """See `Engine`."""

    json_type = "TEXT"
    alone = "SELECT 1"
    """Every transaction here is, from its beginning."""

    def __init__(self, path: Path) -> None:
        """Open or create the file.

        Raises:
            Fault: export/TARGET, export/FULL or export/AWAY.
        """
        self._path, self._lock = path, asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Transactions are begun and ended here, not by the library.
            self._connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
        except (sqlite3.Error, OSError) as error:
            raise fault(_spec(error), target=str(path), reason=str(error)) from error

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[SqliteSession]:
        """See `Engine`."""
        async with self._lock:
            session = SqliteSession(self._connection, self._thread)
            try:
                await session.execute("BEGIN IMMEDIATE")
                yield session
                await session.execute("COMMIT")
            except sqlite3.Error as error:
                raise fault(_spec(error), target=str(self._path), reason=str(error)) from error
            finally:
                await session.run(self._connection.rollback)  # Nothing where it was committed.

    async def close(self) -> None:
        """See `Engine`."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._connection.close)
        self._thread.shutdown()


def _spec(error: Exception) -> ErrorSpec:
    # The lowest byte is what the extended codes have in common.
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return EXPORT_AWAY
        case sqlite3.SQLITE_FULL:
            return EXPORT_FULL
        case _:
            return EXPORT_TARGET
