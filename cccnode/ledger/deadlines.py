"""Deadlines: what a module must look at when a time has come, without looking at anything else (modules.md R8).

Each module that needs one has a queue of its own, so that a flood in one delays no other.  A record's deadline is a
field of the record; the queue only wakes its module, which reads the record and ignores an entry that is no longer its
deadline.  Entries come out by time, and those of the same millisecond in the order in which they went in.

dl/<queue>              ""       First: the earliest time in the queue
dl/<queue>/<prefix>     <byte>   True: some time begins with the prefix and this byte (0 to 5 of 6 bytes, big-endian)
dl/<queue>/<time>       ""       Counts of that millisecond
dl/<queue>/<time><n>    <byte>   an entry: 256 a page, n in 8 bytes
"""

from collections.abc import Iterator
from typing import Final

from cccnode.codec import Noun
from cccnode.ledger.pages import place
from cccnode.ledger.state import Overlay, Reader, Scan
from cccnode.types.scalars import Millis

DUE_PER_BLOCK_MAX: Final = 256
"""Entries of one queue that one block takes: bounds what its end may cost."""
_GROUP: Final = b"dl/"
_ONLY: Final = b""
_BYTES: Final = 6
_PAGE_BYTES: Final = 8
LATEST_MS: Final = (1 << 8 * _BYTES) - 1
"""The year 10889."""


class First(Noun, frozen=True, array_like=True, gc=False):
    """Where a queue begins."""

    time_ms: Millis


class Counts(Noun, frozen=True, array_like=True, gc=False):
    """Entries of one millisecond: how many went in, how many of them came out."""

    entered: int
    taken: int


def schedule(state: Overlay, queue: str, time_ms: int, entry: bytes) -> None:
    """Wake the queue's module with `entry` (an id, at most a state value long) once a block's time is `time_ms`.

    A time beyond `LATEST_MS` counts as that.
    """
    root, key = _root(queue), min(time_ms, LATEST_MS).to_bytes(_BYTES, "big")
    bucket = root + key
    counts = state.get(bucket, _ONLY, Counts)
    if counts is None:
        counts = Counts(0, 0)
        for depth in range(_BYTES):
            state.put(root + key[:depth], key[depth : depth + 1], True)
        first = state.get(_head(queue), _ONLY, First)
        if first is None or time_ms < first.time_ms:
            state.put(_head(queue), _ONLY, First(min(time_ms, LATEST_MS)))
    state.put(*place(bucket, counts.entered), entry)
    state.put(bucket, _ONLY, Counts(counts.entered + 1, counts.taken))


def take_due(state: Overlay, queue: str, now_ms: int, limit: int = DUE_PER_BLOCK_MAX) -> Iterator[tuple[int, bytes]]:
    """Take out what is due at `now_ms`: (its time, entry), at most `limit`; the rest stays for the next block.

    Whatever is scheduled meanwhile for a time that has come is taken too.
    """
    for _ in range(limit):
        first = state.get(_head(queue), _ONLY, First)
        if first is None or first.time_ms > now_ms:
            return
        yield first.time_ms, _take(state, queue, first.time_ms)


def next_due(state: Reader, queue: str) -> int | None:
    """The earliest time in a queue, milliseconds, or None."""
    first = state.get(_head(queue), _ONLY, First)
    return None if first is None else first.time_ms


def entries(scan: Scan, queue: str) -> Iterator[tuple[int, bytes]]:
    """Everything that waits in a queue, by time: (time, entry).  For invariants and audits."""
    root = _root(queue)
    for group in scan.groups(root):
        if len(group) == len(root) + _BYTES + _PAGE_BYTES:
            time_ms = int.from_bytes(group[len(root) : len(root) + _BYTES], "big")
            for entry in scan.group(group, bytes).values():
                yield time_ms, entry


def _take(state: Overlay, queue: str, time_ms: int) -> bytes:
    """Take the next entry of the queue's first millisecond."""
    bucket = _root(queue) + time_ms.to_bytes(_BYTES, "big")
    counts = state.get(bucket, _ONLY, Counts)
    assert counts is not None, "a queue begins where it has entries"
    group, item = place(bucket, counts.taken)
    entry = state.get(group, item, bytes)
    assert entry is not None, "what went in is there until it is taken"
    state.put(group, item, None)
    if counts.taken + 1 < counts.entered:
        state.put(bucket, _ONLY, Counts(counts.entered, counts.taken + 1))
    else:
        state.put(bucket, _ONLY, None)
        _forget(state, queue, time_ms)
    return entry


def _forget(state: Overlay, queue: str, time_ms: int) -> None:
    """Take an empty millisecond out of the tree of times, and find where the queue begins now."""
    root, key = _root(queue), time_ms.to_bytes(_BYTES, "big")
    for depth in reversed(range(_BYTES)):
        group = root + key[:depth]
        state.put(group, key[depth : depth + 1], None)
        if state.group(group, bool):
            break
    found = b""
    while len(found) < _BYTES:
        items = state.group(root + found, bool)
        if not items:
            state.put(_head(queue), _ONLY, None)
            return
        found += min(items)
    state.put(_head(queue), _ONLY, First(int.from_bytes(found, "big")))


def _head(queue: str) -> bytes:
    return _GROUP + queue.encode()


def _root(queue: str) -> bytes:
    return _GROUP + queue.encode() + b"/"
