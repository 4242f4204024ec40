"""The frame that journal, block and batch files share: length u32 | crc32 u32 | payload, big-endian.

`length` counts the payload.  The checksum is zlib's CRC-32 (IEEE): consensus.md names CRC-32C, which no library of
ours offers; against torn writes the two are equally good.
"""

from collections.abc import Iterator
from struct import Struct
from typing import Final
from zlib import crc32

_HEAD: Final = Struct(">II")
HEAD_BYTES: Final = _HEAD.size
"""Bytes before the payload of every record."""


def frame(payload: bytes) -> bytes:
    """One record, ready to append."""
    return _HEAD.pack(len(payload), crc32(payload)) + payload


def payload_at(data: bytes, offset: int, *, shortest: int, longest: int) -> bytes | None:
    """The payload of the whole and undamaged record at `offset`, or None."""
    if offset + HEAD_BYTES > len(data):
        return None
    length, checksum = _HEAD.unpack_from(data, offset)
    start = offset + HEAD_BYTES
    if not shortest <= length <= longest or start + length > len(data):
        return None
    payload = data[start : start + length]
    return payload if crc32(payload) == checksum else None


def scan(data: bytes, *, shortest: int, longest: int) -> Iterator[tuple[int, bytes]]:
    """The offset and payload of each record from the start of `data` up to the first one that is not sound."""
    offset = 0
    while (payload := payload_at(data, offset, shortest=shortest, longest=longest)) is not None:
        yield offset, payload
        offset += HEAD_BYTES + len(payload)


def sound_record_after(data: bytes, offset: int, *, shortest: int, longest: int) -> bool:
    """Whether a sound record starts anywhere behind `offset`.

    This tells damage from a torn write: what follows a torn write was never written, so nothing sound can follow it.
    The length field of the damaged record is not trusted; every byte is tried as a beginning.
    """
    unpack, size = _HEAD.unpack_from, len(data)
    for start in range(offset + 1, size - HEAD_BYTES - shortest + 1):
        length, _ = unpack(data, start)
        if shortest <= length <= size - start - HEAD_BYTES and (
            payload_at(data, start, shortest=shortest, longest=longest) is not None
        ):
            return True
    return False
