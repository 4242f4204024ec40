"""The export beside a running network: killed over and over, in the end it holds what the node's index holds, once."""

import asyncio
import json
import os
import random
import re
import signal
import sqlite3
import subprocess
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from cccnode.client import Client
from cccnode.types import errors
from tests.end_to_end.load import Load
from tests.end_to_end.processes import CCCNODE, ROOT, Network, height, run
from tests.end_to_end.waiting import until
from tests.support import postgres

KILLS = 20
LONG_S = 420
"""Twenty starts of a program on a busy machine."""
OLD_BLOCKS = 300
"""Decided before the first exporter starts: enough for several ranges at a time."""
LATEST = 10
"""Tenths of a second that an exporter lives after its first transaction, at most."""
EARLY = 5
"""Every fifth is killed while it starts."""
PAGE = ROOT / "docs" / "en" / "how-to-export.md"
QUERIES = re.findall(r"```sql\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)

Ask = Callable[[str], Awaitable[Sequence[tuple[Any, ...]]]]


def exporter(network: Network, target: str, *words: str) -> "subprocess.Popen[bytes]":
    """A running exporter."""
    command = [*CCCNODE, "export", "run", *at(network), "--to", target, *words]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=ROOT, env=dict(os.environ))


def at(network: Network) -> tuple[str, str]:
    """The option that names its node."""
    return "--node", network.node(0).rpc


async def passes(tenths: int) -> None:
    """Let the processes work for a while."""
    left = [None] * tenths

    async def over() -> bool:
        return not left or left.pop() is not None

    await until(over, "the time is over")


async def killed_again_and_again(network: Network, target: str, ask: Ask, no_table: type[Exception]) -> None:
    """Kill -9 at random moments, under load; the last run ends by itself."""
    rng = random.Random(7)
    most = 0

    async def cursors() -> int:
        """The sum of them: it moves with every transaction of an exporter."""
        nonlocal most
        try:
            ranges, total = (await ask("SELECT count(*), sum(next) FROM ranges"))[0]
        except no_table:
            return 0
        most = max(most, int(ranges))
        return int(total or 0)

    async with network.clients() as clients:
        await network.validating(clients, 0)
        load = Load(network, clients, [0])
        load.at_once = 20
        async with load.running():
            await until(lambda: _reaches(clients[0], OLD_BLOCKS), "there are old blocks")
            for number in range(KILLS):
                before = await cursors()
                process = exporter(network, target, "--lanes", "3")
                if number % EARLY:
                    await until(lambda before=before: _moved(cursors, before), "it writes")
                await passes(rng.randrange(LATEST))
                assert process.poll() is None, process.communicate()[1].decode()
                process.send_signal(signal.SIGKILL)
                process.communicate()
        await load.final_everywhere([0])
        last = await height(clients[0])
    assert most > 2, "ranges were filled at the same time"
    done = await asyncio.to_thread(run, "export", "run", *at(network), "--to", target, "--until", str(last))
    assert done.returncode == 0, done.stderr


async def _moved(cursors: Callable[[], Awaitable[int]], before: int) -> bool:
    return await cursors() != before


async def _reaches(client: Client, least: int) -> bool:
    return await height(client) >= least


async def index(network: Network) -> list[tuple[str, int, int]]:
    """The node's own index, once it has caught up."""
    path = network.node(0).home.data / "index" / "transactions.sqlite"
    async with network.clients() as clients:

        async def rows() -> list[tuple[str, int, int]] | None:
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
                progress = connection.execute("SELECT height FROM progress").fetchone()  # None: nothing is written yet.
                found = connection.execute("SELECT id, height, position FROM tx").fetchall()
            return found if progress is not None and progress[0] >= await height(clients[0]) else None

        found = await until(rows, "the index has caught up")
    return sorted(("0x" + tx_id.hex(), at, position) for tx_id, at, position in found)


async def is_whole(network: Network, ask: Ask) -> None:
    """Rows equal the index; no height is missing, and every example of the manual gives an answer."""
    rows = await ask("SELECT tx_id, height, position FROM transactions")
    last = (await ask("SELECT max(height) FROM blocks"))[0][0]
    own = [row for row in await index(network) if row[1] <= last]
    assert own
    assert sorted(rows) == own
    assert await ask("SELECT count(*), min(height) FROM blocks") == [(last, 1)]
    assert await ask("SELECT count(*) FROM receipts WHERE tx_id IS NOT NULL") == [(len(own),)]
    assert await ask("SELECT count(*) FROM events WHERE name = 'transfer'") == [(len(own),)]
    assert len(QUERIES) >= 7
    answers = [await ask(query) for query in QUERIES]
    assert answers[0] == [(last,)]
    received = answers[5]
    assert sum(row[1] for row in received) == len(own)
    assert all(int(row[2]) >= row[1] for row in received)


@pytest.mark.timeout(LONG_S)
async def test_sqlite(networks: Callable[..., Network], tmp_path: Path) -> None:
    """Into a SQLite file."""
    city = networks(validators=1)
    city.start(0)
    path = tmp_path / "chain.db"
    with closing(sqlite3.connect(path)) as connection:

        async def ask(sql: str) -> list[tuple[Any, ...]]:
            return connection.execute(sql).fetchall()

        await killed_again_and_again(city, f"sqlite:{path}", ask, sqlite3.OperationalError)
        await is_whole(city, ask)
    taken = run("export", "run", *at(city), "--to", f"sqlite:{city.node(0).log}", "--output", "json")
    assert json.loads(taken.stdout)["error"]["name"] == errors.EXPORT_TARGET.name


@pytest.mark.timeout(LONG_S)
@pytest.mark.needs("psql")
async def test_postgresql(networks: Callable[..., Network]) -> None:
    """Into a PostgreSQL server."""
    city = networks(validators=1)
    with postgres.server() as server:
        city.start(0)

        async def ask(sql: str) -> list[tuple[Any, ...]]:
            return await postgres.fetch(server.url, sql)

        await killed_again_and_again(city, server.url, ask, postgres.no_table())
        await is_whole(city, ask)


@pytest.mark.needs("psql")
async def test_troubles(networks: Callable[..., Network]) -> None:
    """A server that crashes and comes back, and two exporters at once."""
    city = networks(validators=1)
    with postgres.server() as server:
        city.start(0)

        async def ask(sql: str) -> list[tuple[Any, ...]]:
            return await postgres.fetch(server.url, sql)

        async with city.clients() as clients:
            await city.validating(clients, 0)
        begin = ("export", "run", "--to", server.url, "--until", "1", *at(city))
        for begun in await asyncio.gather(*(asyncio.to_thread(run, *begin) for _ in range(3))):
            assert begun.returncode == 0, begun.stderr
        await survives_a_crash(city, server, ask)
        await two_at_once(city, server.url, ask)
        await is_whole(city, ask)


async def survives_a_crash(network: Network, server: postgres.Server, ask: Ask) -> None:
    """An exporter says once that its database does not answer, waits for it, and goes on."""
    async with network.clients() as clients:
        with running(network, server.url) as process:
            for _ in range(2):
                await _caught_up(network, clients, ask)
                await asyncio.to_thread(server.stop)
                await blocks_come(network, clients)
                await asyncio.to_thread(server.start)
            await _caught_up(network, clients, ask)
            assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            told = (await asyncio.to_thread(process.communicate))[1].decode()
    assert process.returncode == 0, told
    assert told.count(errors.EXPORT_AWAY.name) == 2, told


async def two_at_once(network: Network, target: str, ask: Ask) -> None:
    """One of two exporters ends by name, the other goes on."""
    with running(network, target) as one, running(network, target) as other:

        async def ended() -> list["subprocess.Popen[bytes]"]:
            return [process for process in (one, other) if process.poll() is not None]

        async with network.clients() as clients:
            load = Load(network, clients, [0])
            async with load.running():
                (loser,) = await until(ended, "one of them ends")
            await load.final_everywhere([0])
            assert errors.EXPORT_TAKEN.name in loser.communicate()[1].decode()
            await _caught_up(network, clients, ask)


@contextmanager
def running(network: Network, target: str) -> "Iterator[subprocess.Popen[bytes]]":
    """An exporter that is gone afterwards."""
    with exporter(network, target) as process:
        try:
            yield process
        finally:
            process.kill()


async def blocks_come(network: Network, clients: Sequence[Client]) -> None:
    """The node makes a few, whatever becomes of the exporter."""
    load = Load(network, clients, [0])
    least = await height(clients[0]) + 5
    async with load.running():
        await until(lambda: _reaches(clients[0], least), "blocks come")
    await load.final_everywhere([0])


async def _caught_up(network: Network, clients: Sequence[Client], ask: Ask) -> None:
    """The tables hold what the node holds; more load makes sure that there is something to wait for."""
    await blocks_come(network, clients)
    last = await height(clients[0])

    async def seen() -> bool:
        return int((await ask(QUERIES[0]))[0][0]) >= last

    await until(seen, "the exporter catches up")
