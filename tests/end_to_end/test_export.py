"""The export beside a running network: killed over and over, in the end it holds what the node's index holds, once."""

import asyncio
import json
import os
import random
import re
import signal
import sqlite3
import subprocess
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cccnode.client import Client
from tests.end_to_end.load import Load
from tests.end_to_end.processes import CCCNODE, ROOT, Network, height, run
from tests.end_to_end.waiting import until
from tests.support import postgres

KILLS = 20
OLD_BLOCKS = 300
"""Decided before the first exporter starts: enough for several ranges at a time."""
SOONEST, LATEST = 5, 20
"""Tenths of a second that an exporter lives: from before its first row to well behind it."""
QUERIES = re.findall(r"```sql\n(.*?)```", (ROOT / "docs" / "how-to-export.md").read_text(encoding="utf-8"), re.DOTALL)

Ask = Callable[[str], Awaitable[Sequence[tuple[Any, ...]]]]


def exporter(network: Network, target: str, *words: str) -> "subprocess.Popen[bytes]":
    """A running exporter."""
    command = [*CCCNODE, "export", "run", "--node", network.node(0).rpc, "--to", target, *words]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=ROOT, env=dict(os.environ))


async def passes(tenths: int) -> None:
    """Let the processes work for a while."""
    left = [None] * tenths

    async def over() -> bool:
        return not left or left.pop() is not None

    await until(over, "the time is over")


async def killed_again_and_again(network: Network, target: str) -> None:
    """Kill -9 at random moments, under load; the last run ends by itself."""
    rng = random.Random(7)
    async with network.clients() as clients:
        await network.validating(clients, 0)
        load = Load(network, clients, [0])
        load.at_once = 20
        async with load.running():
            await until(lambda: _reaches(clients[0], OLD_BLOCKS), "there are old blocks")
            for _ in range(KILLS):
                process = exporter(network, target, "--lanes", "3")
                await passes(rng.randint(SOONEST, LATEST))
                assert process.poll() is None, process.communicate()[1].decode()
                process.send_signal(signal.SIGKILL)
                process.communicate()
        await load.final_everywhere([0])
        last = await height(clients[0])
    done = await asyncio.to_thread(
        run, "export", "run", "--node", network.node(0).rpc, "--to", target, "--until", str(last)
    )
    assert done.returncode == 0, done.stderr


async def _reaches(client: Client, least: int) -> bool:
    return await height(client) >= least


async def index(network: Network) -> list[tuple[str, int, int]]:
    """The node's own index, once it has caught up."""
    path = network.node(0).home.data / "index" / "transactions.sqlite"
    async with network.clients() as clients:

        async def rows() -> list[tuple[str, int, int]] | None:
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
                (indexed,) = connection.execute("SELECT height FROM progress").fetchone()
                found = connection.execute("SELECT id, height, position FROM tx").fetchall()
            return found if indexed >= await height(clients[0]) else None

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
    assert len(QUERIES) >= 6
    assert (await ask("SELECT count(*) FROM ranges"))[0][0] > 2, "ranges were filled at the same time"
    answers = [await ask(query) for query in QUERIES]
    assert answers[0] == [(last,)]
    received = answers[4]
    assert sum(row[1] for row in received) == len(own)
    assert all(int(row[2]) >= row[1] for row in received)


async def test_sqlite(networks: Callable[..., Network], tmp_path: Path) -> None:
    """Into a SQLite file."""
    city = networks(validators=1)
    city.start(0)
    path = tmp_path / "chain.db"
    await killed_again_and_again(city, f"sqlite:{path}")
    with closing(sqlite3.connect(path)) as connection:

        async def ask(sql: str) -> list[tuple[Any, ...]]:
            return connection.execute(sql).fetchall()

        await is_whole(city, ask)
    taken = run("export", "run", "--node", city.node(0).rpc, "--to", f"sqlite:{city.node(0).log}", "--output", "json")
    assert json.loads(taken.stdout)["error"]["name"] == "export/TARGET"


@pytest.mark.needs("psql")
async def test_postgresql(networks: Callable[..., Network]) -> None:
    """Into a PostgreSQL server."""
    city = networks(validators=1)
    with postgres.server() as url:
        city.start(0)
        await killed_again_and_again(city, url)
        connection = await postgres.connect(url)
        try:

            async def ask(sql: str) -> list[tuple[Any, ...]]:
                return [tuple(row) for row in await connection.fetch(sql)]

            await is_whole(city, ask)
        finally:
            await connection.close()
