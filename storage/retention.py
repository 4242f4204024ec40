"""What may be pruned: policies of people, cut short by what the node itself still needs.

Only reads headers, and never a clock: ages are header times against the newest executed block.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from cccnode.types.retention import Keep, Retention
from storage.blocks import BlockFile
from storage.marks import Earliest
from storage.store import Store

BLOCKS_MIN: Final = 384
"""Newest heights that always stay: roots and certificates for headers to come, and what neighbours lag behind."""
HEADERS_PART: Final = 1_024
"""Rows by height go in parts of this, a power of two: the proofs of older heights need few rows of each."""
FILES_AT_ONCE: Final = 64
"""Files of one kind that are pruned together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What no policy can give away."""

    window_ms: int
    """Length of the duplicate window: its headers and receipts are read at every start (J5)."""
    snapshot: int | None = None
    """Height of the newest snapshot: what lies above it leads from there to the tip.  None: there are none."""
    indexed: int | None = None
    """Height up to which all that is derived from blocks and receipts is written.  None: nothing is."""


def wanted(store: Store, retention: Retention, needs: Needs) -> Earliest:
    """The earliest heights that the policies ask for now; equal to `store.earliest` if nothing is to be done."""
    earliest = store.earliest
    blocks = _files(store, store.blocks, earliest.blocks, retention.blocks, _blocks_need(needs))
    receipts = _files(store, store.receipt_file, earliest.receipts, retention.receipts, _receipts_need(store, needs))
    headers = earliest.headers
    if not retention.headers.everything:
        below = min(max(blocks, store.earliest_height), max(receipts, store.receipts_from))
        headers = _headers(store, headers, retention.headers, below, needs)
    return Earliest(blocks, receipts, headers, earliest.swept)


def derived_wanted(store: Store, keep: Keep) -> int:
    """The lowest height of which an index is to know transactions, by its policy; 0: everything.

    Found by halving, for an index has no files by height; header times rise strictly.
    """
    applied = store.applied
    if applied is None or keep.everything:
        return 0
    low, high = store.receipts_from, applied.height - BLOCKS_MIN
    while low < high:
        middle = (low + high + 1) // 2
        if _drops(store, keep, middle):
            low = middle
        else:
            high = middle - 1
    return max(0, low)


def rows_needed(anchors: Collection[int], first: int) -> set[int]:
    """Of the heights `first` to `first + HEADERS_PART`, those whose rows stay for the proofs of some older blocks.

    A path from an anchor to the root of a later tree is made of ranges that end at the next multiple of each power of
    two, and the root of such a range comes from its last two rows (`merkle.inclusion_path`).
    """
    end = first + HEADERS_PART
    needed = {end - 2, end - 1}
    for anchor in anchors:
        if first <= anchor < end:
            needed |= {anchor - 1, anchor}
            for level in range(1, HEADERS_PART.bit_length()):
                stop = ((anchor >> level) + 1) << level
                needed |= {stop - 2, stop - 1}
    return needed


def _blocks_need(needs: Needs) -> Callable[[int], bool]:
    limits = [height for height in (needs.snapshot, needs.indexed) if height is not None]
    return lambda start: all(start <= limit for limit in limits)


def _receipts_need(store: Store, needs: Needs) -> Callable[[int], bool]:
    # The window's receipts, and those of the last block before it: so that it is seen that none is missing.
    window, above = Keep(milliseconds=needs.window_ms), _blocks_need(needs)
    return lambda start: above(start) and _drops(store, window, start)


def _files(store: Store, file: BlockFile, earliest: int, keep: Keep, free: Callable[[int], bool]) -> int:
    """The start of the last file before which all may go."""
    start = None if keep.everything else file.next_start()
    for _ in range(FILES_AT_ONCE):
        if start is None or not free(start) or not _drops(store, keep, start):
            break
        earliest = max(earliest, start)
        start = file.starts_after(start)
    return earliest


def _headers(store: Store, earliest: int, keep: Keep, below: int, needs: Needs) -> int:
    """The multiple of `HEADERS_PART` before which rows may go."""
    window = Keep(milliseconds=needs.window_ms)
    for _ in range(FILES_AT_ONCE):
        following = earliest + HEADERS_PART
        absent = following < store.receipts_from  # A store that began with a snapshot has none there.
        if following > below or not (absent or (_drops(store, window, following) and _drops(store, keep, following))):
            break
        earliest = following
    return earliest


def _drops(store: Store, keep: Keep, start: int) -> bool:
    """Whether a policy gives away all blocks below a height."""
    applied, header = store.applied, store.header(start)
    if applied is None or header is None or start > applied.height - BLOCKS_MIN:
        return False
    return keep.drops(blocks=applied.height - start + 1, age_ms=applied.time_ms - header.time_ms)
