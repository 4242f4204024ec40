"""Events as they happen: `GET /v1/events` as a stream (SSE) or a page, and subscriptions on a WebSocket.

Each reader is a task with its own place in the log (`Follower`): it reads, sends, and waits until the client took what
was sent.  There is no queue that could grow, and none that could overflow: a slow client falls behind in the log.  One
that takes nothing for `STALL_S` is told `lagged`, and its connection closes; it resumes behind what it has.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, Final, Protocol

import msgspec
from aiohttp import web
from msgspec import Meta
from prometheus_client import Gauge

from cccnode.rpc import envelopes
from cccnode.rpc.events import Cursor, EventLog, EventsFrom, EventsPage, Follower, Page, read_events
from cccnode.rpc.values import Json, ValueFault, reader
from cccnode.types import errors
from cccnode.types.errors import Fault, fault

EVENTS_PATH: Final = "/v1/events"
STREAM_TYPE: Final = "text/event-stream"
PING_S: Final = 20.0
"""A reader for whom nothing happened hears how far the log is, so that it resumes there and notices a dead line."""
STALL_S: Final = 20.0
"""A reader that takes nothing for so long has gone, or cannot follow."""
LINGER_S: Final = 5.0
"""What was sent last may still arrive for so long."""
SEND_BUFFER_BYTES: Final = 256 * 1024
"""What the system may hold for one reader."""
SUBSCRIPTIONS_MAX: Final = 16
"""Subscriptions of one connection."""
PIECE_EVENTS: Final = 200
"""Events of one write or one notification."""
_NUMBERS: Final = frozenset({"limit", "wait_ms"})
_DIGITS_MAX: Final = 9


class Unsubscribe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which subscription ends: the text that `events_subscribe` gave."""

    subscription: Annotated[str, Meta(max_length=20)]


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketMethod:
    """One row of the methods that only a WebSocket has, for the documents."""

    name: str
    params: type[msgspec.Struct]
    en: str


SOCKET_METHODS: Final = (
    SocketMethod(
        name="events_subscribe",
        params=EventsFrom,
        en="Notifications `events` of what follows a cursor, or happens from now on; `events_lagged` ends them.",
    ),
    SocketMethod(name="events_unsubscribe", params=Unsubscribe, en="No more of them."),
)


class Connection(Protocol):
    """A WebSocket client."""

    on_close: list[Callable[[], None]]

    async def send(self, raw: bytes) -> None:
        """Send one text and wait until the client takes it.  Raises OSError when it does not."""


class EventStreams:
    """Everybody who reads events over HTTP."""

    def __init__(
        self,
        log: EventLog,
        *,
        streams_max: int,
        gauge: Gauge,
        headers: Callable[[web.BaseRequest], Mapping[str, str]],
        ping_s: float = PING_S,
        stall_s: float = STALL_S,
    ) -> None:
        """Nobody reads; at most `streams_max` will at the same time, and `gauge` shows how many do.

        `headers` are what the answer to a request has besides.
        """
        self._log, self._streams_max, self._gauge, self._headers = log, streams_max, gauge, headers
        self._ping_s, self._stall_s = ping_s, stall_s
        self.open = 0
        """Streams and long polls now."""

    async def get(self, request: web.BaseRequest) -> web.StreamResponse:
        """`GET /v1/events`: a stream where the client accepts one, else a page.

        Raises:
            Fault: `rpc/BUSY`, `rpc/INVALID_PARAMS` or `events/LAGGED`.
        """
        streams = STREAM_TYPE in request.headers.get("Accept", "")
        params = _parameters(request, EventsFrom if streams else EventsPage)
        if self.open >= self._streams_max:
            raise fault(errors.RPC_BUSY, streams=self.open)
        self.open += 1
        self._gauge.set(self.open)
        try:
            if isinstance(params, EventsPage):
                page = await read_events(self._log, params, params.wait_ms)
                return web.Response(body=envelopes.encode(page), content_type="application/json")
            return await self._stream(request, params)
        finally:
            self.open -= 1
            self._gauge.set(self.open)

    async def _stream(self, request: web.BaseRequest, wanted: EventsFrom) -> web.StreamResponse:
        always = {"Content-Type": STREAM_TYPE, "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        response = web.StreamResponse(headers={**always, **self._headers(request)})
        _bound_buffer(request)
        follower = Follower(self._log, wanted)
        with suppress(OSError):  # it went away
            await response.prepare(request)
            sent = follower.at
            try:
                await self._write(response, _sign_of_life(sent))
                while True:
                    page = await follower.next(timeout_ms=int(self._ping_s * 1000), limit=PIECE_EVENTS)
                    await self._write(response, _sse(page))
                    sent = page.next
            except Fault as gone:
                await self._write(response, _sse_error(gone))
            except TimeoutError:
                lagged = fault(errors.EVENTS_LAGGED, after=str(sent), oldest=str(self._log.oldest()))
                await _give_up(request, response, lagged)
        return response

    async def _write(self, response: web.StreamResponse, data: bytes) -> None:
        async with asyncio.timeout(self._stall_s):
            await response.write(data)


class SocketEvents:
    """Subscriptions of WebSocket clients: each is a task that sends notifications."""

    def __init__(self, log: EventLog, *, ping_s: float = PING_S) -> None:
        """Nobody subscribed."""
        self._log, self._ping_s = log, ping_s
        self._tasks: dict[Connection, dict[str, asyncio.Task[None]]] = {}
        self._hangups: dict[Connection, Callable[[], None]] = {}
        self._given = 0

    @property
    def calls(self) -> Mapping[str, Callable[[Any, Json], Awaitable[Json]]]:
        """The methods that only a socket has."""
        return {"events_subscribe": self.subscribe, "events_unsubscribe": self.unsubscribe}

    async def subscribe(self, connection: Connection, params: Json) -> Json:
        """Tell a client what follows its cursor, or what happens from now on.

        Raises:
            Fault: `rpc/BUSY` or `rpc/INVALID_PARAMS`.
        """
        follower = Follower(self._log, _checked(EventsFrom, params))
        running = self._tasks.get(connection, {})
        if len(running) >= SUBSCRIPTIONS_MAX:
            raise fault(errors.RPC_BUSY, subscriptions=len(running))
        if connection not in self._tasks:
            self._tasks[connection] = running
            self._hangups[connection] = lambda: self._gone(connection)
            connection.on_close.append(self._hangups[connection])
        self._given += 1
        name, begun = str(self._given), str(follower.at)
        task = asyncio.get_running_loop().create_task(self._tell(connection, name, follower))
        running[name] = task
        task.add_done_callback(lambda _: self._ended(connection, name))
        return {"subscription": name, "after": begun}

    async def unsubscribe(self, connection: Connection, params: Json) -> Json:
        """End a subscription; whether there was one.

        Raises:
            Fault: `rpc/INVALID_PARAMS`.
        """
        name = _checked(Unsubscribe, params).subscription
        task = self._tasks.get(connection, {}).pop(name, None)
        if task is not None:
            task.cancel()
        return {"ended": task is not None}

    async def _tell(self, connection: Connection, name: str, follower: Follower) -> None:
        with suppress(OSError):  # it went away
            try:
                while True:
                    page = await follower.next(timeout_ms=int(self._ping_s * 1000), limit=PIECE_EVENTS)
                    await connection.send(_notification("events", {"subscription": name, **page.json()}))
            except Fault as lagged:
                told = {"subscription": name, "error": envelopes.error_object(lagged)}
                await connection.send(_notification("events_lagged", told))

    def _ended(self, connection: Connection, name: str) -> None:
        running = self._tasks.get(connection, {})
        running.pop(name, None)
        if connection in self._tasks and not running:  # it listens no more
            del self._tasks[connection]
            connection.on_close.remove(self._hangups.pop(connection))

    def _gone(self, connection: Connection) -> None:
        del self._hangups[connection]
        for task in self._tasks.pop(connection).values():
            task.cancel()


def _parameters(request: web.BaseRequest, kind: type[EventsFrom]) -> EventsFrom:
    """What the query asks; a client that comes back says with `Last-Event-ID` where it was."""
    given: dict[str, Json] = {}
    for name, text in request.query.items():
        number = name in _NUMBERS and text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX
        if name in given:
            raise fault(errors.RPC_INVALID_PARAMS, param=name[:64], why="is given twice")
        given[name] = int(text) if number else text
    if kind is EventsFrom and (last := request.headers.get("Last-Event-ID")):
        given["after"] = last
    params: EventsFrom = _checked(kind, given)
    return params


def _checked(kind: Any, given: Json) -> Any:
    """Typed parameters.  Raises `rpc/INVALID_PARAMS`."""
    try:
        return reader(kind)(given)
    except ValueFault as error:
        raise fault(errors.RPC_INVALID_PARAMS, param=error.where, why=error.why) from error


def _bound_buffer(request: web.BaseRequest) -> None:
    """The memory that the system spends on one reader has a limit of ours, not the system's largest."""
    transport = request.transport
    link = None if transport is None else transport.get_extra_info("socket")
    if link is not None:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)


async def _give_up(request: web.BaseRequest, response: web.StreamResponse, lagged: Fault) -> None:
    """Say behind what it has not taken yet that this was all; then the link goes."""
    transport = request.transport
    with suppress(TimeoutError, OSError):
        async with asyncio.timeout(0):  # into the buffer; nobody waits until it is taken
            await response.write(_sse_error(lagged))
    if transport is not None:
        transport.close()
        asyncio.get_running_loop().call_later(LINGER_S, transport.abort)


def _sse(page: Page) -> bytes:
    """One `id` and `data` an event; at the end, and where there is none, how far the log was read."""
    pieces = [b"id: %s\ndata: %s\n\n" % (str(row.cursor).encode(), bytes(row.json)) for row in page.rows]
    if not page.rows or page.rows[-1].cursor != page.next:
        pieces.append(_sign_of_life(page.next))
    return b"".join(pieces)


def _sign_of_life(place: Cursor) -> bytes:
    """An `id` without data: clients remember it and hear nothing."""
    return b": here\nid: %s\n\n" % str(place).encode()


def _sse_error(error: Fault) -> bytes:
    return b"event: lagged\ndata: %s\n\n" % envelopes.encode(envelopes.error_object(error))


def _notification(method: str, params: Json) -> bytes:
    return envelopes.encode({"jsonrpc": "2.0", "method": method, "params": params})
