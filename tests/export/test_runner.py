"""An exporter catches up in ranges, follows the tip, waits for its node, and is stopped and started at will."""

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

from cccnode.client import ClientError
from cccnode.export import runner
from cccnode.export.database import Database, Range
from cccnode.export.rows import Rows
from cccnode.export.runner import Exporter, divided, lag
from cccnode.types.errors import BAD_ANSWER, EXPORT_TAKEN, NOT_FOUND, Fault
from storage.store import Store
from tests.export.support import FakeClient, chain, database, fetch, index_of, refusal

_rest = asyncio.sleep


@pytest.fixture
def store() -> Store:
    return chain()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small ranges and transactions, and no time passes."""
    for name, value in {"PART_BLOCKS": 2, "BLOCKS_MAX": 2, "POLL_S": 0, "AGAIN_S": 0}.items():
        monkeypatch.setattr(runner, name, value)


async def exported(made: Database) -> list[tuple[Any, ...]]:
    return sorted(await fetch(made, "SELECT tx_id, height, position FROM transactions"))


async def test_everything_in_ranges(tmp_path: Path, store: Store) -> None:
    """All heights, from several lanes, equal the node's own index; nothing is missing."""
    last = store.applied.height
    async with database(tmp_path / "x.db") as made:
        one = Exporter(client=FakeClient(store), database=made, lanes=3, until=last)
        await one.run()
        assert index_of(store) == await exported(made)
        assert await fetch(made, "SELECT count(*) FROM blocks") == [(last,)]
        assert len(await made.ranges()) > 2
        assert await lag(made, last) == 0
        assert one.done.blocks == last


async def test_it_follows(tmp_path: Path, store: Store) -> None:
    """New blocks are written as they come."""
    client = FakeClient(store)
    client.height = 1
    async with database(tmp_path / "x.db") as made:
        task = asyncio.create_task(Exporter(client=client, database=made).run())
        for height in range(2, store.applied.height + 1):
            client.height = height
            while await lag(made, height):
                await _rest(0)
                assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert index_of(store) == await exported(made)


async def test_stopped_anywhere(tmp_path: Path, store: Store) -> None:
    """Cancelled at any point many times, it ends with every row once."""
    rng, last = random.Random(1), store.applied.height
    for _ in range(30):
        async with database(tmp_path / "x.db") as made:
            task = asyncio.create_task(Exporter(client=FakeClient(store), database=made, lanes=3, until=last).run())
            for _ in range(rng.randrange(60)):
                await _rest(0)
            task.cancel()
            await asyncio.wait([task])
    async with database(tmp_path / "x.db") as made:
        await Exporter(client=FakeClient(store), database=made, lanes=3, until=last).run()
        assert index_of(store) == await exported(made)


async def test_from_a_height(tmp_path: Path, store: Store) -> None:
    """What is older is left out; later runs keep to what the first one began with."""
    last = store.applied.height
    async with database(tmp_path / "x.db") as made:
        await Exporter(client=FakeClient(store), database=made, first=3, until=last).run()
        await Exporter(client=FakeClient(store), database=made, first=1, until=last).run()
        assert await fetch(made, "SELECT min(height), max(height) FROM blocks") == [(3, last)]


async def test_a_node_that_is_away(tmp_path: Path, store: Store) -> None:
    """It is asked again until it answers, and somebody hears of it."""
    client, heard = FakeClient(store), list[ClientError]()
    client.silent = 5
    async with database(tmp_path / "x.db") as made:
        await Exporter(client=client, database=made, until=store.applied.height, waiting=heard.append).run()
        assert len(heard) == 5
        assert index_of(store) == await exported(made)


async def test_a_node_that_refuses(tmp_path: Path, store: Store) -> None:
    """Its error ends the run: asking again would not help."""
    client = FakeClient(store)

    async def call(*_: object, **__: object) -> Any:
        raise refusal(NOT_FOUND)

    client.call = call
    async with database(tmp_path / "x.db") as made:
        with pytest.RaisesGroup(ClientError, flatten_subgroups=True):
            await Exporter(client=client, database=made, lanes=1).run()


async def test_a_node_that_talks_nonsense(tmp_path: Path, store: Store) -> None:
    """client/BAD_ANSWER, with the height; nothing of it is written."""
    client = FakeClient(store)

    async def call(*_: object, **__: object) -> Any:
        return {"header": {"height": "many"}}

    client.call = call
    async with database(tmp_path / "x.db") as made:
        with pytest.RaisesGroup(pytest.RaisesExc(Fault, match=BAD_ANSWER.name)):
            await Exporter(client=client, database=made, lanes=1).run()
        assert await fetch(made, "SELECT count(*) FROM blocks") == [(0,)]


def test_division(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many parts as lanes, without gap or overlap; one alone is no division."""
    monkeypatch.setattr(runner, "PART_BLOCKS", 10)
    assert divided(1, 100, 4) == [(1, 25), (26, 50), (51, 75), (76, 100)]
    assert divided(5, 27, 4) == [(5, 15), (16, 27)]
    assert divided(1, 19, 4) == []
    assert divided(9, 3, 4) == []


async def test_somebody_else_writes(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cursor that moved is read again, a few times; then export/TAKEN ends the run, and no row is there twice."""
    last = store.applied.height
    async with database(tmp_path / "x.db") as made:
        write, ahead = made.write, 3

        async def slow(at: Range, rows: Rows) -> Range:
            nonlocal ahead
            if ahead:
                ahead -= 1
                await write(at, rows)  # By the other one, just before.
            return await write(at, rows)

        monkeypatch.setattr(made, "write", slow)
        await Exporter(client=FakeClient(store), database=made, lanes=1, until=last).run()
        assert index_of(store) == await exported(made)
    async with database(tmp_path / "y.db") as made:
        monkeypatch.setattr(runner, "SURPRISES_MAX", 0)
        write, ahead = made.write, 1
        monkeypatch.setattr(made, "write", slow)
        with pytest.RaisesGroup(pytest.RaisesExc(Fault, match=EXPORT_TAKEN.name)):
            await Exporter(client=FakeClient(store), database=made, lanes=1, until=last).run()
