"""The one encoding: equal to the msgpack package's, and nothing else is accepted."""

from typing import Annotated, Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from cccnode.codec import DecodeError, Malformed, NonCanonical, Noun, decode, decode_trusted, encode


class Pair(Noun, frozen=True, array_like=True, gc=False):
    """Two fields."""

    number: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    data: bytes


class Leaf(Noun, tag=3, frozen=True, array_like=True, gc=False):
    """A tagged one."""

    text: str


class Defaulted(Noun, frozen=True, array_like=True, gc=False):
    """With a default at the end."""

    number: int
    other: int = 7


_SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.binary(max_size=300) | st.text(max_size=40)
_VALUES = st.recursive(_SCALARS, lambda inner: st.lists(inner, max_size=20), max_leaves=30)


@given(_VALUES)
def test_same_as_msgpack(value: object) -> None:
    """Both libraries write the same bytes, and read each other's."""
    raw = encode(value)

    assert raw == msgpack.packb(value)
    assert value == msgpack.unpackb(raw)  # noqa: TID251 - the oracle
    assert value == decode(Any, raw)


@given(st.integers(0, 2**63 - 1), st.binary(max_size=70_000))
def test_nouns_are_arrays(number: int, data: bytes) -> None:
    """A noun is the array of its fields, and comes back equal."""
    raw = encode(Pair(number, data))

    assert msgpack.packb([number, data]) == raw
    assert Pair(number, data) == decode(Pair, raw)


def test_tagged_nouns() -> None:
    """A tagged noun begins with its number."""
    assert msgpack.packb([3, "x"]) == encode(Leaf("x"))
    assert Leaf("x") == decode(Leaf, encode([3, "x"]))


@pytest.mark.parametrize(
    "raw",
    [
        b"\x92\xcc\x01\xc4\x00",  # 1 in two bytes
        b"\x92\xcd\x00\xff\xc4\x00",  # 255 in three
        b"\x92\xcf" + bytes(7) + b"\x01\xc4\x00",  # 1 in nine
        b"\x92\xd0\x01\xc4\x00",  # 1 as a signed byte
        b"\xdc\x00\x02\x01\xc4\x00",  # array of two with a long length
        b"\x92\x01\xc5\x00\x00",  # empty bytes with a long length
        b"\x92\x01\xa0",  # text where bytes belong is what some libraries write
    ],
)
def test_invalid_spelling(raw: bytes) -> None:
    """Every other spelling of a value is refused by name."""
    with pytest.raises(DecodeError) as caught:
        decode(Pair, raw)

    assert caught.value.name in {"core/NON_CANONICAL", "core/MALFORMED"}


def test_invalid_spelling_is_named() -> None:
    """A long integer is non-canonical, not malformed; a trusted reader lets it pass."""
    raw = b"\x92\xcc\x01\xc4\x00"
    with pytest.raises(NonCanonical):
        decode(Pair, raw)

    assert Pair(1, b"") == decode_trusted(Pair, raw)


def test_invalid_omitted_default() -> None:
    """A field left out because it has a default is a second spelling."""
    assert Defaulted(1) == decode(Defaulted, encode([1, 7]))
    with pytest.raises(NonCanonical):
        decode(Defaulted, encode([1]))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x92\x01",
        b"\x92\x01\xc4\x00\x00",
        b"\x91\x01",
        b"\x93\x01\xc4\x00\x01",
        b"\x92\xff\xc4\x00",
        b"\x92\xcf" + b"\xff" * 8 + b"\xc4\x00",
        b"\x92\xca\x3f\x80\x00\x00\xc4\x00",
        b"\x81\x01\x02",
        b"\xc1",
        b"\xd4\x01\x00",
        b"\xdd\xff\xff\xff\xff",
        b"\x91" * 100_000,
        encode(["1", b""]),
    ],
)
def test_invalid_shape(raw: bytes) -> None:
    """Wrong shape, type, range, depth or size is malformed, whatever the bytes."""
    with pytest.raises(Malformed):
        decode(Pair, raw)


def test_invalid_text() -> None:
    """Text that is not UTF-8 is malformed."""
    with pytest.raises(Malformed):
        decode(Leaf, b"\x92\x03\xa1\xff")


@given(st.binary(max_size=80))
def test_one_spelling(raw: bytes) -> None:
    """Whatever decodes encodes to the same bytes; everything else is a named error."""
    try:
        value = decode(Any, raw)
    except DecodeError:
        return
    assert raw == encode(value)
