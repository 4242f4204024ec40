"""The steps of a pruning, in the one order that survives an interruption anywhere: note, forget, delete.

Each step says in which thread it belongs and takes milliseconds, so that a running node can put pauses between them.
What was interrupted is finished by the next start (files, when the store opens them) or the next pruning (rows).
"""

from collections.abc import Callable, Collection, Generator, Iterator
from enum import StrEnum
from functools import partial
from typing import Final, Protocol, TypeAlias

from storage import keys
from storage.marks import Earliest
from storage.retention import HEADERS_PART, rows_needed
from storage.store import Store

SWEPT_AT_ONCE: Final = 256
"""Heights whose rows one step deletes: 768 keys, about a millisecond of the thread that commits."""
COMPACTED_HEIGHTS: Final = 64 * HEADERS_PART
"""Rows by block id are compacted when so many heights are gone: they lie everywhere."""


class Thread(StrEnum):
    """Where a step belongs."""

    STORE = "store"
    """The thread that commits blocks: all that writes to the engine."""
    INDEX = "index"
    """The thread that writes the transaction index."""
    HISTORY = "history"
    """The thread that writes the history of accounts."""
    FILES = "prune"
    """A thread of its own: removing and reading."""


Step: TypeAlias = tuple[Thread, Callable[[], object]]
Steps: TypeAlias = Generator[Step, object, None]
"""Send it what each step returned.  It runs on the loop between the steps, where readers must see what is gone."""


def pruning(store: Store, to: Earliest, *, anchors: Collection[int]) -> Steps:
    """Bring a store to these earliest heights.

    `anchors`: heights that must be provable from later blocks for ever, such as genesis and the ends of epochs.
    """
    if to != store.earliest:
        yield Thread.STORE, lambda: store.mark(to)
        removing = store.forget(to)
        while (yield Thread.FILES, lambda: next(removing, None)) is not None:
            pass
    first = store.earliest.swept
    while (at := store.earliest.swept) < store.earliest.headers:
        yield from _sweep(store, at, anchors)
    if first != store.earliest.swept:
        yield from _compact(store, first, store.earliest.swept)


class Prunable(Protocol):
    """What is derived from blocks and receipts: `Index` or `History`."""

    @property
    def earliest(self) -> int:
        """What lies below this height may be missing."""

    def prune(self, below: int) -> Iterator[int]:
        """Forget what lies below a height; yields after each short step."""


def derived_pruning(derived: Prunable, thread: Thread, below: int) -> Steps:
    """Bring an index to an earliest height."""
    steps = derived.prune(below)
    while (yield thread, lambda: next(steps, None)) is not None:
        pass


def run(steps: Steps) -> None:
    """Take all steps here and now: for a stopped node."""
    try:
        _, job = next(steps)
        while True:
            _, job = steps.send(job())
    except StopIteration:
        return


def _sweep(store: Store, at: int, anchors: Collection[int]) -> Steps:
    """Delete the rows of some heights, but those that proofs of the anchors need."""
    part = at - at % HEADERS_PART
    end = min(at + SWEPT_AT_ONCE, part + HEADERS_PART, store.earliest.headers)
    heights = [height for height in range(at, end) if height not in rows_needed(anchors, part)]
    found: list[tuple[bytes, bytes | None]] = []
    yield Thread.FILES, lambda: found.extend(store.rows_of(heights))
    yield Thread.STORE, lambda: store.sweep(found, end)


def _compact(store: Store, first: int, end: int) -> Steps:
    yield Thread.FILES, lambda: store.compact(keys.rows_by_height(first, end))
    if first // COMPACTED_HEIGHTS != end // COMPACTED_HEIGHTS:
        for part in range(256):
            yield Thread.FILES, partial(store.compact, [keys.rows_by_id(part)])
