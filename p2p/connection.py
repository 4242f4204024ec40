"""One TLS connection as frames: queues per channel in order of urgency, bounded writing, and holding back on request.

Frames sent within one turn of the loop leave in one write.  A peer that reads slowly fills its own queues and nobody
else's: above the high-water mark of the transport nothing more is handed down, and `send` says no when a queue is full.
"""

import asyncio
import socket
import ssl
from collections import deque
from typing import Final, Protocol, cast

from cccnode.types.errors import NET_CLOSED, Fault, fault
from p2p.frames import LIMITS, Channel, Splitter, frames
from p2p.handshake import reject
from p2p.messages import LinkMessage, Pause, Reject, Resume, write
from p2p.peers import Direction, Traffic

WRITE_BYTES: Final = 128 * 1024
"""Joined into one write at most; also the high-water mark below which the next is made."""
UNSENT_BYTES: Final = 128 * 1024
"""Bytes the kernel may hold unsent (TCP_NOTSENT_LOWAT), so that urgent frames do not queue behind megabytes there."""
HELD_BYTES: Final = 8 * 1024 * 1024
"""Held back on one link before it is not read at all: more than an honest peer has under way when told to pause."""
FAREWELL_S: Final = 1.0
"""A last word has so long to leave."""


class Owner(Protocol):
    """Whoever decides what a link's frames mean."""

    def now_ms(self) -> int:
        """Monotonic time."""

    def link_opened(self, link: "Link") -> None:
        """TLS is done."""

    def link_frame(self, link: "Link", channel: Channel, payload: bytes) -> None:
        """A payload came in."""

    def link_closed(self, link: "Link", reason: Fault, error: Exception | None) -> None:
        """The connection is gone: for our `reason`, or as the transport's `error` says."""


class Link(asyncio.BufferedProtocol):
    """A connection of frames."""

    __slots__ = (
        "_farewell",
        "_held",
        "_held_bytes",
        "_loop",
        "_owner",
        "_paused",
        "_queues",
        "_reason",
        "_scheduled",
        "_splitter",
        "_stopped",
        "_transport",
        "_writable",
        "address",
        "blocked_ms",
        "closing",
        "direction",
        "heard_ms",
        "peer",
        "queued",
        "reading",
        "state",
        "traffic",
    )

    def __init__(self, owner: Owner, loop: asyncio.AbstractEventLoop, *, direction: Direction, address: str) -> None:
        self._owner = owner
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._splitter = Splitter()
        self._queues: tuple[deque[bytes], ...] = tuple(deque() for _ in Channel)
        self._scheduled = False
        self._writable = True
        self._stopped: set[Channel] = set()
        """Channels on which the peer asked us to wait."""
        self._held: dict[Channel, deque[bytes]] = {}
        """What came in on those channels and was not passed on yet."""
        self._paused: set[Channel] = set()
        """Channels that our user paused."""
        self._held_bytes = 0
        self._reason: Fault | None = None
        self._farewell: asyncio.TimerHandle | None = None
        self.direction = direction
        self.address = address
        self.peer: bytes | None = None
        """Its node key, once TLS has shown it."""
        self.state: object = None
        """The owner's own notes."""
        self.queued = [0] * len(Channel)
        """Bytes that wait, by channel."""
        self.traffic: tuple[Traffic, ...] = tuple(Traffic() for _ in Channel)
        self.heard_ms = 0
        """When anything last came in."""
        self.blocked_ms: int | None = None
        """Since when the peer takes nothing."""
        self.reading = True
        """False while we ourselves do not read, because held frames reached their limit."""
        self.closing = False

    # Being called by asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TLS is done."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=WRITE_BYTES, low=WRITE_BYTES // 4)
        plain = transport.get_extra_info("socket")
        if plain is not None and hasattr(socket, "TCP_NOTSENT_LOWAT"):
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
        self.heard_ms = self._owner.now_ms()
        self._owner.link_opened(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where received bytes go."""
        return self._splitter.room()

    def buffer_updated(self, nbytes: int) -> None:
        """Cut into payloads and pass them on, unless their channel is held."""
        if self.closing:
            return
        self.heard_ms = self._owner.now_ms()
        try:
            payloads = self._splitter.filled(nbytes)
        except Fault as reason:
            self.end(reason, farewell=True)
            return
        self._pass_on(payloads)

    def _pass_on(self, payloads: list[tuple[Channel, bytes]]) -> None:
        for channel, payload in payloads:
            if self.closing:
                return
            traffic = self.traffic[channel]
            traffic.frames_in += 1
            traffic.bytes_in += len(payload)
            if channel in self._held:
                self._hold(channel, payload)
            else:
                self._owner.link_frame(self, channel, payload)

    def eof_received(self) -> bool:
        """The peer is done, so are we."""
        return False

    def pause_writing(self) -> None:
        """The transport holds enough."""
        self._writable = False
        self.blocked_ms = self._owner.now_ms()

    def resume_writing(self) -> None:
        """The transport wants more."""
        self._writable = True
        self.blocked_ms = None
        self._schedule()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end, whoever wanted it."""
        self.closing = True
        if self._farewell is not None:
            self._farewell.cancel()
        for queue in self._queues:
            queue.clear()
        reason = self._reason or fault(NET_CLOSED, why=str(exc) if exc else "end of stream", address=self.address)
        self._owner.link_closed(self, reason, exc)

    # Sending

    def send(self, channel: Channel, payload: bytes) -> bool:
        """Queue a payload; False if the queue of its channel is full or the link is closing.

        Raises:
            Fault: NET_OVERSIZE, our own mistake.
        """
        return self.enqueue(channel, frames(channel, payload), len(payload))

    def enqueue(self, channel: Channel, pieces: list[bytes], size: int) -> bool:
        """Queue the frames of a payload of `size` bytes; see `send`."""
        if self.closing:
            return False
        traffic = self.traffic[channel]
        total = len(pieces[0]) if len(pieces) == 1 else sum(map(len, pieces))
        if self.queued[channel] + total > LIMITS[channel].queue_bytes:
            traffic.dropped += 1
            return False
        traffic.frames_out += 1
        traffic.bytes_out += size
        self._queues[channel].extend(pieces)
        self.queued[channel] += total
        self._schedule()
        return True

    def tell(self, message: LinkMessage) -> None:
        """Queue a LINK message.  If even that queue is full the peer takes nothing, and will be found dead."""
        self.send(Channel.LINK, write(message))

    def _schedule(self) -> None:
        if not self._scheduled and self._writable and not self.closing:
            self._scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Hand waiting frames to the transport, the urgent first, until it holds enough."""
        self._scheduled = False
        transport = self._transport
        if transport is None:
            return
        while self._writable and not self.closing:
            parts = self._take()
            if not parts:
                return
            transport.write(parts[0] if len(parts) == 1 else b"".join(parts))

    def _take(self) -> list[bytes]:
        parts: list[bytes] = []
        size = 0
        for channel, queue in enumerate(self._queues):
            if not queue or channel in self._stopped:
                continue
            before = size
            while queue and size < WRITE_BYTES:
                size += len(queue[0])
                parts.append(queue.popleft())
            self.queued[channel] -= size - before
            if size >= WRITE_BYTES:
                break
        return parts

    # Flow control by channel

    def stop_channel(self, channel: Channel) -> None:
        """The peer asked us to wait on this channel."""
        self._stopped.add(channel)

    def open_channel(self, channel: Channel) -> None:
        """The peer takes this channel again."""
        self._stopped.discard(channel)
        self._schedule()

    @property
    def stopped(self) -> tuple[Channel, ...]:
        """Channels on which the peer asked us to wait."""
        return tuple(sorted(self._stopped))

    def pause(self, channel: Channel) -> None:
        """Our user takes no more of this channel: tell the peer, and hold what still comes."""
        if channel not in self._paused and not self.closing:
            self._paused.add(channel)
            self._held.setdefault(channel, deque())
            self.tell(Pause(channel))

    def resume(self, channel: Channel) -> None:
        """Our user takes this channel again: held frames first, from the next turn of the loop on."""
        if channel in self._paused:
            self._paused.discard(channel)
            self._loop.call_soon(self._release, channel)
            self.tell(Resume(channel))

    def _hold(self, channel: Channel, payload: bytes) -> None:
        self._held[channel].append(payload)
        self._held_bytes += len(payload)
        if self._held_bytes > HELD_BYTES and self.reading and self._transport is not None:
            # An honest peer has stopped by now; this one only delays itself.
            self.reading = False
            self._transport.pause_reading()

    def _release(self, channel: Channel) -> None:
        """Pass held payloads on in order, until our user pauses the channel again."""
        held = self._held.get(channel)
        while held and channel not in self._paused and not self.closing:
            payload = held.popleft()
            self._held_bytes -= len(payload)
            self._owner.link_frame(self, channel, payload)
        if not held and channel not in self._paused:
            self._held.pop(channel, None)
        if self._held_bytes <= HELD_BYTES and not self.reading and not self.closing and self._transport is not None:
            self.reading = True
            self.heard_ms = self._owner.now_ms()
            self._transport.resume_reading()

    def hold(self) -> None:
        """Pass nothing on: it is not decided whether this link comes up."""
        for channel in Channel:
            self._held.setdefault(channel, deque())

    def go_on(self) -> None:
        """Pass on what was held, from the next turn of the loop on."""
        for channel in Channel:
            self._loop.call_soon(self._release, channel)

    # Ending

    def tls(self) -> ssl.SSLObject:
        """The TLS state, for the peer's certificate."""
        assert self._transport is not None, "opened before"
        return cast("ssl.SSLObject", self._transport.get_extra_info("ssl_object"))

    def end(self, reason: Fault, *, farewell: bool, last_word: Reject | None = None) -> None:
        """Close for `reason`; with `farewell` the peer is told (by `last_word`, or the reason itself)."""
        if self.closing:
            return
        self.closing = True
        self._reason = reason
        if self._transport is None:
            return
        if not farewell:
            self._transport.abort()
            return
        message = last_word or reject(reason)
        self._transport.write(b"".join(frames(Channel.LINK, write(message))))
        self._transport.close()
        self._farewell = self._loop.call_later(FAREWELL_S, self._transport.abort)
