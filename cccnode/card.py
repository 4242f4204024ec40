"""The network card: all that a new node must be told of a network, as one short text to paste or to scan.

    ccccard1 <bech32m of: version byte, canonical encoding of Card>

The chain id is the hash of the genesis document, so whoever has a card checks every document against it; the contacts
are pinned by key, so nobody else can pose as them; the checkpoint is a block that must lie in the history that the
node is given.  A card is no secret and is signed by nobody: it is worth what the way is worth on which it came.
"""

from collections.abc import Iterator
from typing import Annotated, Final

from msgspec import Meta

from cccnode.codec import DecodeError, Noun, decode, encode
from cccnode.types.addresses import AddressError, ChecksumError, bech32m_decode, bech32m_encode
from cccnode.types.errors import CARD_CHECKSUM, CARD_EXPIRED, CARD_MALFORMED, CARD_VERSION, fault
from cccnode.types.scalars import Hash, Height, Millis, Name, PublicKey

CARD_PREFIX: Final = "ccccard"
CARD_CHARS_MAX: Final = 1_000
"""A card fits one screen and one QR code."""
CONTACTS_MAX: Final = 8
VERSION: Final = 1

_HOST: Final = r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)"
_PORT_MAX: Final = 65_535

HostPort = Annotated[str, Meta(max_length=128, pattern=f"^{_HOST}:[1-9][0-9]{{0,4}}$")]
"""host:port; an IPv6 host stands in brackets."""
RpcAddress = Annotated[str, Meta(max_length=160, pattern=f"^$|^{_HOST}:[1-9][0-9]{{0,4}}$|^https?://[!-~]+$")]
"""Of a node's RPC port: host:port or a URL; empty: not told."""


class Contact(Noun, frozen=True, array_like=True, gc=False):
    """One node that a newcomer may turn to."""

    node_key: PublicKey
    """Its transport key: who answers with another one is not it."""
    address: HostPort
    """Where other nodes dial it."""
    rpc: RpcAddress = ""


class Checkpoint(Noun, frozen=True, array_like=True, gc=False):
    """A final block, known to whoever made the card."""

    height: Height
    block_id: Hash


class Card(Noun, frozen=True, array_like=True, gc=False):
    """What a card says."""

    chain: Hash
    """Chain id, which is the genesis hash."""
    network: Name
    """What people call it."""
    contacts: Annotated[tuple[Contact, ...], Meta(min_length=1, max_length=CONTACTS_MAX)]
    """In the order in which they are asked; every node stands here once."""
    checkpoint: Checkpoint
    expires_ms: Millis
    """Addresses move: an older card is not used."""

    @property
    def rpc_addresses(self) -> tuple[str, ...]:
        """Where the genesis document, and the state of things, can be asked for."""
        return tuple(contact.rpc for contact in self.contacts if contact.rpc)


def card_text(card: Card) -> str:
    """The text of a card.

    Raises:
        Fault: `card/MALFORMED`, it would not be read again: too long, or a contact is named twice.
    """
    body = encode(card)
    text = bech32m_encode(CARD_PREFIX, bytes([VERSION]) + body)
    if len(text) > CARD_CHARS_MAX:
        raise fault(CARD_MALFORMED, why=f"{len(text)} characters, at most {CARD_CHARS_MAX}: name fewer contacts")
    _decode(body)
    return text


def read_card(text: str) -> Card:
    """The card behind a text; white space in it (a line broken by a mail program) does not count.

    Raises:
        Fault: `card/MALFORMED`, `card/CHECKSUM` or `card/VERSION`.
    """
    try:
        prefix, data = bech32m_decode("".join(text.split()), length_max=CARD_CHARS_MAX)
    except ChecksumError as error:
        raise fault(CARD_CHECKSUM, why=str(error)) from error
    except AddressError as error:
        raise fault(CARD_MALFORMED, why=str(error)) from error
    if prefix != CARD_PREFIX:
        raise fault(CARD_MALFORMED, why=f"a network card begins with {CARD_PREFIX}1, not {prefix[:16]}1")
    if not data:
        raise fault(CARD_MALFORMED, why="it is empty")
    if data[0] != VERSION:
        raise fault(CARD_VERSION, version=data[0], known=VERSION)
    return _decode(data[1:])


def check_expiry(card: Card, now_ms: int) -> None:
    """Refuse a card that is too old to be used.

    Raises:
        Fault: `card/EXPIRED`.
    """
    if now_ms >= card.expires_ms:
        raise fault(CARD_EXPIRED, network=card.network, expired_hours_ago=(now_ms - card.expires_ms) // 3_600_000)


def _decode(body: bytes) -> Card:
    try:
        card = decode(Card, body)
    except DecodeError as error:
        raise fault(CARD_MALFORMED, why=str(error)) from error
    for why in _contradictions(card):
        raise fault(CARD_MALFORMED, why=why)
    return card


def _contradictions(card: Card) -> Iterator[str]:
    if len({contact.node_key for contact in card.contacts}) < len(card.contacts):
        yield "a node stands in it twice"
    for contact in card.contacts:
        for address in (contact.address, contact.rpc):
            port = address.rpartition(":")[2]
            if port.isdigit() and int(port) > _PORT_MAX:
                yield f"{address}: a port is at most {_PORT_MAX}"
