"""Events of a node, each exactly once: a stream that comes back by itself and goes on behind the last one read."""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import msgspec

from cccnode.client.failures import ClientError, error_from, local_error
from cccnode.types import errors

SILENCE_S: Final = 60.0
"""The node gives a sign of life every 20 s: a stream that is silent for so long is dead."""
MESSAGE_BYTES_MAX: Final = 1024 * 1024
PAUSE_S_MIN: Final = 0.05
PAUSE_S_MAX: Final = 5.0
_HTTP_OK: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that an executed block made known."""

    cursor: str
    """Its place; to go on behind it, also after a restart of your program."""
    height: int
    tx_id: str | None
    """None: a rule of the block did it, not a transaction."""
    module: str
    name: str
    fields: tuple[Any, ...]
    """As the RPC shows them: accounts are bech32m, numbers are decimal text, bytes are 0x-hexadecimal."""


class EventStream:
    """Reads `GET /v1/events` of one node."""

    def __init__(
        self,
        url: str,
        session: Callable[[], aiohttp.ClientSession],
        *,
        after: str | None,
        filters: dict[str, str],
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Events behind `after` (None: from now on) that fit `filters`: module, name, account."""
        self._url, self._session, self._filters, self._pause = url, session, filters, pause
        self.cursor = after
        """Everything up to here was read."""
        self.connections = 0
        """Times that the stream was opened."""

    async def read(self) -> AsyncGenerator[Event, None]:
        """The events, for ever.

        Raises:
            ClientError: `events/LAGGED` when events behind the cursor are no longer kept, or the node's refusal.
        """
        seconds = PAUSE_S_MIN
        while True:
            try:
                async with aclosing(self._once()) as events:
                    async for event in events:
                        seconds = PAUSE_S_MIN
                        yield event
            except ClientError as error:
                if not error.retryable:
                    raise
            except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
                pass  # the cursor says where to go on
            await self._pause(seconds * random.uniform(0.5, 1))  # noqa: S311 - spreads load, guards nothing
            seconds = min(2 * seconds, PAUSE_S_MAX)

    async def _once(self) -> AsyncGenerator[Event, None]:
        """One connection."""
        self.connections += 1
        headers = {"Accept": "text/event-stream", "Accept-Encoding": "identity"}
        query = self._filters if self.cursor is None else {**self._filters, "after": self.cursor}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=SILENCE_S, sock_read=SILENCE_S)
        async with self._session().get(self._url, params=query, headers=headers, timeout=timeout) as response:
            if response.status != _HTTP_OK:
                raise _refusal(await response.content.read(MESSAGE_BYTES_MAX), self._url, response.status)
            async for name, data, place in _messages(response.content):
                if name == "lagged":
                    self._lagged(error_from(msgspec.json.decode(data)))
                    return
                if data:
                    event = _event(data)
                    self.cursor = event.cursor
                    yield event
                elif place:
                    self.cursor = place

    def _lagged(self, error: ClientError) -> None:
        """The node closed the stream: because it was read too slowly, or because something is gone for good."""
        if self.cursor is None or _place(str(error.details.get("oldest", "0"))) > _place(self.cursor):
            raise error


async def _messages(content: aiohttp.StreamReader) -> AsyncGenerator[tuple[str, bytes, str], None]:
    """(event, data, id) of every whole message of a stream; what is cut off comes again."""
    rest = b""
    async for chunk in content.iter_any():
        *whole, rest = (rest + chunk).split(b"\n\n")
        if len(rest) > MESSAGE_BYTES_MAX:
            raise ValueError(f"a message is longer than {MESSAGE_BYTES_MAX} bytes")
        for message in whole:
            fields = dict(line.partition(b": ")[::2] for line in message.split(b"\n"))
            yield fields.get(b"event", b"").decode(), fields.get(b"data", b""), fields.get(b"id", b"").decode()


def _event(data: bytes) -> Event:
    shown = msgspec.json.decode(data)
    return Event(
        cursor=shown["cursor"],
        height=int(shown["height"]),
        tx_id=shown["tx_id"],
        module=shown["module"],
        name=shown["name"],
        fields=tuple(shown["fields"]),
    )


def _place(cursor: str) -> tuple[int, ...]:
    """Cursors in their order; the end of a block is behind all of it."""
    height, *rest = (int(part) for part in cursor.split("/"))
    return (height, *rest) if rest else (height, 2**63)


def _refusal(raw: bytes, url: str, http_status: int) -> ClientError:
    """Why there is no stream: JSON-RPC's envelope, or a problem document with the same names."""
    try:
        answer = msgspec.json.decode(raw)
    except msgspec.MsgspecError:
        answer = None
    if isinstance(answer, dict) and "error" in answer:
        return error_from(answer["error"])
    if isinstance(answer, dict) and "name" in answer:
        return error_from({"code": answer.get("code"), "message": answer.get("title", ""), "data": answer})
    return local_error(errors.BAD_ANSWER, url=url, http_status=http_status)
