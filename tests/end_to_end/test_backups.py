"""Backups of real nodes: taken under load, added to, checked alone, restored here and on another machine."""

import asyncio
import json
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from cccnode.cli.output import CONFIGURATION
from cccnode.codec import encode
from storage.leveldb import LevelDB
from tests.end_to_end.conftest import VALIDATORS
from tests.end_to_end.load import Load, exactly_once, picture
from tests.end_to_end.processes import Network, advance, codes, equal_roots, height, run, signed_by
from tests.end_to_end.signatures import all_votes, contradictions, own_votes
from tests.end_to_end.waiting import until

COPY = 4
"""The other machine: the home of a peer that is never started itself, at its ports."""


async def db(*arguments: str) -> Any:
    """The JSON that a command prints."""
    ended = await asyncio.to_thread(run, "db", *arguments, "--output", "json")
    assert ended.stdout, ended.stderr
    shown = json.loads(ended.stdout)
    assert (ended.returncode == 0) == ("error" not in shown and shown.get("verdict") != "damaged"), ended.stderr
    return shown


def names(folder: Path) -> dict[str, int]:
    """Files of a backup, with the moment at which each was written."""
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*.part")}


def _sums_hold(folder: Path) -> bool:
    """Whether every file has the sum that SHA256SUMS says, in the form that `sha256sum --check` reads."""
    rows = [line.split("  ") for line in (folder / "SHA256SUMS").read_text().splitlines()]
    return all(sha256((folder / name).read_bytes()).hexdigest() == digest for digest, name in rows) and len(rows) > 5


async def test_backed_up_under_load(networks: Callable[..., Network], tmp_path: Path) -> None:
    """A running node is backed up twice into one folder: each time whole and of one height, the second adds to it."""
    city, folder = networks(validators=4), tmp_path / "backup"
    home = ("--home", str(city.testnet.home.root), "--node", "0")
    city.start(0, 1, 2, 3)
    async with city.clients() as clients:
        await city.validating(clients, *VALIDATORS)
        load = Load(city, clients, VALIDATORS)
        async with load.running():
            await advance(clients[0], 10)
            first = await db("backup", str(folder), *home)
            files = names(folder)
            assert (await db("verify", str(folder)))["verdict"] == "sound"
            await advance(clients[0], 10)
            second = await db("backup", str(folder), *home)
        checked = await db("verify", str(folder))
        assert int(second["height"]) >= int(first["height"]) + 10
        assert second["earlier_height"] == first["height"] != "0"
        assert (checked["verdict"], checked["height"]) == ("sound", second["height"])
        assert int(checked["certificates"]) > 0 < int(checked["transactions"])
        block = await clients[1].call("chain_header", height=second["height"])
        assert block["block_id"] == second["block_id"]
        kept = {name: at for name, at in files.items() if not name.startswith("state/")}
        assert kept
        assert kept.items() <= names(folder).items()
    assert await asyncio.to_thread(_sums_hold, folder)
    city.stop_all()
    assert (await db("verify", *home))["verdict"] == "sound"
    assert not any(folder.rglob("*.log"))
    assert not (folder / "home" / "keys").exists()


async def test_a_peer_is_restored(networks: Callable[..., Network], tmp_path: Path) -> None:
    """A peer that lost its data goes on from a backup of another node: the same roots, the oldest blocks too."""
    city, folder = networks(validators=4, peers=1), tmp_path / "backup"
    city.start(*VALIDATORS)
    async with city.clients() as clients:
        await city.validating(clients, *VALIDATORS)
        load = Load(city, clients, VALIDATORS)
        before = await picture(load, [0])
        async with load.running():
            await advance(clients[0], 15)
            taken = await db("backup", str(folder), "--home", str(city.node(1).home.root))
            shown = await db("restore", str(folder), "--home", str(city.node(4).home.root))
            assert shown["height"] == taken["height"]
            city.start(4)
            await until(lambda: _follows(city, clients, 4), "the peer follows")
        await load.final_everywhere([0, 4])
        await equal_roots(clients)
        await exactly_once(load, [0, 4], before)
        first = [await clients[index].call("chain_block", height="1") for index in (0, 4)]
        assert first[0]["header"] == first[1]["header"]


async def _follows(city: Network, clients: Any, index: int) -> bool:
    return await height(clients[index]) + 8 >= await height(clients[0])


async def test_a_validator_restored_in_place_votes_on(networks: Callable[..., Network], tmp_path: Path) -> None:
    """With its own vote journal a validator goes on from an old backup of its data, and contradicts nothing."""
    city, folder = networks(validators=4), tmp_path / "backup"
    home = ("--home", str(city.node(3).home.root))
    city.start(*VALIDATORS)
    async with city.clients() as clients:
        await city.validating(clients, *VALIDATORS)
        load = Load(city, clients, [0, 1, 2])
        before = await picture(load, [0])
        async with load.running():
            await advance(clients[0], 8)
            await db("backup", str(folder), *home)
            await advance(clients[0], 12)
            city.kill(3)
            shutil.rmtree(city.node(3).home.data / "state")
            refused = await db("restore", str(folder), *home, "--replace")
            assert "error" not in refused
            city.start(3)
            await city.validating(clients, 3)
            there = await height(clients[0])
            await until(lambda: _signs(clients, 3, there), "it signs again")
        await exactly_once(load, VALIDATORS, before)
        await equal_roots(clients)
    city.stop_all()
    signed = all_votes(node.home.data for node in city.testnet.nodes)
    assert contradictions(signed) == []


async def _signs(clients: Any, validator: int, since: int) -> bool:
    return validator in await signed_by(clients[0], since, await height(clients[0]))


async def test_restored_beside_its_newer_self(networks: Callable[..., Network], tmp_path: Path) -> None:
    """Restored with its keys on a second machine while the first still votes, a validator signs nothing there."""
    city, folder = networks(validators=4, peers=1), tmp_path / "backup"
    city.start(*VALIDATORS)
    async with city.clients() as clients:
        await city.validating(clients, *VALIDATORS)
        load = Load(city, clients, [0, 1, 2])
        async with load.running():
            await advance(clients[0], 8)
            taken = await db("backup", str(folder), "--home", str(city.node(3).home.root), "--with-keys")
            other = city.node(COPY).home
            shutil.rmtree(other.root / "keys")
            shutil.rmtree(other.data, ignore_errors=True)
            await db("restore", str(folder), "--home", str(other.root), "--with-keys")
            assert not (other.data / "journal").exists()
            city.start(COPY)
            await until(lambda: _told(clients), "the copy says that it is one")
            assert "consensus/JOURNAL_LOST" in city.log(COPY)
            await advance(clients[0], 20)
            assert (await clients[3].status())["state"] == "validating"
        assert int(taken["height"]) > 0
    city.stop_all()
    assert own_votes(city.node(COPY).home.data) == set()
    assert contradictions(all_votes(node.home.data for node in city.testnet.nodes)) == []


async def _told(clients: Any) -> bool:
    return "net/DUPLICATE_IDENTITY" in codes(await clients[COPY].status())


async def test_a_changed_byte_is_found(networks: Callable[..., Network], tmp_path: Path) -> None:
    """Whichever file of a backup changes by one byte: `verify` and `restore` refuse it by name."""
    city, folder = networks(validators=1), tmp_path / "backup"
    home = ("--home", str(city.node(0).home.root))
    city.start(0)
    async with city.clients() as clients:
        await city.validating(clients, 0)
        load = Load(city, clients, [0])
        assert (await load.send(0)).acknowledged
        await load.final_everywhere([0])
        city.stop(0)
    await db("backup", str(folder), *home)
    for part in ("blocks", "receipts", "heights", "state", "home"):
        file = next(path for path in (folder / part).iterdir() if path.is_file())
        sound = file.read_bytes()
        raw = bytearray(sound)
        raw[len(raw) // 2] ^= 1
        file.write_bytes(raw)
        command = ("verify", str(folder)) if part == "blocks" else ("restore", str(folder), *home, "--replace")
        error = (await db(*command))["error"]
        assert (error["name"], error["details"]["path"]) == ("storage/BACKUP_INVALID", f"{part}/{file.name}")
        assert error["remedy"]
        file.write_bytes(sound)
    assert (await db("verify", *home))["verdict"] == "sound"


async def test_repaired(networks: Callable[..., Network]) -> None:
    """A validator whose state is damaged does not start, says what to do, and goes on once it is repaired."""
    city = networks(validators=4)
    home = ("--home", str(city.node(3).home.root))
    city.start(*VALIDATORS)
    async with city.clients() as clients:
        await city.validating(clients, *VALIDATORS)
        load = Load(city, clients, [0, 1, 2])
        before = await picture(load, [0])
        async with load.running():
            await advance(clients[0], 20)
            city.stop(3)
            assert (await db("check", *home))["verdict"] == "sound"
            _spoil(city.node(3).home.data / "state")
            city.start(3)
            assert await asyncio.to_thread(city.exit_code, 3) == CONFIGURATION
            assert "storage/STATE_CORRUPT: " in city.log(3)
            assert (await db("check", *home))["verdict"] == "damaged"
            shown = await db("repair", *home)
            assert "executes blocks 1 to" in shown["next"][0]
            assert shown["set_aside"] == [str(city.node(3).home.data / "damaged-1")]
            city.start(3)
            await city.validating(clients, 3)
            assert "data checked" in city.log(3)
            there = await height(clients[0])
            await until(lambda: _signs(clients, 3, there), "it signs again")
        await exactly_once(load, VALIDATORS, before)
        await equal_roots(clients)
        city.stop(3)
        assert (await db("verify", *home))["verdict"] == "sound"
        assert int((await db("reindex", *home))["transactions"]) > 0
        assert (await db("verify", *home))["verdict"] == "sound"
    city.stop_all()
    assert contradictions(all_votes(node.home.data for node in city.testnet.nodes)) == []


def _spoil(state: Path) -> None:
    """One account owns something else."""
    engine = LevelDB(state)
    key, _ = list(engine.iterate(b"g"))[7]
    engine.write([(key, encode([[b"balance", b"more"]]))], sync=True)
    engine.close()
