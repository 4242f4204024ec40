"""Events through the client: filters, cursors, lines that are cut, and what is no longer kept."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import aiohttp
import pytest

from cccnode.client import Client, ClientError, SyncClient
from cccnode.client.events import EventStream
from cccnode.config import RpcSection
from cccnode.rpc.server import RpcServer
from cccnode.types.addresses import account_text
from tests.support.cutting import cut_line
from tests.support.fake_node import ACCOUNT, OTHER, FakeNode, status

PAID = ("bank", "transfer", "uccc", ACCOUNT, OTHER, 5)
ADDED = ("registry", "node_added", "org1", bytes(32))


@asynccontextmanager
async def _serving() -> AsyncIterator[tuple[FakeNode, str]]:
    node = FakeNode(status_now=status(height=0))
    server = RpcServer(node, RpcSection(listen="127.0.0.1:0"), None)
    await server.start()
    try:
        yield node, server.rpc_address
    finally:
        await server.stop()


async def test_events() -> None:
    """Events come typed, in order, from a cursor on, and only those that are asked for."""
    async with _serving() as (node, address), Client(address) as client:
        node.tell(PAID, ADDED)
        async with aclosing(client.events(after="0", account=account_text(ACCOUNT))) as events:
            first = await anext(events)
            assert (first.cursor, first.height, first.module, first.name) == ("1/0/0", 1, "bank", "transfer")
            assert first.fields == ("uccc", account_text(ACCOUNT), account_text(OTHER), "5")
            node.tell(ADDED, PAID)
            assert (await anext(events)).cursor == "2/1/0"


async def test_lines_that_are_cut() -> None:
    """However often the line is cut, every event comes exactly once."""
    async with (
        _serving() as (node, address),
        cut_line(address, bytes_max=30_000) as line,
        aiohttp.ClientSession() as session,
    ):

        async def pause(_seconds: float) -> None:
            await asyncio.sleep(0)

        url = f"http://{line.address}/v1/events"
        stream = EventStream(url, lambda: session, after="0", filters={}, pause=pause)
        found = []
        async with aclosing(stream.read()) as events:
            for height in range(1, 101):
                node.tell(*[PAID] * 10)
                while len(found) < 10 * height:
                    found.append((await anext(events)).cursor)
        assert found == [f"{height}/{position}/0" for height in range(1, 101) for position in range(10)]
        assert line.cuts > 5
        assert stream.connections > line.cuts


async def test_lagged() -> None:
    """What is no longer kept is an error that names the oldest cursor."""
    async with _serving() as (node, address), Client(address) as client:
        for _ in range(5):
            node.tell(PAID)
        node.kept_from = 4
        async with aclosing(client.events(after="1")) as events:
            with pytest.raises(ClientError) as lagged:
                await anext(events)
    assert (lagged.value.name, lagged.value.details["oldest"]) == ("events/LAGGED", "3")


async def test_refused() -> None:
    """A filter that cannot be is refused by name, not tried again."""
    async with (
        _serving() as (_, address),
        Client(address) as client,
        aclosing(client.events(account="ccc1x")) as events,
    ):
        with pytest.raises(ClientError) as refused:
            await anext(events)
    assert refused.value.name == "rpc/INVALID_PARAMS"


async def test_without_asyncio() -> None:
    """The same in a program without asyncio."""
    async with _serving() as (node, address):
        node.tell(PAID, ADDED)

        def program() -> list[str]:
            with SyncClient(address) as client:
                assert client.status()["height"] == "1"
                events = client.events(after="0")
                found = [next(events).cursor, next(events).cursor]
                events.close()
                return found

        assert await asyncio.to_thread(program) == ["1/0/0", "1/1/0"]
