"""Frames: how messages of several channels share one byte stream, the urgent ones never behind the bulky ones.

    frame = length u32 big-endian | channel u8 | payload            (length counts the payload only)

A payload above `FRAGMENT_BYTES` travels as several frames of its channel; all but the last carry `MORE` (0x80) in the
channel byte.  So a vote waits at most for one fragment of a block, however slow the line is.  What a payload means is
its channel's business.
"""

from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import Final

from cccnode.types.errors import NET_MALFORMED, NET_OVERSIZE, fault
from cccnode.types.limits import FRAME_BYTES_MAX

_HEADER: Final = Struct(">IB")
HEADER_BYTES: Final = _HEADER.size
MORE: Final = 0x80
"""Flag in the channel byte: the payload goes on in the next frame of this channel."""
FRAGMENT_BYTES: Final = 64 * 1024
"""Most payload in one frame: 50 ms of a 10 Mbit/s line."""

_KIB: Final = 1024
_MIB: Final = 1024 * 1024


class Channel(IntEnum):
    """The kinds of traffic on one link, in order of urgency: what stands first is written first."""

    LINK = 0
    """Handshake, keepalive, flow control: the network's own, never shown to the driver."""
    CONSENSUS = 1
    CONTROL = 2
    """Announcements and addresses (gossip)."""
    HAVE = 3
    BATCH = 4
    BLOCK = 5
    """Final blocks, asked for by height."""
    TX = 6
    """Transactions on their way to a validator."""
    SNAPSHOT = 7
    """Pieces of snapshots, asked for one by one: whoever joins can wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelLimit:
    """Bounds of one channel on one link."""

    payload_bytes: int
    """Largest payload; a peer that sends a larger one is cut off."""
    queue_bytes: int
    """What may wait to be sent; beyond it `send` refuses, so a slow peer costs bounded memory."""


LIMITS: Final[tuple[ChannelLimit, ...]] = (
    ChannelLimit(payload_bytes=8 * _KIB, queue_bytes=64 * _KIB),
    # 64 certificates of 128 validators, or a proposal with 4,096 batch ids and 16 certificates.
    ChannelLimit(payload_bytes=_MIB, queue_bytes=4 * _MIB),
    ChannelLimit(payload_bytes=16 * _KIB, queue_bytes=256 * _KIB),
    ChannelLimit(payload_bytes=64 * _KIB, queue_bytes=_MIB),
    # One batch of 256 KiB of transactions with its envelope.
    ChannelLimit(payload_bytes=320 * _KIB, queue_bytes=8 * _MIB),
    ChannelLimit(payload_bytes=FRAME_BYTES_MAX, queue_bytes=2 * FRAME_BYTES_MAX),
    ChannelLimit(payload_bytes=320 * _KIB, queue_bytes=4 * _MIB),
    ChannelLimit(payload_bytes=FRAME_BYTES_MAX, queue_bytes=FRAME_BYTES_MAX),
)
"""By channel number."""

_CHANNELS: Final = tuple(Channel)
_FRAME_BYTES: Final = HEADER_BYTES + FRAGMENT_BYTES
_BUFFER_BYTES: Final = 2 * _FRAME_BYTES
"""A frame that is not complete yet, and room to receive well."""


def frames(channel: Channel, payload: bytes) -> list[bytes]:
    """The frames that carry `payload`; nearly always one.

    Raises:
        Fault: NET_OVERSIZE, the payload is larger than its channel allows.
    """
    size = len(payload)
    if size > LIMITS[channel].payload_bytes:
        raise fault(NET_OVERSIZE, channel=channel.name, bytes=size, limit=LIMITS[channel].payload_bytes)
    if size <= FRAGMENT_BYTES:
        return [_HEADER.pack(size, channel) + payload]
    view = memoryview(payload)
    last = (size - 1) // FRAGMENT_BYTES * FRAGMENT_BYTES
    head = _HEADER.pack(FRAGMENT_BYTES, channel | MORE)
    pieces = [head + view[start : start + FRAGMENT_BYTES] for start in range(0, last, FRAGMENT_BYTES)]
    pieces.append(_HEADER.pack(size - last, channel) + view[last:])
    return pieces


class Splitter:
    """Cuts a received byte stream into (channel, payload).

    Bytes are received straight into its buffer (`room`, then `filled`): a payload is copied once.  It never holds more
    than that buffer and one unfinished payload a channel.
    """

    __slots__ = ("_begin", "_buffer", "_end", "_parts", "_sizes", "_view")

    def __init__(self) -> None:
        """A splitter at the start of a stream."""
        self._buffer = bytearray(_BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        self._begin = 0
        self._end = 0
        """What lies between is received and not cut yet; less than one frame between two calls."""
        self._parts: dict[int, list[bytes]] = {}
        self._sizes: dict[int, int] = {}

    def room(self) -> memoryview:
        """Where the next bytes of the stream belong; never empty."""
        return self._view[self._end :]

    def filled(self, count: int) -> list[tuple[Channel, bytes]]:
        """`count` bytes were put into `room()`; return the payloads they complete, in order.

        Raises:
            Fault: NET_OVERSIZE or NET_MALFORMED; the stream cannot be read any further.
        """
        self._end += count
        done: list[tuple[Channel, bytes]] = []
        self._cut(done)
        if self._begin == self._end:
            self._begin = self._end = 0
        elif self._end > _BUFFER_BYTES - _FRAME_BYTES:
            rest = self._end - self._begin
            self._buffer[:rest] = self._buffer[self._begin : self._end]
            self._begin, self._end = 0, rest
        return done

    def _cut(self, done: list[tuple[Channel, bytes]]) -> None:
        """Append the complete payloads of the buffer to `done`."""
        at, end, view, buffer = self._begin, self._end, self._view, self._buffer
        unpack = _HEADER.unpack_from
        while end - at >= HEADER_BYTES:
            size, code = unpack(buffer, at)
            self._check(size, code)
            stop = at + HEADER_BYTES + size
            if stop > end:
                break
            piece = bytes(view[at + HEADER_BYTES : stop])
            at = stop
            if code & MORE or code in self._parts:
                self._join(code, piece, done)
            else:
                done.append((_CHANNELS[code], piece))
        self._begin = at

    def _check(self, size: int, code: int) -> None:
        """Refuse a frame by its header, before any of its payload is kept."""
        number = code & ~MORE
        if number >= len(_CHANNELS):
            raise fault(NET_MALFORMED, why="unknown channel", channel=number)
        if code & MORE and size != FRAGMENT_BYTES:
            raise fault(NET_MALFORMED, why="a fragment that is not full", channel=_CHANNELS[number].name, bytes=size)
        total = size + self._sizes.get(number, 0)
        if size > FRAGMENT_BYTES or total > LIMITS[number].payload_bytes:
            raise fault(NET_OVERSIZE, channel=_CHANNELS[number].name, bytes=total, limit=LIMITS[number].payload_bytes)

    def _join(self, code: int, piece: bytes, done: list[tuple[Channel, bytes]]) -> None:
        number = code & ~MORE
        parts = self._parts.setdefault(number, [])
        parts.append(piece)
        if code & MORE:
            self._sizes[number] = self._sizes.get(number, 0) + len(piece)
            return
        if not piece:
            raise fault(NET_MALFORMED, why="an empty last fragment", channel=_CHANNELS[number].name)
        del self._parts[number], self._sizes[number]
        done.append((_CHANNELS[number], b"".join(parts)))
