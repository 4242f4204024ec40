"""The one encoding of everything that is hashed, signed, sent or stored: canonical MessagePack.

A value has exactly one byte string.  Neither msgspec nor msgpack enforces that (both accept over-long
integers), so `decode` re-encodes what it read and refuses bytes that differ (architecture D11).
Nouns are frozen array-like `msgspec.Struct`s; there are no maps, floats, extensions or timestamps.
"""

from functools import cache
from typing import Any, ClassVar, TypeVar

import msgspec

T = TypeVar("T")

_ENCODER = msgspec.msgpack.Encoder()

encode = _ENCODER.encode
"""Canonical bytes of a noun, or of ints, bytes, text, bools, nil and arrays of them."""


class Noun(msgspec.Struct, frozen=True, array_like=True, gc=False, forbid_unknown_fields=True):
    """Base of everything that crosses the wire or the disk: a fixed-order array."""


class DecodeError(ValueError):
    """Foreign bytes that are not the canonical encoding of what was expected: the sender's fault."""

    name: ClassVar[str] = "core/MALFORMED"


class Malformed(DecodeError):
    """The bytes are not MessagePack, or not of the expected shape, type or range."""


class NonCanonical(DecodeError):
    """The bytes decode, but are not the one canonical encoding of their value."""

    name: ClassVar[str] = "core/NON_CANONICAL"


@cache
def decoder(kind: Any) -> msgspec.msgpack.Decoder[Any]:
    """The reusable typed decoder of `kind`; building one costs far more than using it."""
    return msgspec.msgpack.Decoder(kind)


def decode(kind: type[T], raw: bytes) -> T:
    """Decode the canonical bytes `raw` of a `kind`.

    Raises:
        Malformed: not MessagePack, wrong shape, type, range or depth.
        NonCanonical: another byte string is the encoding of this value.
    """
    value: T = decode_trusted(kind, raw)
    if _ENCODER.encode(value) != raw:
        raise NonCanonical(f"{len(raw)} bytes are not the canonical encoding of their value")
    return value


def decode_trusted(kind: type[T], raw: bytes) -> T:
    """Decode bytes that this node encoded itself (state, own files): no canonical check.

    Raises:
        Malformed: the bytes are damaged.
    """
    try:
        typed: Any = kind  # a type is hashable, but mypy cannot see that of type[T]
        value: T = decoder(typed).decode(raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise Malformed(str(error)) from error
    return value
