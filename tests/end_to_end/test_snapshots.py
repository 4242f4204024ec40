"""Snapshots of real nodes: taken by one that runs, verified, carried to another home; and a peer that joins at one."""

import asyncio
import json
import shutil
from collections.abc import Callable
from typing import Any

import pytest

from genesis.bootstrap import INLINE_ACCOUNTS_MAX
from tests.end_to_end.load import Load
from tests.end_to_end.processes import Network, advance, equal_roots, height, refused, run
from tests.end_to_end.waiting import until

SETTINGS = {"storage.snapshot_blocks": 10, "storage.snapshot_behind": 10, "storage.snapshots_kept": 32}
"""A snapshot every half second: kept long enough to be fetched, on a slow machine too."""


async def command(network: Network, index: int, *arguments: str) -> Any:
    """The JSON that a command about one node's home prints."""
    home = str(network.node(index).home.root)
    ended = await asyncio.to_thread(run, "snapshot", *arguments, "--home", home, "--output", "json")
    shown = json.loads(ended.stdout)
    assert (ended.returncode == 0) == ("error" not in shown), ended.stderr
    return shown


@pytest.mark.parametrize("accounts", [10, INLINE_ACCOUNTS_MAX + 1])
async def test_a_peer_joins_at_a_snapshot(networks: Callable[..., Network], accounts: int) -> None:
    """With one command it is at the tip, without the blocks before, and refuses what was executed then (J5).

    With many accounts it never builds the first state.
    """
    city = networks(validators=4, peers=1, accounts=accounts, settings=SETTINGS)
    city.start(0, 1, 2, 3)
    async with city.clients() as clients:
        await city.validating(clients, 0, 1, 2, 3)
        load = Load(city, clients, [0, 1, 2, 3])
        early = await load.send(0)
        async with load.running():
            await until(lambda: _snapshots(city), "a snapshot of every validator")
            await advance(clients[0], 15)
            city.start(4)
            await until(lambda: _joined(city, clients), lambda: f"the peer follows: {city.log(4)[-2000:]}")
            assert "begins at a snapshot" in city.log(4)
            assert ("looking for a snapshot" in city.log(4)) == (accounts > INLINE_ACCOUNTS_MAX)
            assert (await refused(clients[4].call("chain_block", height="1"))).name == "storage/PRUNED"
        await equal_roots(clients)
        again = [await refused(clients[index].submit(early.raw)) for index in (0, 4)]
        assert again[0].name == again[1].name


async def _snapshots(city: Network) -> bool:
    return all(any(city.node(index).home.data.glob("snapshots/*/manifest")) for index in range(4))


async def _joined(city: Network, clients: Any) -> bool:
    return await height(clients[4]) + 20 >= await height(clients[0])


async def test_a_snapshot_is_carried_to_another_home(networks: Callable[..., Network]) -> None:
    """Taken while the node runs, verified anywhere, restored once: the node begins there and follows."""
    city = networks(validators=1, peers=1, settings={"storage.snapshot_blocks": 0, "storage.snapshot_behind": 0})
    city.start(0)
    async with city.clients() as clients:
        await city.validating(clients, 0)
        load = Load(city, clients, [0])
        async with load.running():
            await advance(clients[0], 10)
            taken = await command(city, 0, "create")
        at = taken["height"]
        assert [row["height"] for row in await command(city, 0, "list")] == [at]
        assert (await command(city, 0, "verify", at))["verified"]
        assert (await command(city, 0, "verify", "1"))["error"]["name"] == "storage/SNAPSHOT_MISSING"
        assert (await command(city, 0, "restore", at))["error"]["name"] == "home/LOCKED"
        folder = city.testnet.home.root.parent / "carried"
        shutil.copytree(city.node(0).home.data / "snapshots", folder)
        assert (await command(city, 1, "restore", at, "--from", str(folder)))["restored"]
        again = await command(city, 1, "restore", at, "--from", str(folder))
        assert again["error"]["name"] == "storage/SNAPSHOT_OLDER"
        city.start(1)
        await until(lambda: _follows(clients, int(at)), lambda: f"it follows: {city.log(1)[-2000:]}")
        await equal_roots(clients)
        city.stop(1)
        for verb in ("check", "verify"):
            ended = await asyncio.to_thread(run, "db", verb, "--home", str(city.node(1).home.root), "--output", "json")
            assert json.loads(ended.stdout)["verdict"] == "sound", ended.stdout
        piece = next(folder.glob("*/state-*"))
        piece.write_bytes(piece.read_bytes()[:-1])
        damaged = await command(city, 1, "verify", at, "--from", str(folder))
        assert damaged["error"]["name"] == "storage/SNAPSHOT_INVALID"


async def _follows(clients: Any, at: int) -> bool:
    return await height(clients[1]) >= max(at, await height(clients[0]))
