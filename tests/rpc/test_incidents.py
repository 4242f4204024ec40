"""`POST /incident` over real sockets: pieces as they come, named refusals, and an end when the reader goes away."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from cccnode.config import OpsSection, RpcSection
from cccnode.rpc.asking import REQUEST_BYTES_MAX
from cccnode.rpc.server import RpcServer
from cccnode.types.errors import INCIDENT_BUSY, INCIDENT_NOTHING, OVERSIZE, ErrorSpec, Fault, fault
from tests.support.fake_node import FakeNode

ASKED = {"seconds": 5, "reason": "slow"}


class FakeIncidents:
    """Remembers what was asked, and lets the test write."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.refusal: Fault | None = None
        self.stopped = asyncio.Event()
        self.write: Callable[[bytes], None]
        self.ended: Callable[[], None]

    def start(
        self, *, seconds: int, reason: str, write: Callable[[bytes], None], ended: Callable[[], None]
    ) -> Callable[[], None]:
        if self.refusal is not None:
            raise self.refusal
        self.asked.append({"seconds": seconds, "reason": reason})
        self.write, self.ended = write, ended
        write(b"first ")
        return self.stopped.set


@asynccontextmanager
async def _serving(*, able: bool = True) -> AsyncIterator[tuple[FakeIncidents, RpcServer, aiohttp.ClientSession]]:
    incidents = FakeIncidents()
    server = RpcServer(
        FakeNode(),
        RpcSection(listen="127.0.0.1:0"),
        OpsSection(listen="127.0.0.1:0"),
        incidents=incidents if able else None,
    )
    await server.start()
    try:
        async with aiohttp.ClientSession() as session:
            yield incidents, server, session
    finally:
        await server.stop()


def _url(server: RpcServer) -> str:
    return f"http://{server.ops_address}/incident"


async def _refused(session: aiohttp.ClientSession, url: str, **request: Any) -> tuple[int, str]:
    async with session.post(url, **request) as response:
        return response.status, (await response.json())["error"]["data"]["name"]


async def test_pieces_come_as_they_are_written() -> None:
    """The answer grows with the recording and ends with it."""
    async with _serving() as (incidents, server, session), session.post(_url(server), json=ASKED) as response:
        assert (response.status, response.content_type) == (200, "application/octet-stream")
        assert await response.content.readexactly(6) == b"first "
        incidents.write(b"second ")
        assert await response.content.readexactly(7) == b"second "
        assert not incidents.stopped.is_set()
        incidents.write(b"last")
        incidents.ended()
        assert await response.read() == b"last"
        assert incidents.asked == [ASKED]
        await incidents.stopped.wait()


async def test_reader_that_goes_away_ends_it() -> None:
    """Whoever closes the link ends the recording."""
    async with _serving() as (incidents, server, session):
        async with session.post(_url(server), json=ASKED) as response:
            assert await response.content.readexactly(6) == b"first "
            response.close()
        while not incidents.stopped.is_set():
            incidents.write(b"more")
            await asyncio.sleep(0)


async def test_server_that_stops_ends_it() -> None:
    """A node that stops ends its recording; the reader sees that it broke off."""
    async with _serving() as (incidents, server, session), session.post(_url(server), json=ASKED) as response:
        assert await response.content.readexactly(6) == b"first "
        await server.stop()
        assert incidents.stopped.is_set()
        with pytest.raises(aiohttp.ClientError):
            await response.read()


@pytest.mark.parametrize(("spec", "status"), [(INCIDENT_BUSY, 503), (INCIDENT_NOTHING, 409), (OVERSIZE, 413)])
async def test_refused_by_the_node(spec: ErrorSpec, status: int) -> None:
    """What the node says against it comes as the usual error envelope."""
    async with _serving() as (incidents, server, session):
        incidents.refusal = fault(spec)
        assert await _refused(session, _url(server), json=ASKED) == (status, spec.name)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"seconds": 0},
        {"seconds": 601},
        {"seconds": "5"},
        {"seconds": True},
        {"seconds": 5, "reason": "x" * 257},
        {"seconds": 5, "reason": None},
        {"seconds": 5, "file": "/etc/passwd"},
        [5],
    ],
)
async def test_invalid_request(body: Any) -> None:
    """Only seconds and a short reason are taken: nothing names a file on the node."""
    async with _serving() as (incidents, server, session):
        assert await _refused(session, _url(server), json=body) == (405, "rpc/HTTP")
        assert not incidents.asked


async def test_invalid_body() -> None:
    """Broken JSON, another content type, no length or too much of it are refused by name."""
    headers = {"Content-Type": "application/json"}
    async with _serving() as (incidents, server, session):

        async def chunks() -> AsyncIterator[bytes]:
            yield json.dumps(ASKED).encode()

        url = _url(server)
        assert await _refused(session, url, data=b"{", headers=headers) == (405, "rpc/HTTP")
        assert await _refused(session, url, data=b"\xff", headers=headers) == (405, "rpc/HTTP")
        assert await _refused(session, url, data=ASKED) == (405, "rpc/HTTP")
        assert await _refused(session, url, data=json.dumps(ASKED)) == (405, "rpc/HTTP")
        assert await _refused(session, url, data=chunks(), headers=headers) == (405, "rpc/HTTP")
        large = b" " * (REQUEST_BYTES_MAX + 1)
        assert await _refused(session, url, data=large, headers=headers) == (413, "core/OVERSIZE")
        assert not incidents.asked


async def test_not_on_the_public_port() -> None:
    """Nobody from outside can have a node record itself; nor can one that has no consensus to record be asked."""
    async with _serving() as (incidents, server, session):
        assert await _refused(session, f"http://{server.rpc_address}/incident", json=ASKED) == (405, "rpc/HTTP")
        async with session.get(_url(server)) as response:
            assert response.status == 405
        assert not incidents.asked
    async with _serving(able=False) as (_, server, session):
        assert await _refused(session, _url(server), json=ASKED) == (405, "rpc/HTTP")
