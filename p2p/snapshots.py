"""Snapshots between nodes: what is said on the SNAPSHOT channel, and from whom which piece is fetched.

A piece is checked by whoever asked for it; here is decided whom to ask, how many at once, and what when no answer
comes.  A neighbour that gave a false piece is asked no more; the run goes on with the others.  Pure.
"""

from dataclasses import dataclass, field
from typing import Annotated, Final, TypeAlias

from msgspec import Meta

from cccnode.codec import DecodeError, Noun, decode, encode
from cccnode.types.errors import NET_MALFORMED, fault
from cccnode.types.scalars import U32, Hash, Height

OF_ONE_MAX: Final = 2
"""Pieces asked of one neighbour at once: while it reads one, another is on its way."""
AT_ONCE_MAX: Final = 8
"""Pieces asked for in all: what a joining node holds in memory of them."""
TIMEOUT_MS: Final = 60_000
"""Enough for all that is asked for at once over 2 Mbit/s."""
TIMEOUTS_MAX: Final = 2
"""A neighbour that let so many requests pass is asked no more."""
LATE_MAX: Final = 32
"""Requests remembered after they timed out: a late answer is no offence."""
PATH_MAX: Final = 64
SNAPSHOT_BYTES_MAX: Final = 7 << 20
"""A piece, or as much of a manifest as travels at once."""
MANIFEST_BYTES_MAX: Final = 64 << 20
"""Thousands of epochs with a hundred validators: each adds its last header, certificate and record."""

_Raw = Annotated[bytes, Meta(max_length=SNAPSHOT_BYTES_MAX)]


class ManifestRequest(Noun, tag=1, frozen=True, array_like=True, gc=False):
    """Which snapshot do you have?"""

    number: U32
    wanted: Height
    """This one if it is there, else the newest."""
    checkpoint: Height
    """Show that the block of this height leads to it; 0: no need."""
    offset: U32 = 0
    """From this byte of the manifest on."""


class ManifestReply(Noun, tag=2, frozen=True, array_like=True, gc=False):
    """Answer to the request of that number; an empty manifest means: none."""

    number: U32
    height: Height
    size: Annotated[int, Meta(ge=0, le=MANIFEST_BYTES_MAX)]
    """Bytes of the whole manifest."""
    manifest: _Raw
    """What of it begins at the offset that was asked for."""
    path: Annotated[tuple[Hash, ...], Meta(max_length=PATH_MAX)]
    """From the block id of the checkpoint to the root over the history of the snapshot's block (RFC 6962)."""


class PieceRequest(Noun, tag=3, frozen=True, array_like=True, gc=False):
    """Send me a piece of the snapshot of that height."""

    number: U32
    height: Height
    piece: U32


class PieceReply(Noun, tag=4, frozen=True, array_like=True, gc=False):
    """Answer to the request of that number; empty: it is not here any more."""

    number: U32
    piece: _Raw


SnapshotMessage: TypeAlias = ManifestRequest | ManifestReply | PieceRequest | PieceReply


def read_snapshot(payload: bytes) -> SnapshotMessage:
    """A SNAPSHOT message; raises Fault NET_MALFORMED."""
    try:
        message: SnapshotMessage = decode(SnapshotMessage, payload)  # type: ignore[arg-type]
    except DecodeError as error:
        raise fault(NET_MALFORMED, why=str(error)) from error
    return message


def write_snapshot(message: SnapshotMessage) -> bytes:
    """The canonical bytes of a message."""
    return encode(message)


@dataclass(slots=True)
class Manifests:
    """Manifests that are too large for one reply: of one neighbour at a time, so that memory is bounded."""

    peer: bytes = b""
    _height: int = 0
    _size: int = 0
    _raw: bytearray = field(default_factory=bytearray)
    _at_ms: int = 0

    @property
    def have(self) -> int:
        """Bytes that came of the one that is coming."""
        return len(self._raw)

    def forget(self, peer: bytes) -> None:
        """That neighbour is gone, or is to begin anew."""
        if self.peer == peer:
            self.peer, self._raw = b"", bytearray()

    def take(self, peer: bytes, offset: int, reply: ManifestReply, now_ms: int) -> bytes | None:
        """A reply from this offset on: the whole manifest; None while more is to be asked, or another one is coming.

        Raises:
            Fault: NET_MALFORMED: no honest node answers so.
        """
        size = len(reply.manifest)
        if not size or offset + size > reply.size:
            raise fault(NET_MALFORMED, why="a manifest of another size than it says", offset=offset, bytes=size)
        if offset == 0:
            if size == reply.size:
                return reply.manifest
            if self.peer not in {b"", peer} and now_ms - self._at_ms < TIMEOUT_MS:
                return None
            self.peer, self._height, self._size, self._raw = peer, reply.height, reply.size, bytearray()
        if (peer, reply.height, reply.size, offset) != (self.peer, self._height, self._size, len(self._raw)):
            self.forget(peer)  # Another snapshot is the newest meanwhile.
            return None
        self._raw += reply.manifest
        self._at_ms = now_ms
        if len(self._raw) < self._size:
            return None
        whole = bytes(self._raw)
        self.forget(peer)
        return whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Send this request to that neighbour."""

    peer: bytes
    request: PieceRequest


@dataclass(slots=True)
class _Request:
    peer: bytes
    piece: int
    deadline_ms: int


@dataclass(slots=True)
class Pieces:
    """The pieces of one snapshot: which are here, which are asked for, and of whom."""

    height: int
    count: int
    done: set[int]
    """Pieces that are here and hold."""
    sources: dict[bytes, int] = field(default_factory=dict)
    """Who has this snapshot, with how many requests it let pass."""
    numbered: int = 0
    """Of the newest request; goes on from one snapshot to the next, so that a late answer is not taken for another."""
    _requests: dict[int, _Request] = field(default_factory=dict)
    _late: dict[int, _Request] = field(default_factory=dict)
    _held: set[int] = field(default_factory=set)
    """Pieces that came and are being checked."""

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return len(self.done) == self.count

    def add(self, peer: bytes) -> None:
        """This neighbour has the snapshot."""
        self.sources.setdefault(peer, 0)

    def drop(self, peer: bytes) -> None:
        """It is gone, has it no more, or lied: what it was asked for is asked of others."""
        self.sources.pop(peer, None)
        self._requests = {number: one for number, one in self._requests.items() if one.peer != peer}

    def came(self, peer: bytes, number: int) -> int | None:
        """A piece came: which one it should be, until `checked` says whether it is; None: it was not asked for."""
        request = self._requests.get(number) or self._late.get(number)
        if request is None or request.peer != peer:
            return None
        self._requests.pop(number, None)
        self._late.pop(number, None)
        if request.piece not in self.done:
            self._held.add(request.piece)
        return request.piece

    def checked(self, piece: int, *, good: bool) -> None:
        """What came as this piece was looked at, and is on disk if it is good."""
        self._held.discard(piece)
        if good:
            self.done.add(piece)

    def tick(self, now_ms: int) -> list[Ask]:
        """Give up on requests that took too long, and ask for what is missing."""
        for number, request in list(self._requests.items()):
            if request.deadline_ms <= now_ms:
                self._late[number] = self._requests.pop(number)
                while len(self._late) > LATE_MAX:
                    del self._late[next(iter(self._late))]
                if request.peer in self.sources:
                    self.sources[request.peer] += 1
        for peer in [peer for peer, passed in self.sources.items() if passed >= TIMEOUTS_MAX]:
            self.drop(peer)
        return self._ask(now_ms)

    def _ask(self, now_ms: int) -> list[Ask]:
        asked: list[Ask] = []
        missing = self._missing()
        while missing and len(self._requests) + len(self._held) < AT_ONCE_MAX:
            peer = self._free()
            if peer is None:
                break
            self.numbered += 1
            piece = missing.pop()
            self._requests[self.numbered] = _Request(peer, piece, now_ms + TIMEOUT_MS)
            asked.append(Ask(peer=peer, request=PieceRequest(self.numbered, self.height, piece)))
        return asked

    def _missing(self) -> list[int]:
        """What is neither here nor under way, the lowest last."""
        busy = self._held | {request.piece for request in self._requests.values()}
        return [piece for piece in range(self.count - 1, -1, -1) if piece not in self.done and piece not in busy]

    def _free(self) -> bytes | None:
        """Whoever has least to do, and is most reliable."""
        load = dict.fromkeys(self.sources, 0)
        for request in self._requests.values():
            load[request.peer] = load.get(request.peer, 0) + 1
        able = [peer for peer in self.sources if load[peer] < OF_ONE_MAX]
        return min(able, key=lambda peer: (self.sources[peer], load[peer], peer), default=None)
