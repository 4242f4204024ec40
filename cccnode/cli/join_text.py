"""A join request: what an organisation asks of the members of a network, as one signed text.

    cccjoin1 <bech32m of: version byte, canonical encoding of JoinRequest>

It holds the very change that a member then proposes, so nothing is typed again.  Every key that it names has signed
it: whoever carries the text from one organisation to the other can neither change it nor put in a key of his own.
"""

from collections.abc import Iterable
from typing import Annotated, Final

from msgspec import Meta

from cccnode.city.registry.messages import AdmitOrganisation
from cccnode.codec import DecodeError, Noun, decode, encode
from cccnode.crypto.signing import SigningKey
from cccnode.crypto.verifying import verify
from cccnode.types.addresses import AddressError, bech32m_decode, bech32m_encode
from cccnode.types.errors import JOIN_MALFORMED, JOIN_SIGNATURE, fault
from cccnode.types.scalars import Hash, Millis, PublicKey, Signature
from cccnode.types.validators import certificate_key

JOIN_PREFIX: Final = "cccjoin"
JOIN_CHARS_MAX: Final = 12_000
"""Sixteen account keys and eight nodes fit."""
VERSION: Final = 1
_SIGNERS_MAX: Final = 24
_DOMAIN: Final = b"ccc/1/join"


class KeySignature(Noun, frozen=True, array_like=True, gc=False):
    """One key's word for the whole request."""

    key: PublicKey
    signature: Signature


class JoinRequest(Noun, frozen=True, array_like=True, gc=False):
    """What an organisation asks for."""

    chain: Hash
    change: AdmitOrganisation
    made_ms: Millis
    """Wall clock of the organisation when it was signed, for people."""
    signatures: Annotated[tuple[KeySignature, ...], Meta(min_length=1, max_length=_SIGNERS_MAX)]
    """Of every account key and every node key named, sorted by key."""


def join_text(chain: bytes, change: AdmitOrganisation, keys: Iterable[SigningKey], *, made_ms: int) -> str:
    """The signed text of a request.

    Raises:
        Fault: `join/MALFORMED` or `join/SIGNATURE`, it would not be read again.
    """
    said = _said(chain, change, made_ms)
    signed = sorted((key.public_key, key.sign(said)) for key in keys)
    request = JoinRequest(chain, change, made_ms, tuple(KeySignature(*row) for row in signed))
    text = bech32m_encode(JOIN_PREFIX, bytes([VERSION]) + encode(request))
    read_join(text)
    return text


def read_join(text: str) -> JoinRequest:
    """The request behind a text, all its signatures checked; white space in the text does not count.

    Raises:
        Fault: `join/MALFORMED` or `join/SIGNATURE`.
    """
    try:
        prefix, data = bech32m_decode("".join(text.split()), length_max=JOIN_CHARS_MAX)
    except AddressError as error:
        raise fault(JOIN_MALFORMED, why=str(error)) from error
    if prefix != JOIN_PREFIX:
        raise fault(JOIN_MALFORMED, why=f"a join request begins with {JOIN_PREFIX}1, not {prefix[:16]}1")
    if data[:1] != bytes([VERSION]):
        raise fault(JOIN_MALFORMED, why=f"version {data[:1].hex() or 'none'}; this program knows {VERSION}")
    try:
        request = decode(JoinRequest, data[1:])
    except DecodeError as error:
        raise fault(JOIN_MALFORMED, why=str(error)) from error
    _check_signatures(request)
    return request


def node_keys(change: AdmitOrganisation) -> list[bytes]:
    """The keys of the nodes that are offered.

    Raises:
        Fault: `join/MALFORMED`, a certificate without an Ed25519 key.
    """
    keys = [certificate_key(node.certificate) for node in change.nodes]
    found = [key for key in keys if key is not None]
    if len(found) < len(keys):
        raise fault(JOIN_MALFORMED, why="a certificate holds no Ed25519 key")
    return found


def _check_signatures(request: JoinRequest) -> None:
    named = sorted({*(row.key for row in request.change.keys), *node_keys(request.change)})
    if [row.key for row in request.signatures] != named:
        missing = [key.hex() for key in named if key not in {row.key for row in request.signatures}]
        raise fault(JOIN_SIGNATURE, missing=missing, why="not exactly the keys that it names have signed it")
    said = _said(request.chain, request.change, request.made_ms)
    wrong = [row.key.hex() for row in request.signatures if not verify(said, row.signature, row.key)]
    if wrong:
        raise fault(JOIN_SIGNATURE, keys=wrong)


def _said(chain: bytes, change: AdmitOrganisation, made_ms: int) -> bytes:
    """What every key signs: "ccc/1/join" || [chain, change, made_ms]."""
    return _DOMAIN + encode([chain, change, made_ms])
