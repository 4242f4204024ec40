"""What is written is written once: cursor and rows together, for one chain, in tables of one version."""

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from cccnode.export import sqlite
from cccnode.export.database import Database, Range, complete_until
from cccnode.export.postgres import PostgresEngine, _numbered, _spec, without_password
from cccnode.export.rows import BLOCK_ID, PARENT, Rows
from cccnode.export.schema import COLUMNS, MIGRATIONS, VERSION
from cccnode.export.sqlite import SqliteEngine
from cccnode.types.errors import (
    EXPORT_AWAY,
    EXPORT_DRIVER,
    EXPORT_FULL,
    EXPORT_OTHER_CHAIN,
    EXPORT_SCHEMA,
    EXPORT_TAKEN,
    EXPORT_TARGET,
    ErrorSpec,
    Fault,
)
from tests.export.support import CHAIN, block, chain, database, fetch


async def refused(work: object) -> ErrorSpec:
    with pytest.raises(Fault) as told:
        await work  # type: ignore[misc]
    return told.value.spec


async def test_rows_and_cursor_come_together(tmp_path: Path) -> None:
    """A block is there with its cursor, and where anything fails neither is."""
    store, rows = chain(2), Rows()
    rows.add(block(store, 1), 1)
    async with database(tmp_path / "x.db") as made:
        await made.follow_from(1)
        (before,) = await made.ranges()
        after = await made.write(before, rows)
        assert [after] == await made.ranges()
        assert await fetch(made, "SELECT height FROM blocks") == [(1,)]
        spoiled = Rows()
        spoiled.add(block(store, 2), 2)
        spoiled.tables["events"].append((None,) * len(COLUMNS["events"]))
        assert EXPORT_TARGET is await refused(made.write(after, spoiled))
        assert [after] == await made.ranges()
        assert await fetch(made, "SELECT height FROM blocks") == [(1,)]


async def test_two_exporters(tmp_path: Path) -> None:
    """export/TAKEN: whoever holds an old cursor writes nothing, and divides nothing."""
    store, rows = chain(2), Rows()
    rows.add(block(store, 1), 1)
    async with database(tmp_path / "x.db") as one, database(tmp_path / "x.db") as other:
        await one.follow_from(1)
        (old,) = await other.ranges()
        await one.write(old, rows)
        assert EXPORT_TAKEN is await refused(other.write(old, rows))
        assert EXPORT_TAKEN is await refused(other.split(old, [(1, 5), (6, 10)]))
        assert len(await fetch(one, "SELECT height FROM blocks")) == 1


async def test_begun_twice(tmp_path: Path) -> None:
    """Who begins second keeps to what the first began with."""
    async with database(tmp_path / "x.db") as made:
        await made.follow_from(5)
        await made.follow_from(1)
        assert [Range(first=5, next=5, last=None)] == await made.ranges()


async def test_division(tmp_path: Path) -> None:
    """The open range ends at its cursor, parts follow it without a gap, and a new open one follows them."""
    async with database(tmp_path / "x.db") as made:
        await made.follow_from(5)
        (first,) = await made.ranges()
        await made.split(first, [(5, 9), (10, 20)])
        rows = [(row.first, row.next, row.last) for row in await made.ranges()]
        assert rows == [(5, 5, 9), (10, 10, 20), (21, 21, None)]


async def test_migration(tmp_path: Path) -> None:
    """Tables of an older version become newer ones and keep their rows; newer ones are refused: export/SCHEMA."""
    path = tmp_path / "x.db"
    async with database(path, migrations=MIGRATIONS[:1]) as made:
        await made.follow_from(3)
    async with database(path) as made:
        assert [Range(first=3, next=3, last=None)] == await made.ranges()
        assert ("version", str(VERSION)) in await fetch(made, "SELECT name, value FROM export_meta")
        indexes = await fetch(made, "SELECT name FROM sqlite_master WHERE type = 'index'")
        assert ("events_by_name",) in indexes
    older = Database(SqliteEngine(path))
    assert EXPORT_SCHEMA is await refused(older.open(CHAIN, migrations=MIGRATIONS[:1]))
    await older.close()


async def test_a_broken_migration_changes_nothing(tmp_path: Path) -> None:
    """All steps or none: the tables stay at their version."""
    path = tmp_path / "x.db"
    async with database(path):
        pass
    newer = Database(SqliteEngine(path))
    broken = [*MIGRATIONS, ("CREATE TABLE extra (x BIGINT)", "CREATE TABLE blocks (x BIGINT)")]
    assert EXPORT_TARGET is await refused(newer.open(CHAIN, migrations=broken))
    await newer.close()
    async with database(path) as made:
        assert not await fetch(made, "SELECT 1 FROM sqlite_master WHERE name = 'extra'")


async def test_another_chain(tmp_path: Path) -> None:
    """export/OTHER_CHAIN: one database holds one chain."""
    async with database(tmp_path / "x.db"):
        pass
    other = Database(SqliteEngine(tmp_path / "x.db"))
    assert EXPORT_OTHER_CHAIN is await refused(other.open("0x22"))
    await other.close()


async def test_a_chain_without_joints(tmp_path: Path) -> None:
    """export/OTHER_CHAIN: blocks that do not continue those below, or are not continued by those above."""
    store = chain(4)
    async with database(tmp_path / "x.db") as made:
        await made.follow_from(1)
        await made.split((await made.ranges())[0], [(1, 2), (3, 3)])
        low, high, _ = await made.ranges()
        one, two, three = Rows(), Rows(), Rows()
        for height, rows in ((1, one), (2, two), (3, three)):
            rows.add(block(store, height), height)
        low = await made.write(low, one)
        await made.write(high, three)
        for spoiled in (0, 1):
            strange = Rows()
            strange.add(block(store, 2), 2)
            row = list(strange.tables["blocks"][0])
            row[(PARENT, BLOCK_ID)[spoiled]] = "0x22"
            strange.tables["blocks"][0] = tuple(row)
            assert EXPORT_OTHER_CHAIN is await refused(made.write(low, strange))
        low = await made.write(low, two)
        await made.merge()
        assert [(1, 4, 3), (4, 4, None)] == [(row.first, row.next, row.last) for row in await made.ranges()]


def test_no_database(tmp_path: Path) -> None:
    """export/TARGET: a file that is none, or cannot be made."""
    (tmp_path / "text").write_text("not a database, and longer than a header of one " * 9)
    for path in (tmp_path / "text", tmp_path / "text" / "below"):
        with pytest.raises(Fault) as told:
            SqliteEngine(path)
        assert EXPORT_TARGET is told.value.spec


def test_complete_until() -> None:
    """The first gap ends it; a range that waits is a gap from its first height on."""
    full, half = Range(first=1, next=10, last=9), Range(first=10, next=13, last=20)
    following = Range(first=21, next=30, last=None)
    assert complete_until([]) == 0
    assert complete_until([full, half, following]) == 12
    assert complete_until([full, Range(first=10, next=21, last=20), following]) == 29


def test_what_is_shown_of_a_url() -> None:
    """Never the password."""
    assert without_password("postgresql://me:secret@db:5432/chain?x=1") == "postgresql://db/chain"


def test_placeholders() -> None:
    """Numbers for PostgreSQL."""
    assert _numbered("UPDATE x SET a = ? WHERE b = ?") == "UPDATE x SET a = $1 WHERE b = $2"


def test_columns_are_those_of_the_tables() -> None:
    """What is written is what the migrations make."""
    connection = sqlite3.connect(":memory:")
    for statement in (row for rows in MIGRATIONS for row in rows):
        connection.execute(statement.replace("{json}", "TEXT"))
    for table, columns in COLUMNS.items():
        assert columns == tuple(row[1] for row in connection.execute(f"PRAGMA table_info({table})"))
    connection.close()


async def test_without_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """export/DRIVER where asyncpg is not installed, with the command that installs it."""
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    assert EXPORT_DRIVER is await refused(PostgresEngine.connect("postgresql://db/chain", connections=1))


class _Said(Exception):
    """An error of a PostgreSQL driver."""

    def __init__(self, sqlstate: str | None) -> None:
        self.sqlstate = sqlstate


class _Value(_Said, ValueError):
    """A value that the driver refuses itself."""


@pytest.mark.parametrize(
    ("error", "spec"),
    [
        (_Said("08006"), EXPORT_AWAY),
        (_Said("40P01"), EXPORT_AWAY),
        (_Said("57P03"), EXPORT_AWAY),
        (_Said("53100"), EXPORT_FULL),
        (_Said("42501"), EXPORT_TARGET),
        (_Said("23505"), EXPORT_TARGET),
        (_Said(None), EXPORT_AWAY),
        (_Value(None), EXPORT_TARGET),
        (ConnectionRefusedError(), EXPORT_AWAY),
        (TimeoutError(), EXPORT_AWAY),
    ],
)
def test_what_a_server_says(error: Exception, spec: ErrorSpec) -> None:
    """By SQLSTATE: what passes is export/AWAY, no space is export/FULL, what stays as it is export/TARGET."""
    assert spec is _spec(error)


async def test_a_file_that_is_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """export/AWAY while somebody else holds the file for too long; nothing is lost."""
    monkeypatch.setattr(sqlite, "BUSY_S", 0)
    async with database(tmp_path / "x.db") as made:
        with closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert EXPORT_AWAY is await refused(made.follow_from(1))
            other.execute("ROLLBACK")
        await made.follow_from(1)


def test_complete_until_a_hole() -> None:
    """Heights that are in no range end what is complete, too."""
    assert complete_until([Range(first=1, next=3, last=2), Range(first=5, next=9, last=None)]) == 2
