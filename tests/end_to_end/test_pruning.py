"""Real nodes prune while transactions flow; who lacks what they dropped finds the one that keeps it, or says so."""

import asyncio
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.load import Load
from tests.end_to_end.processes import Network, advance, codes, equal_roots, height, refused, run
from tests.end_to_end.waiting import until

SETTINGS = {
    "storage.snapshot_blocks": 0,
    "storage.snapshot_behind": 0,
    "retention.blocks": "1 blocks",
    "retention.index": "1 blocks",
}
"""The least that a node keeps."""
VALIDATORS = (0, 1, 2, 3)
ARCHIVE, LATE = 4, 5


@pytest.mark.timeout(400)
async def test_pruning_under_load(networks: Callable[..., Network], tmp_path: Path) -> None:
    """Validators drop old files while they execute; a node that is new says what it lacks until an archive is there."""
    city = networks(validators=4, peers=2, settings=SETTINGS)
    config = city.node(ARCHIVE).home.config_file
    config.write_text(config.read_text().replace('"1 blocks"', '"all"'))
    city.start(*VALIDATORS, ARCHIVE)
    async with city.clients() as clients:
        await city.validating(clients, *VALIDATORS)
        load = Load(city, clients, VALIDATORS)
        load.at_once = 64
        early = await load.send(0)
        async with load.running():
            for _ in range(8):  # Each wait has a limit of its own.
                await advance(clients[0], 60)
            await until(lambda: _pruned(clients), lambda: f"validators prune: {city.log(0)[-2000:]}")
        load.at_once = 1
        await equal_roots(clients[:LATE])
        await _answers(clients, city, early.question["tx_id"])
        await _exported(clients, city, tmp_path / "chain.db")

        city.stop(ARCHIVE)
        city.start(LATE)
        await until(lambda: _lacks(clients), lambda: f"it says what it lacks: {city.log(LATE)[-2000:]}")
        city.start(ARCHIVE)
        await until(lambda: _level(clients), lambda: f"it catches up: {city.log(LATE)[-2000:]}")
        await equal_roots(clients)
        async with load.running():
            await advance(clients[0], 5)
        await equal_roots(clients)
        city.stop(0)
        await _by_hand(city)
        city.start(0)
        await city.validating(clients, *VALIDATORS)
        await equal_roots(clients)


async def _pruned(clients: Any) -> bool:
    statuses = await asyncio.gather(*(clients[index].status() for index in VALIDATORS))
    return all(int(status["earliest"]["blocks"]) > 1 for status in statuses)


async def _answers(clients: Any, city: Network, early: str) -> None:
    """What is dropped is an error by name; the archive has it; the disk of a validator is smaller than its own."""
    validator, archive = clients[0], clients[ARCHIVE]
    earliest = int((await validator.status())["earliest"]["blocks"])
    refusal = await refused(validator.call("chain_block", height=str(earliest - 1)))
    assert refusal.name == "storage/PRUNED"
    assert refusal.details["height"] == str(earliest - 1)
    assert refusal.details["earliest"] == str(earliest)
    assert refusal.details["ask"]
    for at in (1, earliest - 1):
        assert (await archive.call("chain_block", height=str(at)))["header"]["height"] == str(at)
    assert (await validator.call("chain_header", height="1"))["height"] == "1"
    assert (await archive.call("tx_get", tx_id=early))["tx_id"] == early
    sizes = [_taken(city, index) for index in (0, ARCHIVE)]
    assert sizes[0] < sizes[1]


async def _exported(clients: Any, city: Network, path: Path) -> None:
    """An export beside a node that prunes goes on behind the gap and says so; one run beside the archive fills it."""
    last, earliest = await height(clients[0]), int((await clients[0].status())["earliest"]["blocks"])
    for node, gap in ((0, True), (ARCHIVE, False)):
        words = ("--node", city.node(node).rpc, "--to", f"sqlite:{path}", "--until", str(last), "--output", "json")
        ended = await asyncio.to_thread(run, "export", "run", *words)
        assert ("export/GAP" in ended.stdout) == (ended.returncode != 0) == gap, ended.stderr
        missing = _missing(ended.stdout) if gap else 0
        with closing(sqlite3.connect(path)) as connection:
            rows = connection.execute("SELECT min(height), max(height), count(*) FROM blocks").fetchone()
        assert (rows[0] >= earliest) if gap else (rows[0] == 1)
        assert rows[1:] == (last, last - missing), "every height is there, or is told to be missing"


def _missing(shown: str) -> int:
    """How many heights an export tells that it lacks; the node may have pruned once more while it was read."""
    spans = json.loads(shown)["error"]["details"]["missing"]
    return sum(int(last) - int(first) + 1 for first, last in (span.split("-") for span in spans))


def _taken(city: Network, index: int) -> int:
    return sum(path.stat().st_blocks * 512 for path in (city.node(index).home.data / "blocks").iterdir())


async def _lacks(clients: Any) -> bool:
    status = await clients[LATE].status()
    return "storage/PRUNED" in codes(status) and status["height"] == "0"


async def _level(clients: Any) -> bool:
    return await height(clients[LATE]) >= await height(clients[0])


async def _by_hand(city: Network) -> None:
    """A stopped node is pruned by hand, says from which height on it keeps what, and what is left is sound."""
    home = str(city.node(0).home.root)
    ended = await asyncio.to_thread(run, "db", "prune", "--home", home, "--output", "json")
    assert ended.returncode == 0, ended.stderr
    assert int(json.loads(ended.stdout)["earliest"]["blocks"]) > 1
    verified = await asyncio.to_thread(run, "db", "verify", "--home", home, "--output", "json")
    assert (verified.returncode, json.loads(verified.stdout)["verdict"]) == (0, "sound"), verified.stderr
