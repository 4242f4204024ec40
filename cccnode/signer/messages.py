"""What a node and its remote signer say to each other: typed requests to vote, never bytes to be signed.

Every message is a tagged canonical array behind a length of four bytes.  The signer dials; TLS 1.3 has shown each side
the other's key before the first message.
"""

import asyncio
from typing import Annotated, Final, TypeAlias

from msgspec import Meta

from cccnode.codec import DecodeError, Noun, decode, encode
from cccnode.types.errors import SIGNER_IDENTITY, fault
from cccnode.types.scalars import U8, U32, Epoch, Hash, PublicKey, Signature, View
from cccnode.types.vote import Kind, Proposal

PROTOCOL: Final = 1
FRAME_BYTES_MAX: Final = 1024
_LENGTH_BYTES: Final = 4


class Hello(Noun, frozen=True, array_like=True, tag=1):
    """The signer's first word."""

    protocol: U8
    consensus_key: PublicKey


class Ask(Noun, frozen=True, array_like=True, tag=2):
    """The node asks for one vote."""

    number: U32
    """Stands in the answer."""
    kind: Kind
    chain: Hash
    epoch: Epoch
    proposal: Proposal


class Signed(Noun, frozen=True, array_like=True, tag=3):
    """The signer has noted the vote, and signs it."""

    number: U32
    signature: Signature


class Refused(Noun, frozen=True, array_like=True, tag=4):
    """The signer does not sign this vote: a normal answer."""

    number: U32
    error: Annotated[str, Meta(max_length=64)]
    """Name in the error table."""
    epoch: Epoch
    """Of its mark."""
    view: View


class Ping(Noun, frozen=True, array_like=True, tag=5):
    """Either side asks whether the other lives."""


class Pong(Noun, frozen=True, array_like=True, tag=6):
    """It does."""


SignerMessage: TypeAlias = Hello | Ask | Signed | Refused | Ping | Pong


def decode_signer_message(raw: bytes) -> SignerMessage:
    """One message.

    Raises:
        Fault: signer/IDENTITY: whoever sends this is no cccnode of this protocol.
    """
    try:
        message: SignerMessage = decode(SignerMessage, raw)  # type: ignore[arg-type]  # a union is no type[T] to mypy
    except DecodeError as error:
        raise fault(SIGNER_IDENTITY, why=str(error)) from error
    return message


async def receive(reader: asyncio.StreamReader) -> SignerMessage:
    """The next message.

    Raises:
        Fault: signer/IDENTITY: it is too long, or none.
        OSError, asyncio.IncompleteReadError: the connection ended.
    """
    size = int.from_bytes(await reader.readexactly(_LENGTH_BYTES), "big")
    if size > FRAME_BYTES_MAX:
        raise fault(SIGNER_IDENTITY, why=f"a message of {size} bytes", limit=FRAME_BYTES_MAX)
    return decode_signer_message(await reader.readexactly(size))


def send(writer: asyncio.StreamWriter, message: SignerMessage) -> None:
    """Send one message, without waiting."""
    raw = encode(message)
    writer.write(len(raw).to_bytes(_LENGTH_BYTES, "big") + raw)
