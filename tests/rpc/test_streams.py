"""Events over HTTP and on sockets: streams, pages, sign of life, resuming, and readers that do not read."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from cccnode.config import RpcSection
from cccnode.rpc import streams
from cccnode.rpc.events import EventLog
from cccnode.rpc.server import RpcServer
from cccnode.rpc.streams import SocketEvents
from cccnode.types import errors
from cccnode.types.errors import Fault
from tests.support.fake_node import ACCOUNT, OTHER, FakeNode, status

PAID = ("bank", "transfer", "uccc", ACCOUNT, OTHER, 5)
ADDED = ("registry", "node_added", "org1", bytes(32))
SSE = {"Accept": "text/event-stream"}


@asynccontextmanager
async def _serving(**limits: Any) -> AsyncIterator[tuple[FakeNode, RpcServer, aiohttp.ClientSession, str]]:
    node = FakeNode(status_now=status(height=0))
    server = RpcServer(node, RpcSection(listen="127.0.0.1:0", **limits), None)
    await server.start()
    try:
        async with aiohttp.ClientSession() as session:
            yield node, server, session, f"http://{server.rpc_address}/v1/events"
    finally:
        await server.stop()


async def _messages(response: aiohttp.ClientResponse, count: int) -> list[dict[str, str]]:
    """So many messages of a stream, with their fields."""
    found: list[dict[str, str]] = []
    while len(found) < count:
        fields: dict[str, str] = {}
        while (line := (await response.content.readline()).decode().rstrip("\n")) != "":
            name, _, text = line.partition(": ")
            fields[name] = text
        found.append(fields)
    return found


async def test_stream() -> None:
    """A stream says where it begins, then every event as it happens, with its cursor as id."""
    async with _serving() as (node, server, session, url):
        node.tell(PAID)
        async with session.get(url, headers=SSE) as response:
            assert response.content_type == "text/event-stream"
            (begun,) = await _messages(response, 1)
            assert begun == {"": "here", "id": "1"}
            assert server.streams.open == 1
            node.tell(PAID, ADDED)
            first, second, end = await _messages(response, 3)
            assert (first["id"], second["id"], end["id"]) == ("2/0/0", "2/1/0", "2")
            assert json.loads(second["data"])["name"] == "node_added"


async def test_resume() -> None:
    """`Last-Event-ID` goes on exactly behind what was read, with the same filter."""
    async with _serving() as (node, _, session, url):
        for _ in range(3):
            node.tell(PAID, ADDED)
        query = {"after": "0", "module": "registry"}
        async with session.get(url, params=query, headers={**SSE, "Last-Event-ID": "1/1/0"}) as response:
            _, *found = await _messages(response, 3)
            assert [message["id"] for message in found] == ["2/1/0", "3/1/0"]


async def test_page() -> None:
    """Without the stream's media type the same path answers a page of JSON."""
    async with _serving() as (node, _, session, url):
        node.tell(PAID, ADDED)
        async with session.get(url, params={"limit": "1", "wait_ms": "10", "after": "1/0/0"}) as response:
            page = await response.json()
        assert [event["cursor"] for event in page["events"]] == ["1/1/0"]


@pytest.mark.parametrize("query", ["after=x", "limit=0", "limit=x", "what=1", "account=ccc1", "module=a&module=b"])
async def test_invalid_query(query: str) -> None:
    """A parameter that does not fit is named."""
    async with _serving() as (_, _, session, url), session.get(f"{url}?{query}") as response:
        assert response.status == 400
        assert b"rpc/INVALID_PARAMS" in await response.read()


async def test_lagged() -> None:
    """A cursor below what is kept is answered with `lagged` on a stream and 410 on a page, with the oldest cursor."""
    async with _serving() as (node, _, session, url):
        for _ in range(4):
            node.tell(PAID)
        node.kept_from = 3
        async with session.get(url, params={"after": "0"}, headers=SSE) as response:
            _, lagged = await _messages(response, 2)
            assert lagged["event"] == "lagged"
            error = json.loads(lagged["data"])
            assert (error["data"]["name"], error["data"]["details"]["oldest"]) == ("events/LAGGED", "2")
            assert await response.content.read() == b""
        async with session.get(url, params={"after": "0"}) as response:
            assert response.status == 410


async def test_sign_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader for whom nothing fits hears how far the log is, and can resume there."""
    monkeypatch.setattr(streams.EventStreams.__init__, "__kwdefaults__", {"ping_s": 0.01, "stall_s": 20.0})
    async with (
        _serving() as (node, _, session, url),
        session.get(url, params={"name": "nothing"}, headers=SSE) as response,
    ):
        await _messages(response, 1)
        node.tell(PAID)
        while (await _messages(response, 1))[0]["id"] != "1":
            pass


async def test_too_many() -> None:
    """More readers than the limit are refused by name; one that goes makes room."""
    async with _serving(streams_max=1) as (node, server, session, url):
        async with session.get(url, headers=SSE) as response:
            await _messages(response, 1)
            async with session.get(url, headers=SSE) as refused:
                assert refused.status == 503
        while server.streams.open:
            node.tell(PAID)  # the server notices when it writes
            await asyncio.sleep(0)
        async with session.get(url, headers=SSE) as response:
            assert response.status == 200


async def test_slow_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that takes nothing is told `lagged` behind what it has, resumes there, and has missed nothing."""
    monkeypatch.setattr(streams.EventStreams.__init__, "__kwdefaults__", {"ping_s": 20.0, "stall_s": 0.05})
    monkeypatch.setattr(streams, "SEND_BUFFER_BYTES", 4096)
    async with _serving() as (node, server, session, url):
        link = socket.socket()
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        link.setblocking(False)
        host, port = server.rpc_address.split(":")
        await asyncio.get_running_loop().sock_connect(link, (host, int(port)))
        reader, writer = await asyncio.open_connection(sock=link, limit=1024)
        writer.write(b"GET /v1/events?after=0 HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        for _ in range(50):
            node.tell(*[PAID] * 20)
        while server.streams.open:
            await session.get(url, params={"after": "50"})
        raw = await reader.read(-1)
        writer.close()
        ids = [line[4:] for line in raw.decode().splitlines() if line.startswith("id: ") and "/" in line]
        assert raw.count(b"event: lagged") == 1
        lagged = json.loads(raw.decode().split("event: lagged\ndata: ")[1].split("\n")[0])["data"]["details"]
        rest = []
        place = lagged["after"]
        while len(ids) + len(rest) < 1000:
            async with session.get(url, params={"after": place, "limit": "1000"}) as response:
                page = await response.json()
            rest += [event["cursor"] for event in page["events"]]
            place = page["next"]
        whole = [f"{height}/{position}/0" for height in range(1, 51) for position in range(20)]
        assert sorted(set(ids) | set(rest)) == sorted(whole)


class _Socket:
    """A WebSocket client."""

    def __init__(self) -> None:
        self.on_close: list[Callable[[], None]] = []
        self.sent: asyncio.Queue[Any] = asyncio.Queue()
        self.gone = False

    async def send(self, raw: bytes) -> None:
        if self.gone:
            raise ConnectionResetError
        self.sent.put_nowait(json.loads(raw))


async def test_subscription() -> None:
    """A subscription sends notifications from its cursor on until it is ended."""
    node, client = FakeNode(status_now=status(height=0)), _Socket()
    node.tell(PAID, ADDED)
    calls = SocketEvents(EventLog(node)).calls
    begun = await calls["events_subscribe"](client, {"after": "0", "module": "registry"})
    assert begun == {"subscription": "1", "after": "0"}
    told = await client.sent.get()
    assert (told["method"], told["params"]["subscription"]) == ("events", "1")
    assert [event["cursor"] for event in told["params"]["events"]] == ["1/1/0"]
    node.tell(ADDED)
    assert (await client.sent.get())["params"]["next"] == "2"
    assert await calls["events_unsubscribe"](client, {"subscription": "1"}) == {"ended": True}
    assert await calls["events_unsubscribe"](client, ["1"]) == {"ended": False}


async def test_subscription_lagged() -> None:
    """A subscription that asks for what is not kept ends with `events_lagged`."""
    node, client = FakeNode(), _Socket()
    node.kept_from = 5
    await SocketEvents(EventLog(node)).subscribe(client, {"after": "1"})
    told = await client.sent.get()
    assert told["method"] == "events_lagged"
    assert told["params"]["error"]["data"]["name"] == "events/LAGGED"


async def test_subscriptions_end_with_their_client() -> None:
    """A client has so many subscriptions and no more; when it goes, nothing of it stays."""
    node, client = FakeNode(status_now=status(height=0)), _Socket()
    events = SocketEvents(EventLog(node))
    for _ in range(streams.SUBSCRIPTIONS_MAX):
        await events.subscribe(client, {})
    with pytest.raises(Fault) as refused:
        await events.subscribe(client, {})
    assert refused.value.spec is errors.RPC_BUSY
    (gone,) = client.on_close
    gone()
    await asyncio.sleep(0)
    assert not events._tasks


async def test_websocket() -> None:
    """On the real socket: the answer to the subscription first, then what happens, then no more."""
    async with _serving() as (node, server, session, _):
        node.tell(PAID)
        async with session.ws_connect(f"http://{server.rpc_address}/ws") as link:

            async def call(method: str, **params: Any) -> Any:
                await link.send_json({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
                return await link.receive_json()

            begun = await call("events_subscribe", after="0", module="bank")
            assert begun["result"] == {"subscription": "1", "after": "0"}
            assert [event["cursor"] for event in (await link.receive_json())["params"]["events"]] == ["1/0/0"]
            node.tell(ADDED, PAID)
            assert [event["cursor"] for event in (await link.receive_json())["params"]["events"]] == ["2/1/0"]
            assert (await call("events_unsubscribe", subscription="1"))["result"] == {"ended": True}
            assert (await call("events_subscribe", after="x"))["error"]["data"]["name"] == "rpc/INVALID_PARAMS"
