"""`GET /ws`: JSON-RPC over a WebSocket, the same calls and answers as `POST /rpc`, and calls that only a socket has.

One text frame is one request or one batch.  Up to `CALLS_AT_ONCE` of them are answered side by side, so a `tx_wait`
holds up nobody; beyond that no frame is read.  A client that reads too slowly, or is idle too long, is disconnected.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from aiohttp import WSCloseCode, WSMsgType, web

from cccnode.config import RpcSection
from cccnode.rpc.gate import Bucket
from cccnode.rpc.values import Json
from cccnode.types import errors
from cccnode.types.errors import fault

SOCKET_PATH: Final = "/ws"
CALLS_AT_ONCE: Final = 16
"""Requests of one connection that are answered at the same time."""
_PING_S: Final = 20.0
"""How often a silent client is asked whether it is there."""
_SEND_TIMEOUT_S: Final = 20.0
"""A client that takes nothing for so long has gone."""


class Connection:
    """One client that stays."""

    def __init__(self, socket: web.WebSocketResponse, bucket: Bucket | None = None) -> None:
        """Wrap an open socket of the client with this bucket."""
        self._socket = socket
        self.bucket = bucket
        """What it may take of the node; None: nothing is counted."""
        self.on_close: list[Callable[[], None]] = []
        """Called once each when the client has gone."""

    @property
    def closed(self) -> bool:
        """Whether the client has gone."""
        return self._socket.closed

    async def send(self, raw: bytes) -> None:
        """Send one JSON text and wait until the client takes it.  Raises OSError when it does not."""
        try:
            async with asyncio.timeout(_SEND_TIMEOUT_S):
                await self._socket.send_str(raw.decode())
        except TimeoutError as error:
            await self.close(b"reads too slowly")
            raise ConnectionResetError("the client reads too slowly") from error

    async def close(self, why: bytes) -> None:
        """Say goodbye."""
        try:
            async with asyncio.timeout(1):
                await self._socket.close(code=WSCloseCode.POLICY_VIOLATION, message=why)
        except TimeoutError:
            return


SocketCall = Callable[[Connection, Json], Awaitable[Json]]
"""A method that only makes sense on a socket: gets its parameters in JSON form."""


class Answerer(Protocol):
    """Answers one JSON-RPC text."""

    async def answer(self, body: bytes, connection: Connection) -> bytes | None:
        """The answer; None when there is nothing to say."""


class Sockets:
    """All open sockets of the public port."""

    def __init__(self, answerer: Answerer, limits: RpcSection) -> None:
        """No client yet."""
        self._answerer = answerer
        self._limits = limits
        self.open: set[Connection] = set()
        """Clients now."""

    async def serve(self, request: web.BaseRequest, bucket: Bucket | None = None) -> web.StreamResponse:
        """Talk with one client until it goes.

        Raises:
            Fault: `rpc/BUSY` or `rpc/HTTP`.
        """
        if len(self.open) >= self._limits.sockets_max:
            raise fault(errors.RPC_BUSY, sockets=len(self.open))
        socket = web.WebSocketResponse(
            heartbeat=_PING_S, max_msg_size=self._limits.socket_bytes_max, compress=False, timeout=1.0
        )
        if not socket.can_prepare(request):
            raise fault(errors.RPC_HTTP, usage="GET /ws is for WebSocket clients")
        await socket.prepare(request)
        connection = Connection(socket, bucket)
        self.open.add(connection)
        try:
            await self._converse(socket, connection)
        finally:
            self.open.discard(connection)
            for callback in connection.on_close:
                callback()
        return socket

    async def stop(self) -> None:
        """Disconnect everybody."""
        await asyncio.gather(*(connection.close(b"the node stops") for connection in tuple(self.open)))

    async def _converse(self, socket: web.WebSocketResponse, connection: Connection) -> None:
        free = asyncio.Semaphore(CALLS_AT_ONCE)
        tasks: set[asyncio.Task[None]] = set()

        def done(task: asyncio.Task[None]) -> None:
            tasks.discard(task)
            free.release()

        try:
            while (text := await self._next(socket, connection)) is not None:
                await free.acquire()
                task = asyncio.create_task(self._answer(connection, text))
                tasks.add(task)
                task.add_done_callback(done)
        finally:  # it has gone: what it asked need not be answered
            left = tuple(tasks)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def _next(self, socket: web.WebSocketResponse, connection: Connection) -> bytes | None:
        """The next request; None: the client has gone or has to go."""
        message = None
        while message is None:
            try:
                message = await socket.receive(timeout=self._limits.socket_idle_ms / 1000)
            except TimeoutError:
                if not connection.on_close:  # otherwise it listens to something: that is why it is silent
                    await connection.close(b"idle")
                    return None
        if message.type is WSMsgType.TEXT:
            return bytes(message.data, "utf-8")
        if message.type is WSMsgType.BINARY:
            await connection.close(b"send text frames")
        return None

    async def _answer(self, connection: Connection, text: bytes) -> None:
        try:
            answer = await self._answerer.answer(text, connection)
            if answer is not None:
                await connection.send(answer)
        except OSError:
            return  # it went away before it had its answer
