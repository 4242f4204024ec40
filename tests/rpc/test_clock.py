"""`/clock` on the operator's port: only in a demo network, only ahead, never nonsense."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from cccnode.config import OpsSection, RpcSection
from cccnode.node.city_clock import CityClock
from cccnode.rpc.server import RpcServer
from tests.support.fake_node import FakeNode

START_MS = 1_767_571_200_000


@asynccontextmanager
async def _serving(*, demo: bool = True) -> AsyncIterator[tuple[RpcServer, aiohttp.ClientSession]]:
    clock = CityClock(lambda: 0, START_MS) if demo else None
    server = RpcServer(FakeNode(), RpcSection(listen="127.0.0.1:0"), OpsSection(listen="127.0.0.1:0"), clock=clock)
    await server.start()
    try:
        async with aiohttp.ClientSession() as session:
            yield server, session
    finally:
        await server.stop()


async def _refused(session: aiohttp.ClientSession, url: str, value: object) -> str:
    async with session.post(url, json=value) as response:
        return (await response.json())["error"]["data"]["name"]


async def test_set_and_read() -> None:
    """What was set is what is read; an earlier time is refused."""
    async with _serving() as (server, session):
        url = f"http://{server.ops_address}/clock"
        async with session.post(url, json={"time_ms": str(START_MS + 5)}) as response:
            assert await response.json() == {"time_ms": str(START_MS + 5)}
        assert await _refused(session, url, {"time_ms": str(START_MS)}) == "demo/CLOCK_BACK"
        for wrong in ({}, {"time_ms": 7}, {"time_ms": "-1"}, {"time_ms": "1\n"}, {"time_ms": "1", "more": 1}):
            assert await _refused(session, url, wrong) == "rpc/HTTP"
        async with session.get(url) as response:
            assert await response.json() == {"time_ms": str(START_MS + 5)}


async def test_real_networks_keep_real_time() -> None:
    """Where the genesis does not say demo, the clock cannot be set."""
    async with _serving(demo=False) as (server, session):
        url = f"http://{server.ops_address}/clock"
        assert await _refused(session, url, {"time_ms": str(START_MS)}) == "demo/NOT_A_DEMO"
        async with session.post(f"http://{server.rpc_address}/clock", json={"time_ms": "1"}) as response:
            assert response.status == 405
