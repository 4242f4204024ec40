"""Files on the public port: whole, bounded, and given up where nobody reads."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from cccnode.client import Client, ClientError
from cccnode.config import RpcSection
from cccnode.rpc.downloads import GENESIS_PATH, PIECE_BYTES, READERS_MAX, Downloads
from cccnode.rpc.server import RpcServer
from cccnode.types import errors
from tests.support.fake_node import FakeNode

LARGE = bytes(range(256)) * (PIECE_BYTES // 64)
"""Several pieces, and more than a socket takes at once."""


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


@asynccontextmanager
async def _serving(path: Path, content: bytes = LARGE) -> AsyncIterator[tuple[RpcServer, Client]]:
    _write(path, content)
    server = RpcServer(FakeNode(), RpcSection(listen="127.0.0.1:0"), None, files={GENESIS_PATH: path})
    await server.start()
    try:
        async with Client(server.rpc_address) as client:
            yield server, client
    finally:
        await server.stop()


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES, len(LARGE)])
async def test_whole_file(tmp_path: Path, size: int) -> None:
    """What is served is the file, byte by byte, as JSON of known length."""
    async with _serving(tmp_path / "g", LARGE[:size]) as (server, client):
        got = bytearray()
        assert size == await client.download(GENESIS_PATH, got.extend, bytes_max=size)
        assert bytes(got) == LARGE[:size]
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://{server.rpc_address}{GENESIS_PATH}") as response,
        ):
            assert (response.status, response.content_type, response.content_length) == (200, "application/json", size)


async def test_invalid_file(tmp_path: Path) -> None:
    """Other paths, other verbs, and a file that has gone are refused by name."""
    async with _serving(tmp_path / "g") as (server, client):
        for path in ("/genesis/other.json", "/../g", "/genesis.json/"):
            with pytest.raises(ClientError) as refused:
                await client.download(path, bytearray().extend, bytes_max=9)
            assert refused.value.name == errors.RPC_HTTP.name
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"http://{server.rpc_address}{GENESIS_PATH}") as response,
        ):
            assert response.status == 405
        (tmp_path / "g").unlink()
        with pytest.raises(ClientError) as refused:
            await client.download(GENESIS_PATH, bytearray().extend, bytes_max=9)
        assert refused.value.name == errors.NOT_FOUND.name


async def test_invalid_size(tmp_path: Path) -> None:
    """The reader stops at his own limit, whatever the server says."""
    async with _serving(tmp_path / "g") as (_, client):
        got = bytearray()
        with pytest.raises(ClientError) as refused:
            await client.download(GENESIS_PATH, got.extend, bytes_max=1000)
        assert refused.value.name == errors.OVERSIZE.name
        assert len(got) <= 1000


async def test_invalid_shrinking_file(tmp_path: Path) -> None:
    """A file that became shorter while it was sent is a broken answer, never a shorter one."""
    async with _serving(tmp_path / "g") as (_, client):
        got = bytearray()

        def cut(piece: bytes) -> None:
            got.extend(piece)
            (tmp_path / "g").write_bytes(b"")

        with pytest.raises(ClientError) as refused:
            await client.download(GENESIS_PATH, cut, bytes_max=len(LARGE))
        assert refused.value.name == errors.UNREACHABLE.name
        assert len(got) < len(LARGE)


def _deaf_reader(address: str) -> socket.socket:
    """A client that asks and then reads nothing."""
    host, port = address.split(":")
    plain = socket.create_connection((host, int(port)))
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.sendall(f"GET {GENESIS_PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return plain


async def test_limit_of_readers(tmp_path: Path) -> None:
    """A few at a time: one more is `rpc/BUSY`, and calls are answered all the while."""
    async with _serving(tmp_path / "g", LARGE * 32) as (server, client):
        deaf = [_deaf_reader(server.rpc_address) for _ in range(READERS_MAX)]
        while server.downloads.reading < READERS_MAX:  # noqa: ASYNC110 - the requests arrive over sockets
            await asyncio.sleep(0)
        with pytest.raises(ClientError) as refused:
            await client.download(GENESIS_PATH, bytearray().extend, bytes_max=9)
        assert refused.value.name == errors.RPC_BUSY.name
        assert (await client.status())["height"] == "7"
        for plain in deaf:
            plain.close()
        while server.downloads.reading:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0)


async def test_reader_that_stopped(tmp_path: Path) -> None:
    """Who takes nothing for the time of a piece is cut off, and his place is free."""
    async with _serving(tmp_path / "g", LARGE * 32) as (server, client):
        server.downloads = Downloads({GENESIS_PATH: tmp_path / "g"}, piece_timeout_s=0.05)
        deaf = _deaf_reader(server.rpc_address)
        while not server.downloads.reading:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0)
        while server.downloads.reading:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0)
        got = bytearray()
        await client.download(GENESIS_PATH, got.extend, bytes_max=len(LARGE) * 32)
        assert len(got) == len(LARGE) * 32
        deaf.close()
