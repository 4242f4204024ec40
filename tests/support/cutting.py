"""A line to a server that is cut again and again, in either direction, in the middle of whatever passes."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Cutter:
    """A TCP proxy on loopback; each connection lives for a number of bytes drawn from a seed."""

    def __init__(self, target: str, *, seed: int, bytes_max: int) -> None:
        """Lead to `target`, `host:port`; a connection is reset after up to `bytes_max` bytes, of both ways."""
        self._host, port = target.split(":")
        self._port, self._random, self._bytes_max = int(port), random.Random(seed), bytes_max
        self.cuts = 0
        """Connections that were reset."""
        self.cutting = True
        self.address = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection until it ends or is cut."""
        left = [self._random.randrange(1, self._bytes_max)]
        to_reader, to_writer = await asyncio.open_connection(self._host, self._port)
        with suppress(asyncio.CancelledError):  # the server ends
            async with asyncio.TaskGroup() as group:
                ways = [
                    group.create_task(self._carry(reader, to_writer, left)),
                    group.create_task(self._carry(to_reader, writer, left)),
                ]
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                for way in ways:
                    way.cancel()
        for end in (writer, to_writer):
            end.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, left: list[int]) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                left[0] -= len(data)
                if self.cutting and left[0] < 0:
                    self.cuts += 1
                    writer.write(data[: left[0]])  # what passed before the cut may arrive
                    await asyncio.sleep(0)
                    return
                writer.write(data)
                await writer.drain()


@asynccontextmanager
async def cut_line(target: str, *, seed: int = 1, bytes_max: int = 20_000) -> AsyncIterator[Cutter]:
    """Such a line while the block lasts."""
    cutter = Cutter(target, seed=seed, bytes_max=bytes_max)
    server = await asyncio.start_server(cutter.serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    cutter.address = f"{host}:{port}"
    try:
        yield cutter
    finally:
        server.close()
