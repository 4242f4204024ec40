"""The fault proxy does to bytes what it is told to do."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.support.proxy import Line, Passage, Proxy, Way
from tests.support.proxy_process import NOBODY, Schedule

END_S = 30
NODE = 0
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.mark.parametrize(
    ("line", "arrivals", "leave"),
    [
        (Line(), [(1.0, 10), (2.0, 10)], [1.0, 2.0]),
        (Line(delay_ms=50), [(1.0, 10), (1.01, 10)], [1.05, 1.06]),
        (Line(bytes_per_s=100), [(1.0, 10), (1.0, 20), (9.0, 10)], [1.1, 1.3, 9.1]),
        (Line(bytes_per_s=100, delay_ms=500), [(1.0, 10), (1.0, 20)], [1.6, 1.8]),
    ],
)
def test_schedule(line: Line, arrivals: list[tuple[float, int]], leave: list[float]) -> None:
    """Delay is added to each piece, and a narrow line takes its time for every byte."""
    schedule = Schedule(random.Random(1))

    assert [schedule.due(line, size, now) for now, size in arrivals] == pytest.approx(leave)


def test_jitter_keeps_the_order() -> None:
    """Jitter comes from the seed, stays within its bound, and no byte overtakes another."""
    line = Line(delay_ms=20, jitter_ms=50)
    runs = []
    for _ in range(2):
        schedule = Schedule(random.Random(7))
        runs.append([schedule.due(line, 1, at / 100) for at in range(200)])
    waits = [due - at / 100 for at, due in enumerate(runs[0])]

    assert runs[0] == runs[1] == sorted(runs[0])
    assert len(set(waits)) > 100
    assert 0.02 <= min(waits) <= max(waits) <= 0.0701


@pytest.fixture
def ports() -> tuple[int, int]:
    """Two free ports: where the echo is dialled, and where it listens."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        return one.getsockname()[1], other.getsockname()[1]


@asynccontextmanager
async def echo(ports: tuple[int, int]) -> AsyncIterator[Proxy]:
    """A server behind a proxy that says what it hears."""
    served: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.add(asyncio.current_task())
        try:
            while heard := await reader.read(4096):
                writer.write(heard)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", ports[1])
    proxy = Proxy([Way(node=NODE, public=ports[0], hidden=ports[1])], {})
    try:
        async with asyncio.timeout(END_S):
            yield proxy
    finally:
        proxy.stop()
        server.close()
        await asyncio.gather(*served)


async def said(stream: Stream, words: bytes) -> bytes:
    """What comes back; nothing when the connection is broken."""
    reader, writer = stream
    try:
        writer.write(words)
        await writer.drain()
        return await reader.readexactly(len(words))
    except (ConnectionError, asyncio.IncompleteReadError):
        writer.transport.abort()
        return b""


async def test_cut(ports: tuple[int, int]) -> None:
    """A cut line breaks connections and takes none; mended, it takes new ones."""
    async with echo(ports) as proxy:
        stream = await asyncio.open_connection("127.0.0.1", ports[0])
        assert await said(stream, b"one") == b"one"
        proxy.lay(Line(passage=Passage.CUT), [NODE], [NOBODY])
        assert await said(stream, b"two") == b""
        refused = await asyncio.open_connection("127.0.0.1", ports[0])
        assert await said(refused, b"three") == b""
        proxy.lay(Line(), [NODE], [NOBODY])
        again = await asyncio.open_connection("127.0.0.1", ports[0])
        assert await said(again, b"four") == b"four"
        again[1].close()


async def test_held(ports: tuple[int, int]) -> None:
    """What is held comes later, whole; one direction is enough to hold an answer."""
    async with echo(ports) as proxy:
        stream = await asyncio.open_connection("127.0.0.1", ports[0])
        proxy.lay_towards(Line(passage=Passage.HELD), [NODE], [NOBODY])
        answer = asyncio.create_task(said(stream, b"late"))
        other = await asyncio.open_connection("127.0.0.1", ports[0])
        other[1].close()
        assert not answer.done()
        proxy.lay(Line(), [NODE], [NOBODY])
        assert await answer == b"late"
        stream[1].close()


async def test_lost(ports: tuple[int, int]) -> None:
    """A connection that lost bytes is broken when the line opens; one that lost none goes on."""
    async with echo(ports) as proxy:
        silent, talking = [await asyncio.open_connection("127.0.0.1", ports[0]) for _ in range(2)]
        assert [await said(stream, b"one") for stream in (silent, talking)] == [b"one", b"one"]
        proxy.lay(Line(passage=Passage.LOST), [NODE], [NOBODY])
        lost = asyncio.create_task(said(talking, b"two"))
        await asyncio.sleep(0)
        proxy.lay(Line(delay_ms=1), [NODE], [NOBODY])
        assert await lost in {b"", b"two"}  # the proxy may have been told before the bytes came
        assert await said(silent, b"three") == b"three"
        for _, writer in (silent, talking):
            writer.close()


async def test_vanish(ports: tuple[int, int]) -> None:
    """The server's side ends; the caller keeps a connection on which nobody answers."""
    async with echo(ports) as proxy:
        stream = await asyncio.open_connection("127.0.0.1", ports[0])
        assert await said(stream, b"one") == b"one"
        proxy.vanish([NODE], [NOBODY])
        waiting = asyncio.create_task(said(stream, b"two"))
        other = await asyncio.open_connection("127.0.0.1", ports[0])
        assert await said(other, b"three") == b"three"
        assert not waiting.done()
        for _, writer in (stream, other):
            writer.close()
        waiting.cancel()
