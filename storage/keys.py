"""Every key that this room writes to the engine; the first byte says what kind of record follows."""

from struct import Struct
from typing import Final

GROUP: Final = b"g"
"""g | bucket u32 | group name -> the group's items: the groups of a bucket lie together, in bucket order."""
OLD_RECEIPTS: Final = b"r"
"""r | height u64 -> the receipts of an applied block, until format 1."""
APPLIED: Final = b"p"
"""The newest `Applied`: the one pointer of truth."""
_STAMP: Final = b"s"
META: Final = b"m"
"""m | name -> what the node wants to remember."""
APPLIED_AT: Final = b"a"
"""a | height u64 -> the `Applied` of that height."""
HEADER: Final = b"h"
"""h | height u64 -> the header of an applied block."""
HEIGHT_OF: Final = b"i"
"""i | block id -> the height of an applied block."""
EPOCH_RECORD: Final = b"e"
"""e | hash -> the body of an epoch record."""

_U32: Final = Struct(">I").pack
_U64: Final = Struct(">Q").pack


def bucket(number: int) -> bytes:
    """Prefix of the groups in a bucket."""
    return GROUP + _U32(number)


def bucket_in(key: bytes) -> int:
    """The bucket of a group's key, or of its prefix."""
    return int.from_bytes(key[1:5], "big")


def stamp(name: str) -> bytes:
    """What these data are: format, chain, node, depth."""
    return _STAMP + name.encode()


def meta(name: str) -> bytes:
    """A named value that the node wants to remember."""
    return META + name.encode()


def applied_at(height: int) -> bytes:
    """The `Applied` of one height."""
    return APPLIED_AT + _U64(height)


def header(height: int) -> bytes:
    """The header of an applied block."""
    return HEADER + _U64(height)


def height_of(block_id: bytes) -> bytes:
    """The height (u64) of an applied block."""
    return HEIGHT_OF + block_id


def rows_by_height(first: int, end: int) -> list[tuple[bytes, bytes]]:
    """Where the rows of some heights lie, from key to key."""
    return [(key(first), key(end)) for key in (applied_at, header)]


def rows_by_id(part: int) -> tuple[bytes, bytes]:
    """Where the heights of block ids lie that begin with this byte."""
    return HEIGHT_OF + bytes([part]), HEIGHT_OF + bytes([part]) + b"\xff" * 32


def epoch_record(record_hash: bytes) -> bytes:
    """The body of an epoch record."""
    return EPOCH_RECORD + record_hash


def group(bucket_number: int, name: bytes) -> bytes:
    """The items of one group."""
    return bucket(bucket_number) + name


def height_in(key: bytes) -> int:
    """The height in the key of a header, or of an `Applied`."""
    return int.from_bytes(key[1:9], "big")
