"""The two ports over real sockets: limits, statuses, health and metrics."""

import asyncio
import io
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import pytest

from cccnode.config import OpsSection, RpcSection
from cccnode.rpc.server import RpcServer
from cccnode.types import errors
from cccnode.types.errors import Fault
from cccnode.types.limits import RPC_BODY_BYTES_MAX
from tests.support.fake_node import FakeNode, failed_check, payment, status

TX_ID, RAW = payment()
STATUS = b'{"jsonrpc":"2.0","id":1,"method":"chain_status"}'
WAIT = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tx_wait", "params": ["0x" + TX_ID.hex()]}).encode()


@asynccontextmanager
async def _serving(**limits: Any) -> AsyncIterator[tuple[FakeNode, RpcServer, aiohttp.ClientSession]]:
    node = FakeNode()
    rpc = RpcSection(listen="127.0.0.1:0", **{k: v for k, v in limits.items() if k != "inflight_bytes_max"})
    if "inflight_bytes_max" in limits:  # below what a file may say: a test need not send 16 MiB
        rpc = msgspec.structs.replace(rpc, inflight_bytes_max=limits["inflight_bytes_max"])
    server = RpcServer(node, rpc, OpsSection(listen="127.0.0.1:0"))
    await server.start()
    try:
        async with aiohttp.ClientSession() as session:
            yield node, server, session
    finally:
        await server.stop()


async def _post(session: aiohttp.ClientSession, server: RpcServer, body: Any, **more: Any) -> tuple[int, Any]:
    async with session.post(f"http://{server.rpc_address}/rpc", data=body, **more) as response:
        raw = await response.read()
        return response.status, json.loads(raw) if raw else None


async def test_post() -> None:
    """A call is answered with 200 and JSON."""
    async with (
        _serving() as (_, server, session),
        session.post(f"http://{server.rpc_address}/rpc", data=STATUS) as response,
    ):
        assert (response.status, response.content_type) == (200, "application/json")
        assert (await response.json())["result"]["height"] == "7"


async def test_notification_has_no_body() -> None:
    """Only notifications: 204 and nothing."""
    async with _serving() as (_, server, session):
        assert await _post(session, server, b'{"jsonrpc":"2.0","method":"chain_status"}') == (204, None)


@pytest.mark.parametrize("body", [b"", b"\xff\x00", b"[" * 50_000, b"{}", b"GET / HTTP/1.1\r\n\r\n"])
async def test_invalid_body(body: bytes) -> None:
    """Garbage is answered with a named JSON-RPC error and 200, never with a 500."""
    async with _serving() as (_, server, session):
        code, answer = await _post(session, server, body)
        assert code == 200
        assert answer["error"]["data"]["name"] in {"rpc/PARSE", "rpc/INVALID_REQUEST"}


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/rpc"), ("POST", "/"), ("PUT", "/rpc"), ("GET", "/" + "x" * 200)]
)
async def test_invalid_path(method: str, path: str) -> None:
    """Another path or verb is told what to send."""
    async with (
        _serving() as (_, server, session),
        session.request(method, f"http://{server.rpc_address}{path}") as response,
    ):
        assert response.status == 405
        data = (await response.json())["error"]["data"]
        assert data["name"] == "rpc/HTTP"
        assert "POST /rpc" in data["details"]["usage"]


async def test_invalid_size() -> None:
    """A body over the limit is refused, with or without a Content-Length."""
    body = b" " * 2000 + STATUS

    async def chunks() -> AsyncIterator[bytes]:
        yield body

    async with _serving(body_bytes_max=1024) as (_, server, session):
        for data in (body, chunks()):
            code, answer = await _post(session, server, data)
            assert (code, answer["error"]["data"]["name"]) == (413, "core/OVERSIZE")
        assert (await _post(session, server, STATUS))[0] == 200


async def test_largest_body_is_read() -> None:
    """512 transactions of the largest size in hexadecimal fit."""
    async with _serving() as (_, server, session):
        body = b" " * (RPC_BODY_BYTES_MAX - len(STATUS)) + STATUS
        assert (await _post(session, server, io.BytesIO(body)))[0] == 200


async def test_invalid_bytes_in_flight() -> None:
    """All bodies together are bounded too: more is `rpc/BUSY` with 503, and the bytes are given back."""
    async with _serving(inflight_bytes_max=1500) as (_, server, session):
        code, answer = await _post(session, server, b" " * 2000 + STATUS)
        assert (code, answer["error"]["data"]["name"]) == (503, "rpc/BUSY")
        assert server._inflight_bytes == 0
        assert (await _post(session, server, STATUS))[0] == 200


async def test_invalid_encoding() -> None:
    """A compressed body is refused before anything is unpacked."""
    async with _serving() as (_, server, session):
        code, answer = await _post(session, server, b"\x1f\x8b", headers={"Content-Encoding": "gzip"})
        assert (code, answer["error"]["data"]["name"]) == (405, "rpc/HTTP")


async def test_invalid_slow_body() -> None:
    """A body that does not arrive is given up by name."""
    async with _serving(read_timeout_ms=100) as (_, server, _session):
        reader, writer = await asyncio.open_connection(*server.rpc_address.split(":"))
        writer.write(b"POST /rpc HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        answer = await reader.read()
        writer.close()
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"rpc/TIMEOUT" in answer
        assert server._answering == 0


async def test_broken_connection_leaks_nothing() -> None:
    """A client that goes away in the middle of a body leaves no count behind."""
    async with _serving() as (_, server, session):
        reader, writer = await asyncio.open_connection(*server.rpc_address.split(":"))
        writer.write(b"POST /rpc HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        await writer.drain()
        writer.transport.abort()
        del reader
        assert (await _post(session, server, STATUS))[0] == 200
        assert server._answering == 0
        assert server._inflight_bytes == 0


async def test_limit_of_requests() -> None:
    """Requests above the limit are `rpc/BUSY`; those that only wait do not count."""
    async with _serving(requests_max=1) as (node, server, session):
        waiting = [asyncio.create_task(_post(session, server, WAIT)) for _ in range(3)]
        while server.dispatcher.waiting < 3:  # noqa: ASYNC110 - the requests arrive over sockets
            await asyncio.sleep(0)
        assert (await _post(session, server, STATUS))[0] == 200
        server._answering += 1
        code, answer = await _post(session, server, STATUS)
        assert (code, answer["error"]["data"]["name"]) == (503, "rpc/BUSY")
        server._answering -= 1
        node.decide(TX_ID, RAW)
        assert {answer["result"]["state"] for _, answer in await asyncio.gather(*waiting)} == {"executed"}
        assert server._answering == 0


async def test_port_in_use() -> None:
    """A taken port is named, and whatever was opened before is closed again."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        server = RpcServer(FakeNode(), RpcSection(listen="127.0.0.1:0"), OpsSection(listen=address))
        with pytest.raises(Fault) as refused:
            await server.start()
    assert refused.value.spec is errors.PORT_IN_USE
    assert refused.value.values["address"] == address


async def test_invalid_listen_address() -> None:
    """An address that is not ours is named."""
    server = RpcServer(FakeNode(), RpcSection(listen="203.0.113.1:1"), None)
    with pytest.raises(Fault) as refused:
        await server.start()
    assert refused.value.spec is errors.LISTEN_FAILED


async def _ops(session: aiohttp.ClientSession, server: RpcServer, path: str) -> tuple[int, str]:
    async with session.get(f"http://{server.ops_address}{path}") as response:
        return response.status, await response.text()


async def test_livez() -> None:
    """Alive as soon as the loop answers, whatever the state of the network."""
    async with _serving() as (node, server, session):
        node.checks = [failed_check("quorum", errors.NO_QUORUM)]
        assert (await _ops(session, server, "/livez"))[0] == 200


async def test_readyz() -> None:
    """Ready is 200; not ready is 503 with every failed check, its code, text and remedy."""
    async with _serving() as (node, server, session):
        code, text = await _ops(session, server, "/readyz")
        assert (code, json.loads(text)) == (200, {"ready": True, "checks": ["disk", "peers"], "failed_checks": []})
        node.checks = [failed_check("quorum", errors.NO_QUORUM, unreachable=[2, 3])]
        code, text = await _ops(session, server, "/readyz")
        (failed,) = json.loads(text)["failed_checks"]
        assert (code, failed["check"], failed["code"]) == (503, "quorum", "consensus/NO_QUORUM")
        assert failed["remedy"] == errors.NO_QUORUM.remedy
        assert failed["details"] == {"unreachable": ["2", "3"]}


@pytest.mark.parametrize(
    ("query", "failed"),
    [
        ("min_peers=3", []),
        ("min_peers=4", ["net/NO_PEERS"]),
        ("min_peers=x", ["net/NO_PEERS"]),
        ("max_behind=2", []),
        ("max_behind=1", ["consensus/BEHIND"]),
        ("max_behind=-1", ["consensus/BEHIND"]),
        ("max_behind=0&min_peers=9", ["net/NO_PEERS", "consensus/BEHIND"]),
    ],
)
async def test_readyz_with_demands(query: str, failed: list[str]) -> None:
    """A load balancer may ask for peers and for a bound of lagging; a demand that is no number is not met."""
    async with _serving() as (node, server, session):
        node.status_now = status(peers=3, behind=2)
        code, text = await _ops(session, server, f"/readyz?{query}")
        assert code == (503 if failed else 200)
        assert [check["code"] for check in json.loads(text)["failed_checks"]] == failed


async def test_metrics() -> None:
    """Prometheus text of this node's own registry, gauges refreshed at each scrape."""
    async with _serving() as (node, server, session):
        node.metrics.before_scrape(lambda: node.metrics.height.set(7))
        await _post(session, server, STATUS)
        code, text = await _ops(session, server, "/metrics")
        assert code == 200
        assert "cccnode_consensus_height 7.0" in text
        assert "cccnode_rpc_request_seconds_count 1.0" in text


async def test_two_nodes_in_one_process_have_their_own_metrics() -> None:
    """Nothing is global: two nodes count apart."""
    async with _serving() as (_, one, session), _serving() as (_, two, _session):
        await _post(session, one, STATUS)
        assert "chain_status" in (await _ops(session, one, "/metrics"))[1]
        assert "chain_status" not in (await _ops(session, two, "/metrics"))[1]


async def test_ops_are_not_on_the_public_port() -> None:
    """Health and metrics are served on the second port alone, and RPC on the first alone."""
    async with _serving() as (_, server, session):
        async with session.get(f"http://{server.rpc_address}/metrics") as response:
            assert response.status == 405
        async with session.post(f"http://{server.ops_address}/rpc", data=STATUS) as response:
            assert response.status == 405


async def test_log_level() -> None:
    """The operator reads and changes how loud the node is; nonsense is refused and changes nothing."""
    async with _serving() as (_, server, session):
        url = f"http://{server.ops_address}/log"
        before = (await (await session.get(url)).json())["level"]
        async with session.post(url, json={"level": "debug"}) as response:
            assert await response.json() == {"level": "debug", "before": before}
        for wrong in ({"level": "loud"}, {}, {"level": "info", "more": 1}):
            async with session.post(url, json=wrong) as response:
                assert (await response.json())["error"]["data"]["name"] == "rpc/HTTP"
        assert (await (await session.get(url)).json())["level"] == "debug"
        await session.post(url, json={"level": before})
