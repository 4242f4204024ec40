"""Nodes that do not belong, and a clock that is wrong: each operator is told at his own node; the network goes on."""

import os
import socket
import ssl
from collections.abc import Callable
from typing import Any

from cccnode.client import Client
from tests.end_to_end.load import Load
from tests.end_to_end.processes import SHIFTED, Network, advance, codes, height, many, run, signed_by
from tests.end_to_end.waiting import until

HOUR_MS = 3_600_000


async def test_unregistered_node(city: Network, well: Load, networks: Callable[..., Network]) -> None:
    """A node whose key nobody registered is told so at its own side, with its id and what to do."""
    stranger = networks(validators=1)
    home = stranger.node(0).home
    given = run("keys", "show", "node", "--home", str(home.root), "--output", "json")
    assert given.returncode == 0, given.stderr
    for file in ("genesis.json",):
        (home.root / file).write_bytes((city.testnet.home.root / file).read_bytes())
    (home.keys / "validator.json").unlink()
    stranger.start(0)
    async with stranger.clients() as (client,):
        status = await _refused_with(client, "net/NOT_REGISTERED")
        reason = status["reasons"][0]
        assert reason["details"]["own_node_id"] in reason["details"]["remedy"]
        assert reason["details"]["own_node_key"] == status["node"]
        assert "register" in reason["remedy"]
        assert (status["height"], status["organisation"]) == ("0", "")
    shown = run("status", "--node", stranger.node(0).rpc)
    assert "not registered" in shown.stdout
    assert "net/NOT_REGISTERED: " in shown.stdout
    assert "net/NOT_REGISTERED: " in stranger.log(0)
    await well.final_everywhere([0, 1, 2, 3])


async def test_node_of_another_chain(networks: Callable[..., Network]) -> None:
    """A node with the right keys and another genesis is refused by name; the others stay together."""
    ours = networks(validators=4, peers=1, seed=b"twins", time_ms=1)
    other = networks(validators=4, peers=1, seed=b"twins", time_ms=2, ports=ours.testnet.shape.ports)
    assert ours.testnet.shape.chain != other.testnet.shape.chain
    ours.start(0, 1, 2, 3)
    async with ours.clients() as clients:
        await ours.validating(clients, 0, 1, 2, 3)
        other.start(4)
        async with other.clients() as others:
            status = await _refused_with(others[4], "net/WRONG_CHAIN")
            assert "genesis" in status["reasons"][0]["remedy"]
            assert ours.testnet.shape.chain[2:] in status["reasons"][0]["details"]["told"]
        assert "net/WRONG_CHAIN: " in other.log(4)
        other.stop(4)
        await Load(ours, clients, []).final_everywhere([0, 1, 2, 3])


async def test_clock_off_by_an_hour(city: Network, well: Load) -> None:
    """A validator whose clock is an hour fast says so, proposes nothing that counts, and holds up nobody."""
    city.stop(3)
    city.start(3, program=SHIFTED, env={"SHIFT_MS": str(HOUR_MS)})

    async def warned() -> dict[str, Any] | None:
        status = await well.clients[3].status()
        return status if "node/CLOCK_SKEW" in codes(status) else None

    status = await until(warned, "node 3 warns of its clock")
    reason = next(reason for reason in status["reasons"] if reason["code"] == "node/CLOCK_SKEW")
    assert abs(int(reason["details"]["milliseconds"]) + HOUR_MS) < HOUR_MS / 10
    assert "NTP" in reason["remedy"]
    async with well.running():
        well.targets = [0, 1, 2]
        begun = await height(well.clients[0])
        reached = await advance(well.clients[0], 12)
        await well.final_everywhere([0, 1, 2, 3])
    assert codes(await well.clients[0].status()) == []
    headers = await many(well.clients[0], "chain_header", [{"height": str(at)} for at in range(begun, reached + 1)])
    assert 3 not in {header["proposer"] for header in headers[1:]}
    assert max(int(header["time_ms"]) for header in headers) < int(headers[0]["time_ms"]) + HOUR_MS / 2
    assert 3 in await signed_by(well.clients[0], begun + 1, reached)
    city.stop(3)
    city.start(3)
    await city.validating(well.clients, 3)


async def test_garbage_on_the_node_port(city: Network, well: Load) -> None:
    """Whoever sends noise, plain HTTP, or a TLS hello without a certificate gets nothing and disturbs nothing."""
    host, port = city.node(0).p2p.split(":")
    for noise in (os.urandom(4096), b"POST /rpc HTTP/1.1\r\n\r\n", b""):
        with socket.create_connection((host, int(port)), timeout=30) as plain:
            plain.sendall(noise)
            plain.shutdown(socket.SHUT_WR)
            assert len(plain.recv(4096)) < 64
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection((host, int(port)), timeout=30) as plain:
        try:
            with context.wrap_socket(plain, server_hostname="cccnode") as nobody:
                assert nobody.recv(1) == b""
        except (ssl.SSLError, ConnectionError):
            pass
    await well.final_everywhere([0, 1, 2, 3])
    assert codes(await well.clients[0].status()) == []


async def _refused_with(client: Client, name: str) -> dict[str, Any]:
    """Wait until a node's status gives this reason for being alone, and is not ready because of it."""

    async def said() -> dict[str, Any] | None:
        status = await client.status()
        return status if name in codes(status) else None

    return await until(said, name)
