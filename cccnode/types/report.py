"""What a node tells those it is connected with about itself, so that each of them can say why the chain stands still.

Carried between nodes as opaque bytes, at most every two seconds and whenever a reason changes.  Nobody decides anything
by a report: it is the word of its sender.  The longest one has under 900 of the 1,024 bytes that are carried.
"""

from collections.abc import Iterable
from typing import Annotated, Final

from msgspec import Meta

from cccnode.codec import Noun
from cccnode.types.limits import VALIDATORS_MAX
from cccnode.types.scalars import U32, Epoch, Hash, Height, Millis, View

REPORT_REASONS_MAX: Final = 8
"""Reasons in one report, the most serious first."""
ROOT_EVERY: Final = 16
"""Results are compared at heights that this divides, so that two nodes find one that both have."""

ErrorName = Annotated[str, Meta(max_length=64)]
"""A name of the error table, such as `net/NO_PEERS`."""


class Report(Noun, frozen=True, array_like=True, gc=False):
    """How one node is, in its own words."""

    version: Annotated[str, Meta(max_length=64)]
    """Of the program."""
    wall_ms: Millis
    """Its clock when it wrote this."""
    epoch: Epoch
    view: View
    height: Height
    """Last executed."""
    state_root: Hash
    """After that height."""
    state: Annotated[str, Meta(max_length=32)]
    """The word of `chain_status`: validating, observing, catching_up, stalled, diverged."""
    reasons: Annotated[tuple[ErrorName, ...], Meta(max_length=REPORT_REASONS_MAX)]
    """Why, by error name."""
    free_disk_mb: U32
    """Of the disk that holds its data, in MiB."""
    epoch_record_hash: Hash
    root_height: Height
    """The newest executed height that ROOT_EVERY divides; 0 when it has none."""
    root: Hash
    """The root over all results up to there."""
    linked: Annotated[bytes, Meta(max_length=VALIDATORS_MAX // 8)]
    """The validators of its epoch that it is connected with and hears: one bit each, as in a certificate."""
    lag_ms: U32
    """How late its event loop was at worst in the last seconds: a slow machine knows it first."""


def bitmap(indices: Iterable[int], count: int) -> bytes:
    """One bit for each of `count` validators, set for those in `indices`."""
    bits = bytearray((count + 7) // 8)
    for index in indices:
        bits[index >> 3] |= 1 << (index & 7)
    return bytes(bits)


def has_bit(bits: bytes, index: int) -> bool:
    """Whether the bit of this validator is set; a bitmap may be too short for it."""
    return index >> 3 < len(bits) and bool(bits[index >> 3] >> (index & 7) & 1)
