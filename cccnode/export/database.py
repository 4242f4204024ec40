"""What an exporter writes, and that it writes it once: rows and cursor in one transaction."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from cccnode.export.rows import Row, Rows
from cccnode.export.schema import COLUMNS, JSON, MIGRATIONS
from cccnode.types.errors import EXPORT_OTHER_CHAIN, EXPORT_SCHEMA, EXPORT_TAKEN, fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Neighbouring heights with a cursor of their own."""

    first: int
    next: int
    """The height that is to be written next."""
    last: int | None
    """None: it follows the tip."""


class Session(Protocol):
    """One open database transaction."""

    async def execute(self, sql: str, *values: object) -> int:
        """Carry out a statement with `?` for each value; how many rows it changed."""

    async def fetch(self, sql: str, *values: object) -> Sequence[Sequence[Any]]:
        """The rows of a query."""

    async def insert(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """Insert many rows."""


class Engine(Protocol):
    """A database of one kind."""

    json_type: str
    alone: str
    """A query after which the open transaction is the only one that makes tables, or begins to fill them."""

    def transaction(self) -> AbstractAsyncContextManager[Session]:
        """A transaction: committed at the end, dropped if the body raises.

        Raises:
            Fault: export/AWAY: it may work later; export/FULL; export/TARGET.
        """

    async def close(self) -> None:
        """Close all connections."""


class Database:
    """The tables of one chain in one database."""

    def __init__(self, engine: Engine) -> None:
        """Use an open engine."""
        self._engine = engine

    async def open(self, chain: str, *, migrations: Sequence[Sequence[str]] = MIGRATIONS) -> None:
        """Bring the tables to this program's version and claim them for a chain.

        Raises:
            Fault: export/SCHEMA, export/OTHER_CHAIN or export/TARGET.
        """
        async with self._engine.transaction() as session:
            await session.fetch(self._engine.alone)
            await session.execute("CREATE TABLE IF NOT EXISTS export_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
            known = {
                str(name): str(value) for name, value in await session.fetch("SELECT name, value FROM export_meta")
            }
            version = int(known.get("version", 0))
            if version > len(migrations):
                raise fault(EXPORT_SCHEMA, found=version, supported=len(migrations))
            if known.get("chain", chain) != chain:
                raise fault(EXPORT_OTHER_CHAIN, found=known["chain"], expected=chain)
            for statements in migrations[version:]:
                for statement in statements:
                    await session.execute(statement.replace(JSON, self._engine.json_type))
            await session.execute("DELETE FROM export_meta")
            for name, value in (("version", str(len(migrations))), ("chain", chain)):
                await session.execute("INSERT INTO export_meta (name, value) VALUES (?, ?)", name, value)

    async def ranges(self) -> list[Range]:
        """All ranges, lowest first."""
        async with self._engine.transaction() as session:
            rows = await session.fetch("SELECT first, next, last FROM ranges ORDER BY first")
        return [Range(first=first, next=following, last=last) for first, following, last in rows]

    async def follow_from(self, height: int) -> None:
        """Begin, unless another exporter has: one range that follows the tip."""
        async with self._engine.transaction() as session:
            await session.fetch(self._engine.alone)
            if not await session.fetch("SELECT 1 FROM ranges LIMIT 1"):
                await session.execute("INSERT INTO ranges (first, next, last) VALUES (?, ?, NULL)", height, height)

    async def split(self, open_range: Range, parts: Sequence[tuple[int, int]]) -> None:
        """End the open range where its cursor stands; these follow, and a new open range behind them."""
        async with self._engine.transaction() as session:
            if open_range.next == open_range.first:
                done = await session.execute(
                    "DELETE FROM ranges WHERE first = ? AND next = ?", open_range.first, open_range.next
                )
            else:
                done = await session.execute(
                    "UPDATE ranges SET last = ? WHERE first = ? AND next = ?",
                    open_range.next - 1,
                    open_range.first,
                    open_range.next,
                )
            if done != 1:
                raise fault(EXPORT_TAKEN, range=open_range.first, cursor=open_range.next)
            rows: list[Row] = [(first, first, last) for first, last in parts]
            rows.append((parts[-1][1] + 1, parts[-1][1] + 1, None))
            await session.insert("ranges", ("first", "next", "last"), rows)

    async def write(self, at: Range, rows: Rows) -> Range:
        """The rows of the blocks from the range's cursor on; the range as it is then.

        Raises:
            Fault: export/TAKEN: another exporter has written them; export/OTHER_CHAIN: the blocks beside them are of
                another chain; what the database says.
        """
        after = at.next + rows.blocks
        async with self._engine.transaction() as session:
            # The cursor first: whoever is late waits here, or is refused, before it writes anything.
            moved = await session.execute(
                "UPDATE ranges SET next = ? WHERE first = ? AND next = ?", after, at.first, at.next
            )
            if moved != 1:
                raise fault(EXPORT_TAKEN, range=at.first, cursor=at.next)
            await _continues(session, at.next, after, rows)
            for table, content in rows.tables.items():
                if content:
                    await session.insert(table, COLUMNS[table], content)
        return Range(first=at.first, next=after, last=at.last)

    async def leave_out(self, at: Range, earliest: int) -> Range | None:
        """Heights below `earliest` stay missing; the range of those from there on, None where none are left.

        What is missing stays a range of its own that begins where this one did, to be filled from another node.
        """
        if at.last is not None and earliest > at.last:
            return None
        async with self._engine.transaction() as session:
            cut = await session.execute(
                "UPDATE ranges SET last = ? WHERE first = ? AND next = ?", earliest - 1, at.first, at.next
            )
            if cut != 1:
                raise fault(EXPORT_TAKEN, range=at.first, cursor=at.next)
            await session.insert("ranges", ("first", "next", "last"), [(earliest, earliest, at.last)])
        return Range(first=earliest, next=earliest, last=at.last)

    async def merge(self) -> None:
        """Finished neighbours become one range, so that there are few however often an exporter started."""
        async with self._engine.transaction() as session:
            rows = await session.fetch("SELECT first, next, last FROM ranges WHERE next > last ORDER BY first")
            for first, last, gone in _neighbours([(int(row[0]), int(row[2])) for row in rows]):
                for old in gone:
                    # One that another exporter has merged meanwhile is not there any more.
                    if await session.execute("DELETE FROM ranges WHERE first = ? AND next > last", old) != 1:
                        raise fault(EXPORT_TAKEN, range=old, cursor=last)
                await session.insert("ranges", ("first", "next", "last"), [(first, last + 1, last)])

    async def close(self) -> None:
        """Close the database."""
        await self._engine.close()


async def _continues(session: Session, first: int, after: int, rows: Rows) -> None:
    """That the rows lie between the blocks that are there: all tables hold one chain, whatever a node answers.

    Raises:
        Fault: export/OTHER_CHAIN.
    """
    below = await session.fetch("SELECT block_id FROM blocks WHERE height = ?", first - 1)
    above = await session.fetch("SELECT parent FROM blocks WHERE height = ?", after)
    for found, given, height in ((below, rows.parent, first), (above, rows.last_id, after)):
        if found and found[0][0] != given:
            raise fault(EXPORT_OTHER_CHAIN, height=height, found=found[0][0], expected=given)


def _neighbours(finished: Sequence[tuple[int, int]]) -> list[tuple[int, int, list[int]]]:
    """Runs of two or more ranges (first, last) without a gap: the first and last height, and where each began."""
    runs: list[tuple[int, int, list[int]]] = []
    for first, last in finished:
        if runs and runs[-1][1] + 1 == first:
            begin, _, parts = runs.pop()
            runs.append((begin, last, [*parts, first]))
        else:
            runs.append((first, last, [first]))
    return [run for run in runs if len(run[2]) > 1]


def complete_until(ranges: Sequence[Range]) -> int:
    """Up to this height nothing is missing; 0 before anything."""
    height = 0
    for row in ranges:
        if height and row.first != height + 1:
            break
        height = row.next - 1
        if row.last is None or row.next <= row.last:
            break
    return height


@asynccontextmanager
async def opened(engine: Engine, chain: str) -> AsyncIterator[Database]:
    """A database, closed at the end."""
    database = Database(engine)
    try:
        await database.open(chain)
        yield database
    finally:
        await database.close()
