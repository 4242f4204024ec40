"""An export in PostgreSQL, through asyncpg (`pip install cccnode[postgres]`): a pool, and COPY for the rows."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, Final, Self
from urllib.parse import urlsplit

from cccnode.export.rows import Row
from cccnode.types.errors import EXPORT_DRIVER, EXPORT_TARGET, Fault, fault

CONNECT_S: Final = 20.0
STATEMENT_S: Final = 300.0
"""A batch of rows takes a fraction of a second; a server that hangs is given up after this."""


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
            raise fault(EXPORT_TARGET, target=self._target, reason=str(error)) from error

    async def close(self) -> None:
        """See `Engine`."""
        await self._pool.close()


def without_password(url: str) -> str:
    """What may be shown of a database's URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{parts.path}"


def _numbered(sql: str) -> str:
    """`$1`, `$2` ... for `?`; none of our statements has a `?` elsewhere."""
    numbers = count(1)
    return "".join(f"${next(numbers)}" if char == "?" else char for char in sql)
