"""What nodes say to each other on the channels that p2p itself understands: LINK, CONTROL, BLOCK and TX.

Every message is a tagged array (`[tag, fields...]`) in the canonical encoding; tags are never reused.  What travels on
CONSENSUS, HAVE and BATCH is the driver's business.
"""

from enum import IntEnum
from typing import Annotated, Final, TypeAlias, TypeVar

import msgspec
from msgspec import Meta

from cccnode.codec import DecodeError, Noun, decode, encode
from cccnode.types.errors import NET_MALFORMED, fault
from cccnode.types.limits import NODE_REPORT_BYTES_MAX, TX_BYTES_MAX
from cccnode.types.scalars import U8, U16, U32, U63, Hash, Height, Millis, PublicKey
from p2p.addresses import ADDRESS_CHARS_MAX, AddressRecord
from p2p.frames import Channel

T = TypeVar("T")

PROTOCOL_MIN: Final = 1
"""Oldest protocol this program speaks."""
PROTOCOL_MAX: Final = 1
"""Newest protocol this program speaks."""

PROGRAM_CHARS_MAX: Final = 32
"""The version of a program, such as `0.1.0.dev0`."""
ALTERNATIVES_MAX: Final = 8
"""Other nodes that a full node names."""
RECORDS_MAX: Final = 24
"""Address records in one message: under 15.5 KiB, whatever stands in them."""
BLOCKS_PER_REQUEST_MAX: Final = 64
"""Heights in one request: small blocks come many at a time."""
BLOCKS_PER_REPLY_MAX: Final = 128
"""Heights in one answer: it may go on to the next block that carries its own finalization, else it proves nothing."""
BLOCKS_REPLY_BYTES: Final = 1024 * 1024
"""A reply stops after the block that passes this, so that it is never two full blocks."""
FORWARD_TXS_MAX: Final = 512
"""Transactions in one forwarded frame."""
FORWARD_BYTES_MAX: Final = 256 * 1024
"""Bytes of transactions in one forwarded frame."""
HOPS_MAX: Final = 8
"""How many nodes may pass a transaction on; twice the diameter of a hundred peers of degree six."""
NO_ROUTE: Final = 255
"""Distance of a node that knows no way to a validator."""

Address = Annotated[str, Meta(min_length=1, max_length=ADDRESS_CHARS_MAX)]
Nonce = Annotated[bytes, Meta(min_length=16, max_length=16)]
Text = Annotated[str, Meta(max_length=1024)]
Program = Annotated[str, Meta(max_length=PROGRAM_CHARS_MAX)]
"""Version of a node's program, for people; what it can do, the protocol version says."""
Records = Annotated[tuple[AddressRecord, ...], Meta(max_length=RECORDS_MAX)]

Flowing = Annotated[int, Meta(ge=1, lt=len(Channel))]
"""Number of a channel that can be paused: any but LINK."""


class Role(IntEnum):
    """How a node sees itself; its partner goes by its own registry."""

    VALIDATOR = 1
    PEER = 2


class Known(Noun, frozen=True, array_like=True, gc=False):
    """Where a node was last reached.  A hint: its key is checked after the TLS handshake."""

    node_key: PublicKey
    address: Address


# LINK: handshake, keepalive, flow control


class Hello(Noun, tag=1, frozen=True, array_like=True, gc=False):
    """The dialler's first word after TLS."""

    protocol_min: U16
    protocol_max: U16
    chain: Hash
    node_key: PublicKey
    """Must be the key of its TLS certificate."""
    role: Role
    height: Height
    listen: Annotated[str, Meta(max_length=ADDRESS_CHARS_MAX)]
    """Where it can be dialled; empty when it does not listen."""
    wall_ms: Millis
    nonce: Nonce
    """Returned in the answer, so that the answer is to this question."""
    program: Program


class Ack(Noun, tag=2, frozen=True, array_like=True, gc=False):
    """The acceptor's yes."""

    protocol: U16
    """The newest both speak."""
    chain: Hash
    role: Role
    height: Height
    listen: Annotated[str, Meta(max_length=ADDRESS_CHARS_MAX)]
    wall_ms: Millis
    nonce: Nonce
    program: Program


class Reject(Noun, tag=3, frozen=True, array_like=True, gc=False):
    """No, and why; the last word on a link, as the answer to HELLO or at any later time."""

    name: Annotated[str, Meta(max_length=64)]
    """Stable name of the error table, such as `net/WRONG_CHAIN`, or `home/DISK_FULL` of a node that must stop."""
    text: Text
    """The values that explain this occurrence, for people."""
    addresses: Annotated[tuple[Known, ...], Meta(max_length=ALTERNATIVES_MAX)]
    """Where else to try (TOO_MANY_PEERS)."""


class Ping(Noun, tag=4, frozen=True, array_like=True, gc=False):
    """Are you there, and what time is it?"""

    number: U63
    wall_ms: Millis
    height: Height


class Pong(Noun, tag=5, frozen=True, array_like=True, gc=False):
    """The answer to the ping of that number."""

    number: U63
    wall_ms: Millis
    height: Height


class Pause(Noun, tag=6, frozen=True, array_like=True, gc=False):
    """Send no more on this channel until RESUME: I cannot take it now."""

    channel: Flowing


class Resume(Noun, tag=7, frozen=True, array_like=True, gc=False):
    """Go on with this channel."""

    channel: Flowing


class Notice(Noun, tag=8, frozen=True, array_like=True, gc=False):
    """Something the peer's operator should know, such as a second process with its key."""

    name: Annotated[str, Meta(max_length=64)]
    text: Text


class Report(Noun, tag=9, frozen=True, array_like=True, gc=False):
    """How the sender is: bytes that the nodes understand, not their links."""

    raw: Annotated[bytes, Meta(max_length=NODE_REPORT_BYTES_MAX)]


LinkMessage: TypeAlias = Hello | Ack | Reject | Ping | Pong | Pause | Resume | Notice | Report


# CONTROL: gossip


class Announce(Noun, tag=1, frozen=True, array_like=True, gc=False):
    """I have the final blocks up to here; ask for those you lack."""

    height: Height
    block_id: Hash
    first: Height
    """Earliest height that it still keeps."""
    distance: U8
    """Links between it and the nearest validator: 0 for a validator, NO_ROUTE when it knows none."""


class AddressesRequest(Noun, tag=2, frozen=True, array_like=True, gc=False):
    """Who said where it can be dialled?"""

    number: U32


class Addresses(Noun, tag=3, frozen=True, array_like=True, gc=False):
    """Answer to the request of that number: the records of latest date."""

    number: U32
    records: Records


class Moved(Noun, tag=4, frozen=True, array_like=True, gc=False):
    """Unasked, because it is new: the sender's own record, or such as it has taken up since it last told us."""

    records: Records


ControlMessage: TypeAlias = Announce | AddressesRequest | Addresses | Moved


# BLOCK: content, always asked for


class BlocksRequest(Noun, tag=1, frozen=True, array_like=True, gc=False):
    """Send me the final blocks of `count` heights from `first` on."""

    number: U32
    first: Height
    count: Annotated[int, Meta(ge=1, le=BLOCKS_PER_REQUEST_MAX)]


class Blocks(Noun, tag=2, frozen=True, array_like=True, gc=False):
    """Answer to the request of that number: encoded FinalBlocks of rising heights from its `first` on.

    As many as fit (see `BLOCKS_REPLY_BYTES`), at least one if the sender has the first; none means that it has not.
    It may go on beyond what was asked for, to the next block that carries its own finalization.
    """

    number: U32
    blocks: Annotated[tuple[bytes, ...], Meta(max_length=BLOCKS_PER_REPLY_MAX)]


class Kept(Noun, tag=3, frozen=True, array_like=True, gc=False):
    """Answer to the request of that number: I no longer keep those blocks; ask somebody else for them."""

    number: U32
    first: Height
    """Earliest height that it still keeps."""


BlockMessage: TypeAlias = BlocksRequest | Blocks | Kept


# TX: transactions on their way to a validator


class Forward(Noun, tag=1, frozen=True, array_like=True, gc=False):
    """Transactions that the sender has admitted, for a validator, or to be passed on towards one."""

    hops: Annotated[int, Meta(ge=0, le=HOPS_MAX)]
    """How many more nodes may pass it on."""
    transactions: Annotated[
        tuple[Annotated[bytes, Meta(min_length=1, max_length=TX_BYTES_MAX)], ...],
        Meta(min_length=1, max_length=FORWARD_TXS_MAX),
    ]


TxMessage: TypeAlias = Forward  # a union once there is a second


def read_link(payload: bytes) -> LinkMessage:
    """A LINK message; raises Fault NET_MALFORMED."""
    return _read(LinkMessage, payload)  # type: ignore[arg-type]


def read_control(payload: bytes) -> ControlMessage:
    """A CONTROL message; raises Fault NET_MALFORMED."""
    return _read(ControlMessage, payload)  # type: ignore[arg-type]


def read_block(payload: bytes) -> BlockMessage:
    """A BLOCK message; raises Fault NET_MALFORMED."""
    return _read(BlockMessage, payload)  # type: ignore[arg-type]


def read_tx(payload: bytes) -> TxMessage:
    """A TX message; raises Fault NET_MALFORMED."""
    return _read(TxMessage, payload)


def write(message: LinkMessage | ControlMessage | BlockMessage | TxMessage) -> bytes:
    """The canonical bytes of a message."""
    return encode(message)


class _HelloPrefix(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What every version of HELLO begins with, whatever follows."""

    tag: int
    protocol_min: int
    protocol_max: int


_HELLO_PREFIX: Final = msgspec.msgpack.Decoder(_HelloPrefix)


def hello_versions(payload: bytes) -> tuple[int, int] | None:
    """The version range of a HELLO that this program may not understand otherwise; None if it is none."""
    try:
        prefix = _HELLO_PREFIX.decode(payload)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    return (prefix.protocol_min, prefix.protocol_max) if prefix.tag == 1 else None


def _read(kind: type[T], payload: bytes) -> T:
    try:
        return decode(kind, payload)
    except DecodeError as error:
        raise fault(NET_MALFORMED, why=str(error)) from error
