"""Where a node can be dialled: the text of an address, and the record by which a node says it itself.

A record is signed by the node's own key and dated, so whoever passes it on cannot change it, and the newest wins: a
node that moved is found without a transaction.  The key that answers at an address decides after all (J14); a record
only says where to look first.
"""

import ipaddress
from typing import Annotated, Final

from msgspec import Meta

from cccnode.codec import Noun, encode
from cccnode.types.errors import CONFIG_INVALID, fault
from cccnode.types.limits import NODE_ADDRESSES_MAX
from cccnode.types.scalars import Millis, PublicKey, Signature

ADDRESS_CHARS_MAX: Final = 128
"""`host:port`; a DNS name of a server fits."""

_DOMAIN: Final = b"ccc/1/addr"
_SPELLING: Final = r"\A(\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._-]+):[0-9]{1,5}\Z"

PlainAddress = Annotated[str, Meta(min_length=1, max_length=ADDRESS_CHARS_MAX, pattern=_SPELLING)]
"""A name or an IP address with a port, in ASCII: one character is one byte."""


class AddressRecord(Noun, frozen=True, array_like=True, gc=False):
    """Where a node says that it can be dialled; none at all if nowhere."""

    node_key: PublicKey
    time_ms: Millis
    """The wall clock at that node when it said so."""
    addresses: Annotated[tuple[PlainAddress, ...], Meta(max_length=NODE_ADDRESSES_MAX)]
    """The best first."""
    signature: Signature
    """By the node key, over `record_bytes`."""


def record_bytes(*, chain: bytes, node_key: bytes, time_ms: int, addresses: tuple[str, ...]) -> bytes:
    """What a node signs: "ccc/1/addr" || chain id || [node_key, time_ms, addresses]."""
    return _DOMAIN + chain + encode([node_key, time_ms, addresses])


def split_address(address: str) -> tuple[str, int]:
    """`host:port` or `[v6]:port` as (host, port).

    Raises:
        Fault: CONFIG_INVALID.
    """
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise fault(CONFIG_INVALID, address=address, why="an address is host:port")
    return host, int(port)


def join_address(host: str, port: int) -> str:
    """The text of an address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_somewhere(address: str) -> bool:
    """Whether others can dial it: not the address that means "every address of this machine", and with a port.

    Raises:
        Fault: CONFIG_INVALID.
    """
    host, port = split_address(address)
    try:
        return port > 0 and not ipaddress.ip_address(host).is_unspecified
    except ValueError:  # a name
        return port > 0
