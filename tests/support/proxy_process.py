"""`python -m tests.support.proxy_process`: the proxy of `proxy`, as a process, so that its delays are its own.

Commands come as JSON lines on standard input, each is answered by a line; the end of input is the end.  Who dials is
asked of the system: a connection belongs to the process that was started with a node's home.
"""

import asyncio
import os
import random
import socket
import struct
import sys
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from tests.support.proxy import Command, Know, Lay, Line, Open, Pair, Passage, Reset, Vanish, Way

LOOPBACK: Final = "127.0.0.1"
CHUNK_BYTES: Final = 65_536
CHUNKS_MAX: Final = 64
"""What one direction of a connection holds back; then its sender's own buffers fill."""
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
_ABORT: Final = struct.pack("ii", 1, 0)
"""SO_LINGER that makes closing a reset."""


@dataclass(slots=True)
class Schedule:
    """When bytes that come in at one end of a line leave it at the other.  Times in seconds."""

    chance: random.Random
    _free: float = 0.0
    """When the line has room for the next byte."""
    _last: float = 0.0

    def due(self, line: Line, size: int, now: float) -> float:
        """For `size` bytes that arrive now; never earlier than for those before them."""
        self._free = max(self._free, now) + (size / line.bytes_per_s if line.bytes_per_s else 0.0)
        wait_ms = line.delay_ms + self.chance.random() * line.jitter_ms
        self._last = max(self._last, self._free + wait_ms / 1000)
        return self._last


class Conversation:
    """One connection through the proxy: `source` dialled `target`."""

    def __init__(self, lines: "Lines", source: int, target: int) -> None:
        self.source, self.target = source, target
        self.lossy = False
        """Whether bytes are missing in the middle, so that it can never go on."""
        self._vanished = False
        self._lines = lines
        self._ends: dict[int, Stream] = {}
        self._work: list[asyncio.Task[None]] = []

    def among(self, pairs: Iterable[Pair]) -> bool:
        """Whether one of these pairs is its own, in either direction."""
        return any(pair in {(self.source, self.target), (self.target, self.source)} for pair in pairs)

    async def run(self, near: Stream, port: int) -> None:
        """Carry bytes both ways until both ends have closed, or one of them breaks."""
        self._ends[self.source] = near
        try:
            far = await asyncio.open_connection(LOOPBACK, port)
        except OSError:
            self.reset()
            return
        if self.source not in self._ends:  # reset meanwhile
            far[1].transport.abort()
            return
        self._ends[self.target] = far
        there, back = (self.source, self.target), (self.target, self.source)
        works = (*self._works(there, near[0], far[1]), *self._works(back, far[0], near[1]))
        self._work = [asyncio.create_task(work) for work in works]
        await asyncio.wait(self._work, return_when=asyncio.FIRST_EXCEPTION)
        if any(not work.done() or work.cancelled() or work.exception() is not None for work in self._work):
            self._stop()
            await self._end_broken()
        for _, writer in self._ends.values():
            writer.close()

    async def _end_broken(self) -> None:
        if not self._vanished:
            self.reset()
        for reader, _ in list(self._ends.values()):
            with suppress(OSError):
                while await reader.read(CHUNK_BYTES):
                    pass  # it talks to nobody, until it notices

    def _works(
        self, pair: Pair, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[Coroutine[None, None, None], ...]:
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(CHUNKS_MAX)
        return self._take(pair, reader, queue), self._give(pair, queue, writer)

    async def _take(self, pair: Pair, reader: asyncio.StreamReader, queue: asyncio.Queue[tuple[float, bytes]]) -> None:
        loop, schedule = asyncio.get_running_loop(), Schedule(self._lines.chance(pair))
        while chunk := await reader.read(CHUNK_BYTES):
            line = self._lines.at(pair)
            if line.passage is Passage.LOST:
                self.lossy = True
            else:
                await queue.put((schedule.due(line, len(chunk), loop.time()), chunk))
        await queue.put((schedule.due(self._lines.at(pair), 0, loop.time()), b""))

    async def _give(self, pair: Pair, queue: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
        while True:
            due, chunk = await queue.get()
            await _at(due)
            while self._lines.at(pair).passage is not Passage.OPEN:
                await self._lines.changed()
            if not chunk:
                break
            writer.write(chunk)
            await writer.drain()
        with suppress(OSError):
            writer.write_eof()

    def reset(self) -> None:
        """End both sides at once, as if a router had answered for them."""
        self._stop()
        for end in list(self._ends):
            self._abort(end)

    def vanish(self, gone: int) -> None:
        """End the side of `gone` only; the other one is left with nobody."""
        self._vanished = True
        self._stop()
        self._abort(gone)

    def _abort(self, node: int) -> None:
        _, writer = self._ends.pop(node, (None, None))
        if writer is not None:
            with suppress(OSError):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
            writer.transport.abort()

    def _stop(self) -> None:
        for work in self._work:
            work.cancel()


@dataclass(slots=True)
class Lines:
    """All lines, and the connections that run over them."""

    seed: int = 0
    homes: dict[str, int] = field(default_factory=dict)
    conversations: list[Conversation] = field(default_factory=list)
    _lines: dict[Pair, Line] = field(default_factory=dict)
    _change: asyncio.Event = field(default_factory=asyncio.Event)
    _servers: list[asyncio.Server] = field(default_factory=list)

    def at(self, pair: Pair) -> Line:
        """How that line is now."""
        return self._lines.get(pair, Line())

    def chance(self, pair: Pair) -> random.Random:
        """The jitter of a connection's direction."""
        return random.Random(f"{self.seed}/{pair[0]}/{pair[1]}")

    async def changed(self) -> None:
        """Until some line is laid anew."""
        await self._change.wait()

    async def do(self, command: Command) -> None:
        """Carry out one command."""
        match command:
            case Open(ways=ways, seed=seed):
                self.seed = seed
                for way in ways:
                    await self._stand(way)
            case Know(home=home, node=node):
                self.homes[home] = node
            case Lay(line=line, pairs=pairs):
                self._lay(line, pairs)
            case Reset(pairs=pairs):
                for conversation in self._between(pairs):
                    conversation.reset()
            case Vanish(pairs=pairs):
                for left, gone in pairs:
                    for conversation in self._between([(left, gone)]):
                        conversation.vanish(gone)

    def _between(self, pairs: Iterable[Pair]) -> list[Conversation]:
        return [conversation for conversation in self.conversations if conversation.among(pairs)]

    def _lay(self, line: Line, pairs: Iterable[Pair]) -> None:
        self._lines.update(dict.fromkeys(pairs, line))
        for conversation in self._between(pairs):
            if line.passage is Passage.CUT or (conversation.lossy and line.passage is not Passage.LOST):
                conversation.reset()
        self._change.set()
        self._change = asyncio.Event()

    async def _stand(self, way: Way) -> None:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            source = caller(self.homes, writer.get_extra_info("peername")[1], way.public)
            conversation = Conversation(self, source, way.node)
            self.conversations.append(conversation)
            try:
                pairs = ((source, way.node), (way.node, source))
                if all(self.at(pair).passage is not Passage.CUT for pair in pairs):
                    await conversation.run((reader, writer), way.hidden)
                else:
                    writer.transport.abort()
            finally:
                self.conversations.remove(conversation)

        self._servers.append(await asyncio.start_server(accept, LOOPBACK, way.public))


NOBODY: Final = -1
"""Stands for a dialler that is none of the nodes."""


def caller(homes: dict[str, int], port: int, server_port: int) -> int:
    """Which node's process holds the connection from `port`; NOBODY if none does."""
    wanted = f"socket:[{_inode(port, server_port)}]"
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
                node = next((homes[word] for word in words if word in homes), NOBODY)
                if node != NOBODY and any(str(held.readlink()) == wanted for held in (entry / "fd").iterdir()):
                    return node
    return NOBODY


def _inode(port: int, server_port: int) -> str:
    """The kernel's number of the dialler's end of a connection (proc(5), /proc/net/tcp)."""
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(f":{port:04X}") and fields[2].endswith(f":{server_port:04X}"):
            return fields[9]
    return ""


async def _at(due: float) -> None:
    """Until the loop's clock shows `due`."""
    loop = asyncio.get_running_loop()
    if due > loop.time():
        reached: asyncio.Future[None] = loop.create_future()
        timer = loop.call_at(due, reached.set_result, None)
        try:
            await reached
        finally:
            timer.cancel()


async def main() -> None:
    """Serve commands until the input ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    lines, decode = Lines(), msgspec.json.Decoder(Command).decode
    while raw := await reader.readline():
        try:
            await lines.do(decode(raw))
        except OSError as error:
            print(error, flush=True)
        else:
            print("done", flush=True)
    os._exit(0)  # connections need no goodbye here


if __name__ == "__main__":
    asyncio.run(main())
