"""`POST /snapshot` on the operator's port: answered once the snapshot is certified, refused by name."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from cccnode.config import OpsSection, RpcSection
from cccnode.rpc.photos import described
from cccnode.rpc.server import RpcServer
from cccnode.types.errors import OVERSIZE, SNAPSHOT_BUSY, Fault, fault
from storage.snapshots import Manifest
from tests.driver.test_snapshots import Town
from tests.support.fake_node import FakeNode


class FakePhotographer:
    """Gives what it is told to give."""

    def __init__(self, result: Manifest | Fault, *, busy: bool = False) -> None:
        self.result, self.busy = result, busy

    def take(self, done: Callable[[Manifest | Fault], None]) -> None:
        if self.busy:
            raise fault(SNAPSHOT_BUSY, height=7)
        asyncio.get_running_loop().call_soon(done, self.result)


@asynccontextmanager
async def answer(photographer: FakePhotographer | None, **asked: Any) -> AsyncIterator[aiohttp.ClientResponse]:
    server = RpcServer(
        FakeNode(), RpcSection(listen="127.0.0.1:0"), OpsSection(listen="127.0.0.1:0"), photographer=photographer
    )
    await server.start()
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"http://{server.ops_address}/snapshot", **(asked or {"json": {}})) as response,
        ):
            yield response
    finally:
        await server.stop()


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    town = Town()
    town.start()
    town.busy(4)
    return town.manifest()


async def test_what_was_taken(manifest: Manifest) -> None:
    """Height, root and size, once it is certified."""
    async with answer(FakePhotographer(manifest)) as response:
        found = await response.json()

    assert found == described(manifest)
    assert int(found["certified_at"]) > int(found["height"])
    assert found["state_root"] == "0x" + manifest.content.applied.state_root.hex()


async def test_refusals() -> None:
    """One at a time; what goes wrong is named; a page in a browser cannot ask; without a disk there is no such page."""
    for photographer, asked, status, name in (
        (FakePhotographer(fault(OVERSIZE)), {}, 413, "core/OVERSIZE"),
        (FakePhotographer(fault(OVERSIZE), busy=True), {}, 503, "storage/SNAPSHOT_BUSY"),
        (FakePhotographer(fault(OVERSIZE)), {"data": b"{}"}, 405, "rpc/HTTP"),
        (None, {}, 405, "rpc/HTTP"),
    ):
        async with answer(photographer, **asked) as response:
            assert response.status == status
            assert (await response.json())["error"]["data"]["name"] == name
