"""What leaves an engine for a backup: all rows as of one moment, in pages of about a millisecond's work.

Pages travel from a running node to whoever writes the backup, or within one process from a home whose node is stopped.
The first page says what follows (`Origin`), the last is empty; so a transfer that broke off is never taken for a whole
one.  Rows that other rows give, the heights by block id, do not travel.
"""

from collections.abc import Iterable, Iterator
from typing import Final, Literal

from cccnode.codec import DecodeError, Noun, decode, decode_trusted, encode
from cccnode.crypto.hashing import BLOCK, tagged
from cccnode.types.errors import BACKUP_INVALID, BLOCKS_CORRUPT, HOME_EMPTY, HOME_FORMAT, STATE_CORRUPT, fault
from cccnode.types.scalars import U8, U32, Hash
from storage import keys
from storage.engine import Engine, Put, Reading
from storage.store import FORMAT, Applied

VERSION: Final = 1
FORMAT_MIN: Final = 2
"""From this format of the data on, rows and records are as they are now."""
PAGE_ROWS: Final = 500
PAGE_BYTES: Final = 128 * 1024
"""A page ends with the row that reaches either."""
PAGE_BYTES_MAX: Final = 64 << 20
"""Of a foreign page: one row may be a large group."""
_PREFIXES: Final = (keys.EPOCH_RECORD, keys.GROUP, keys.META)

Row = tuple[bytes, bytes]
Readable = Reading | Engine
"""An engine, or one of its moments."""
Kind = Literal["state", "heights", "end"]


class Origin(Noun, frozen=True, array_like=True, gc=False):
    """What the pages are of."""

    version: U8
    format: U32
    """Of the data."""
    chain: Hash
    node: bytes
    depth: U8
    applied: Applied


class Page(Noun, frozen=True, array_like=True, gc=False):
    """Some rows of the engine."""

    kind: Kind
    rows: tuple[Row, ...]


END: Final = Page("end", ())


def origin_of(reading: Readable) -> Origin:
    """What an engine holds.

    Raises:
        Fault: HOME_EMPTY, HOME_FORMAT or STATE_CORRUPT.
    """
    stamps = {name: reading.get(keys.stamp(name)) for name in ("format", "chain", "node", "depth")}
    raw = reading.get(keys.APPLIED)
    if raw is None or None in stamps.values():
        raise fault(HOME_EMPTY, missing="a state in data/state")
    found = {name: value or b"" for name, value in stamps.items()}
    number = int.from_bytes(found["format"], "big")
    if not FORMAT_MIN <= number <= FORMAT:
        raise fault(HOME_FORMAT, found=number, supported=FORMAT)
    try:
        applied = decode_trusted(Applied, raw)
    except DecodeError as error:
        raise fault(STATE_CORRUPT, key=keys.APPLIED, reason=str(error)) from error
    return Origin(VERSION, number, found["chain"], found["node"], found["depth"][0], applied)


def pages(reading: Reading, first: int) -> Iterator[bytes]:
    """Everything that a backup holds of an engine, encoded, with the heights from `first` on.

    Raises:
        Fault: as `origin_of`, or what the disk says.
    """
    origin = origin_of(reading)
    yield encode(origin)
    for prefix in _PREFIXES:
        yield from _paged("state", reading.iterate(prefix))
    yield from _paged("heights", _heights(reading, first, origin.applied.height))
    yield encode(END)


def _heights(reading: Reading, first: int, last: int) -> Iterator[Row]:
    """Header and result of each height that is kept."""
    for height in range(first, last + 1):
        for key in (keys.header(height), keys.applied_at(height)):
            value = reading.get(key)
            if value is not None:
                yield key, value


def _paged(kind: Kind, rows: Iterable[Row]) -> Iterator[bytes]:
    page, size = list[Row](), 0
    for row in rows:
        page.append(row)
        size += len(row[0]) + len(row[1])
        if size >= PAGE_BYTES or len(page) >= PAGE_ROWS:
            yield encode(Page(kind, tuple(page)))
            page, size = [], 0
    if page:
        yield encode(Page(kind, tuple(page)))


def read_origin(raw: bytes) -> Origin:
    """The first page.

    Raises:
        Fault: BACKUP_INVALID, or HOME_FORMAT: another program's data.
    """
    try:
        origin = decode(Origin, raw)
    except DecodeError as error:
        raise fault(BACKUP_INVALID, reason=str(error)) from error
    if origin.version != VERSION or not FORMAT_MIN <= origin.format <= FORMAT:
        raise fault(HOME_FORMAT, found=origin.format, supported=FORMAT)
    return origin


def read_page(raw: bytes) -> Page:
    """A page after the first.

    Raises:
        Fault: BACKUP_INVALID.
    """
    try:
        return decode(Page, raw)
    except DecodeError as error:
        raise fault(BACKUP_INVALID, reason=str(error)) from error


def receipts_in_record(height: int, raw: bytes) -> list[bytes]:
    """The receipts in what is stored of a height.

    Raises:
        Fault: BLOCKS_CORRUPT.
    """
    try:
        return decode_trusted(list[bytes], raw)
    except DecodeError as error:
        raise fault(BLOCKS_CORRUPT, height=height, reason=str(error)) from error


def puts_of(rows: Iterable[Row]) -> list[Put]:
    """What to write for copied rows, with those that were left out."""
    puts: list[Put] = []
    for key, value in rows:
        puts.append((key, value))
        if key.startswith(keys.HEADER):
            puts.append((keys.height_of(tagged(BLOCK, value)), key[1:]))
    return puts
