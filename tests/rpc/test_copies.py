"""`POST /backup` on the operator's port: pages as they are read, refusals by name, nothing whole that is not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from cccnode.config import OpsSection, RpcSection
from cccnode.rpc.server import RpcServer
from cccnode.types.errors import BACKUP_BUSY, DISK_FAILED, HOME_EMPTY, fault
from storage import records
from tests.support.fake_node import FakeNode


class FakeCopier:
    """Gives these pages."""

    def __init__(self, *pages, busy=False):
        self.pages, self.busy = pages, busy
        self.first = None
        self.closed = 0

    def begin(self, first):
        if self.busy:
            raise fault(BACKUP_BUSY)
        self.first = first
        self._left = iter(self.pages)
        return self

    def next(self, taken):
        asyncio.get_running_loop().call_soon(taken, next(self._left, None))

    def close(self):
        self.closed += 1


@asynccontextmanager
async def answer(copier, **asked) -> AsyncIterator[aiohttp.ClientResponse]:
    server = RpcServer(FakeNode(), RpcSection(listen="127.0.0.1:0"), OpsSection(listen="127.0.0.1:0"), copier=copier)
    await server.start()
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"http://{server.ops_address}/backup", **(asked or {"json": {}})) as response,
        ):
            yield response
    finally:
        await server.stop()


async def test_pages_in_frames():
    """Each page is a record; the heights asked for are passed on; the copy is closed."""
    copier = FakeCopier(b"first", b"second" * 10_000, b"last")
    async with answer(copier, json={"heights_from": 7}) as response:
        raw = await response.read()
    assert response.content_type == "application/octet-stream"
    assert [payload for _, payload in records.scan(raw, shortest=0, longest=1 << 20)] == list(copier.pages)
    assert (copier.first, copier.closed) == (7, 1)


async def test_a_copy_that_fails_midway():
    """What was sent ends without its last page; the copy is closed."""
    copier = FakeCopier(b"first", fault(DISK_FAILED))
    async with answer(copier) as response:
        raw = await response.read()
    assert raw == records.frame(b"first")
    assert copier.closed == 1


@pytest.mark.parametrize(
    ("copier", "asked", "status", "name"),
    [
        (FakeCopier(busy=True), {}, 503, "storage/BACKUP_BUSY"),
        (FakeCopier(fault(HOME_EMPTY)), {}, 400, "home/EMPTY"),
        (FakeCopier(), {"data": b"{}"}, 405, "rpc/HTTP"),
        (FakeCopier(), {"json": {"heights_from": -1}}, 405, "rpc/HTTP"),
        (FakeCopier(), {"json": {"what": 1}}, 405, "rpc/HTTP"),
        (FakeCopier(), {"json": {"what": "x" * 5_000}}, 413, "core/OVERSIZE"),
        (None, {}, 405, "rpc/HTTP"),
    ],
)
async def test_refusals(copier, asked, status, name):
    """One at a time; what goes wrong is named; no page in a browser can ask; nobody can where it is not served."""
    async with answer(copier, **asked) as response:
        assert response.status == status
        assert (await response.json())["error"]["data"]["name"] == name


async def test_a_reader_that_goes_away():
    """Whoever stops reading ends the copy, and keeps the node from nothing."""

    class Endless(FakeCopier):
        def next(self, taken):
            asyncio.get_running_loop().call_soon(taken, b"page" * 50_000)

    copier = Endless()
    async with answer(copier) as response:
        await response.content.readany()
    assert copier.closed == 1
