"""An exporter catches up in ranges, follows the tip, waits for its node, and is stopped and started at will."""

import asyncio
import random
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cccnode.client import ClientError
from cccnode.export import runner
from cccnode.export.database import Database, Range
from cccnode.export.rows import Rows
from cccnode.export.runner import Exporter, divided, lag
from cccnode.types.errors import (
    BAD_ANSWER,
    EXPORT_AWAY,
    EXPORT_FULL,
    EXPORT_GAP,
    EXPORT_OTHER_CHAIN,
    EXPORT_TAKEN,
    RPC_INVALID_PARAMS,
    UNREACHABLE,
    Fault,
    fault,
)
from storage.store import Store
from tests.export.support import CHAIN, FakeClient, chain, database, fetch, index_of, refusal

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


def exporter(store: Store, made: Database, **given: Any) -> Exporter:
    return Exporter(**{"chain": CHAIN, "client": FakeClient(store), "database": made, **given})


async def test_everything_in_ranges(tmp_path: Path, store: Store) -> None:
    """All heights, from several lanes, equal the node's own index; nothing is missing."""
    last = store.applied.height
    async with database(tmp_path / "x.db") as made:
        one = exporter(store, made, lanes=3, until=last)
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
        task = asyncio.create_task(Exporter(chain=CHAIN, client=client, database=made).run())
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
            task = asyncio.create_task(exporter(store, made, lanes=3, until=last).run())
            for _ in range(rng.randrange(60)):
                await _rest(0)
            task.cancel()
            await asyncio.wait([task])
    async with database(tmp_path / "x.db") as made:
        await exporter(store, made, lanes=3, until=last).run()
        assert index_of(store) == await exported(made)


async def test_from_a_height(tmp_path: Path, store: Store) -> None:
    """What is older is left out; later runs keep to what the first one began with."""
    last = store.applied.height
    async with database(tmp_path / "x.db") as made:
        await exporter(store, made, first=3, until=last).run()
        await exporter(store, made, first=1, until=last).run()
        assert await fetch(made, "SELECT min(height), max(height) FROM blocks") == [(3, last)]


async def test_a_node_that_is_away(tmp_path: Path, store: Store) -> None:
    """It is asked again until it answers, and somebody hears of it once."""
    client, heard = FakeClient(store), list[Exception]()
    client.silent = 5
    async with database(tmp_path / "x.db") as made:
        await exporter(store, made, client=client, until=store.applied.height, waiting=heard.append).run()
        assert [UNREACHABLE.name] == [getattr(error, "name", None) for error in heard]
        assert client.silent == 0
        assert index_of(store) == await exported(made)


async def test_a_node_that_refuses(tmp_path: Path, store: Store) -> None:
    """Its error ends the run: asking again would not help."""
    client = FakeClient(store)

    async def call(*_: object, **__: object) -> Any:
        raise refusal(RPC_INVALID_PARAMS)

    client.call = call
    async with database(tmp_path / "x.db") as made:
        with pytest.RaisesGroup(ClientError, flatten_subgroups=True):
            await Exporter(chain=CHAIN, client=client, database=made, lanes=1).run()


async def test_a_node_that_talks_nonsense(tmp_path: Path, store: Store) -> None:
    """client/BAD_ANSWER, with the height; nothing of it is written."""
    client = FakeClient(store)

    async def call(*_: object, **__: object) -> Any:
        return {"header": {"height": "many"}}

    client.call = call
    async with database(tmp_path / "x.db") as made:
        with pytest.RaisesGroup(pytest.RaisesExc(Fault, match=BAD_ANSWER.name)):
            await Exporter(chain=CHAIN, client=client, database=made, lanes=1).run()
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
        await exporter(store, made, lanes=1, until=last).run()
        assert index_of(store) == await exported(made)
    async with database(tmp_path / "y.db") as made:
        monkeypatch.setattr(runner, "SURPRISES_MAX", 0)
        write, ahead = made.write, 1
        monkeypatch.setattr(made, "write", slow)
        with pytest.RaisesGroup(pytest.RaisesExc(Fault, match=EXPORT_TAKEN.name)):
            await exporter(store, made, lanes=1, until=last).run()


async def test_a_database_that_goes_away(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was committed without an answer is not written again; what was not, is; somebody hears of it once."""
    last, heard = store.applied.height, list[Exception]()
    async with database(tmp_path / "x.db") as made:
        write, ranges, fails = made.write, made.ranges, iter([0, 1, 0, 0, 1, *[2] * 99])

        async def broken(at: Range, rows: Rows) -> Range:
            match next(fails):
                case 0:
                    raise fault(EXPORT_AWAY)
                case 1:
                    await write(at, rows)
                    raise fault(EXPORT_AWAY)
            return await write(at, rows)

        async def asked() -> list[Range]:
            if heard and heard[-1:] * 3 != heard[-3:]:
                heard.append(heard[-1])
                raise fault(EXPORT_AWAY)
            return await ranges()

        monkeypatch.setattr(made, "write", broken)
        monkeypatch.setattr(made, "ranges", asked)
        one = exporter(store, made, lanes=1, until=last, waiting=heard.append)
        await one.run()
        assert index_of(store) == await exported(made)
        assert [EXPORT_AWAY] * len(heard) == [error.spec for error in heard]


async def test_a_full_database(tmp_path: Path, store: Store) -> None:
    """export/FULL ends the run; with space again the next one goes on where it stood."""
    path, last = tmp_path / "x.db", store.applied.height
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("PRAGMA page_size = 512; VACUUM")
    async with database(path) as made:
        ((pages,),) = await fetch(made, "PRAGMA page_count")
        await fetch(made, f"PRAGMA max_page_count = {pages + 4}")
        with pytest.RaisesGroup(pytest.RaisesExc(Fault, match=EXPORT_FULL.name)):
            await exporter(store, made, lanes=1, until=last).run()
        assert await fetch(made, "SELECT count(*) FROM blocks") != [(last,)]
    async with database(path) as made:
        await exporter(store, made, until=last).run()
        assert index_of(store) == await exported(made)


async def test_a_node_that_prunes(tmp_path: Path, store: Store) -> None:
    """export/GAP: it goes on behind what is missing, says so, and an archive node fills it."""
    last, heard = store.applied.height, list[Exception]()
    client = FakeClient(store)
    client.earliest = 4
    async with database(tmp_path / "x.db") as made:
        one = Exporter(chain=CHAIN, client=client, database=made, lanes=1, until=last, waiting=heard.append)
        with pytest.raises(Fault, match=EXPORT_GAP.name):
            await one.run()
        assert await fetch(made, "SELECT min(height), max(height) FROM blocks") == [(4, last)]
        assert await lag(made, last) == last
        client.earliest = 5
        with pytest.raises(Fault, match=EXPORT_GAP.name) as again:
            await Exporter(chain=CHAIN, client=client, database=made, until=last, waiting=heard.append).run()
        assert again.value.values == {"missing": ["1-3"]}
        assert [(1, 3), (1, 3)] == [(error.values["first"], error.values["last"]) for error in heard]
        await exporter(store, made, until=last).run()
        assert index_of(store) == await exported(made)
        assert await lag(made, last) == 0


async def test_it_prunes_meanwhile(tmp_path: Path, store: Store) -> None:
    """What was read of a range before its next height was gone is written; the range goes on behind the gap."""
    last, client = store.applied.height, FakeClient(store)
    call = client.call

    async def pruning(method: str, *, height: str) -> Any:
        client.earliest = 5 if int(height) == 2 else client.earliest
        return await call(method, height=height)

    client.call, client.earliest = pruning, 0
    async with database(tmp_path / "x.db") as made:
        with pytest.raises(Fault, match=EXPORT_GAP.name):
            await Exporter(chain=CHAIN, client=client, database=made, lanes=1, until=last).run()
        heights = [row[0] for row in await fetch(made, "SELECT height FROM blocks ORDER BY height")]
        assert [1, *range(5, last + 1)] == heights


async def test_another_network_at_the_address(tmp_path: Path, store: Store) -> None:
    """export/OTHER_CHAIN as soon as the node speaks of another chain than the one that was begun with."""
    async with database(tmp_path / "x.db") as made:
        with pytest.raises(Fault, match=EXPORT_OTHER_CHAIN.name):
            await Exporter(chain="0x22", client=FakeClient(store), database=made).run()
        assert await fetch(made, "SELECT count(*) FROM blocks") == [(0,)]


async def test_another_block_than_asked_for(tmp_path: Path, store: Store) -> None:
    """client/BAD_ANSWER: a node that answers with another height has no row written in the wrong place."""
    client = FakeClient(store)
    call = client.call

    async def shifted(method: str, *, height: str) -> Any:
        return await call(method, height=str(int(height) + 1))

    client.call = shifted
    async with database(tmp_path / "x.db") as made:
        with pytest.RaisesGroup(pytest.RaisesExc(Fault, match=BAD_ANSWER.name)):
            await Exporter(chain=CHAIN, client=client, database=made, lanes=1).run()


async def test_often_started(tmp_path: Path, store: Store) -> None:
    """Ranges that are finished become one, however often an exporter started and divided them."""
    async with database(tmp_path / "x.db") as made:
        for until in (4, store.applied.height):
            await exporter(store, made, lanes=3, until=until).run()
        assert len(await made.ranges()) > 3
        await made.merge()
        rows = await made.ranges()
        assert len(rows) == 2
        assert rows[-1].last is None


async def test_two_at_once(tmp_path: Path, store: Store) -> None:
    """Two exporters on one file write every row once, whoever of them writes it."""
    last = store.applied.height
    async with database(tmp_path / "x.db") as one, database(tmp_path / "x.db") as other:
        runs = [exporter(store, made, lanes=2, until=last).run() for made in (one, other)]
        ended = await asyncio.gather(*runs, return_exceptions=True)
        assert None in ended
        assert index_of(store) == await exported(one)
        assert await lag(one, last) == 0
