"""An export in PostgreSQL, through asyncpg (`pip install cccnode[postgres]`): a pool, and COPY for the rows."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, Final, Self
from urllib.parse import urlsplit

from cccnode.export.rows import Row
from cccnode.types.errors import EXPORT_AWAY, EXPORT_DRIVER, EXPORT_FULL, EXPORT_TARGET, ErrorSpec, Fault, fault

CONNECT_S: Final = 20.0
STATEMENT_S: Final = 300.0
"""A batch of rows takes a fraction of a second; a server that hangs is given up after this."""
CLOSE_S: Final = 10.0
_DISK_FULL: Final = "53100"
_AWAY_CLASSES: Final = frozenset({"08", "40"})
"""The connection broke; the transaction was rolled back, such as for a deadlock."""
_AWAY: Final = frozenset({"53300", "57P01", "57P02", "57P03", "57P05", "25006"})
"""Too many connections; shut down, crashed, starting up; idle for too long; a standby that others write to."""


class PostgresSession:
    """Statements of the open transaction."""

    def __init__(self, connection: Any) -> None:
        """Use a connection of the pool."""
        self._connection = connection

    async def execute(self, sql: str, *values: object) -> int:
        """See `Session`."""
        tag = str(await self._connection.execute(_numbered(sql), *values)).rpartition(" ")[2]
        return int(tag) if tag.isdigit() else 0

    async def fetch(self, sql: str, *values: object) -> Sequence[Sequence[Any]]:
        """See `Session`."""
        return [tuple(row) for row in await self._connection.fetch(_numbered(sql), *values)]

    async def insert(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """See `Session`."""
        await self._connection.copy_records_to_table(table, records=rows, columns=columns)


class PostgresEngine:
    """See `Engine`."""

    json_type = "JSONB"
    alone = "SELECT pg_advisory_xact_lock(6366399)"
    """Two that create one table at once would refuse each other; the number has no meaning."""

    def __init__(self, pool: Any, errors: tuple[type[BaseException], ...], target: str) -> None:
        """Use a pool; `errors` are what its calls raise."""
        self._pool, self._errors, self._target = pool, errors, target

    @classmethod
    async def connect(cls, url: str, *, connections: int) -> Self:
        """Connect to the database that a `postgresql://` URL names.

        Raises:
            Fault: export/DRIVER without asyncpg, export/TARGET.
        """
        try:
            import asyncpg  # noqa: PLC0415 - an extra that few install
        except ImportError as missing:
            raise fault(EXPORT_DRIVER, reason=str(missing)) from missing
        errors = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError, ValueError)
        target = without_password(url)
        try:
            pool = await asyncpg.create_pool(
                url, min_size=1, max_size=connections, timeout=CONNECT_S, command_timeout=STATEMENT_S
            )
        except errors as error:
            raise fault(EXPORT_TARGET, target=target, reason=str(error)) from error
        return cls(pool, errors, target)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[PostgresSession]:
        """See `Engine`."""
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                yield PostgresSession(connection)
        except Fault:
            raise
        except self._errors as error:
            reason = str(error) or type(error).__name__
            raise fault(_spec(error), target=self._target, reason=reason) from error

    async def close(self) -> None:
        """See `Engine`."""
        try:
            await asyncio.wait_for(self._pool.close(), CLOSE_S)
        except self._errors:
            self._pool.terminate()


def without_password(url: str) -> str:
    """What may be shown of a database's URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{parts.path}"


def _spec(error: BaseException) -> ErrorSpec:
    """What a driver's error means here, by its SQLSTATE where the server gave one."""
    state = str(getattr(error, "sqlstate", None) or "")
    if state == _DISK_FULL:
        return EXPORT_FULL
    if state:
        return EXPORT_AWAY if state[:2] in _AWAY_CLASSES or state in _AWAY else EXPORT_TARGET
    # A value that does not fit is an error of the client too, and stays one however often it is tried.
    return EXPORT_TARGET if isinstance(error, ValueError) else EXPORT_AWAY


def _numbered(sql: str) -> str:
    """`$1`, `$2` ... for `?`; none of our statements has a `?` elsewhere."""
    numbers = count(1)
    return "".join(f"${next(numbers)}" if char == "?" else char for char in sql)
