"""Recorded faults in the state: the only place that knows their groups and items.

evidence                          count: how many are recorded
ev/<number u64 BE>                "" Record: for ever
evk/<epoch><view><signer>         "" number: the same fault is recorded once
"""

from typing import Final

from cccnode.codec import Noun
from cccnode.ledger.state import Overlay, Reader
from cccnode.types.scalars import U16, U63, AccountId, Epoch, Height, Millis, Name, PublicKey, View
from cccnode.types.vote import Vote

_ALL: Final = b"evidence"
_COUNT: Final = b"count"
_RECORD: Final = b"ev/"
_FAULT: Final = b"evk/"
_ONLY: Final = b""


class Record(Noun, frozen=True, array_like=True, gc=False):
    """A proven fault, and who reported it."""

    number: U63
    """From 1, in the order of recording."""
    epoch: Epoch
    view: View
    signer: U16
    """Index in that epoch's record."""
    organisation: Name
    consensus_key: PublicKey
    first: Vote
    second: Vote
    reporter: AccountId
    height: Height
    """Of the block that recorded it."""
    time_ms: Millis
    proposal: U63
    """The registry's proposal to remove the validator that this opened; 0 if none."""


def count(state: Reader) -> int:
    """How many faults are recorded."""
    return state.get(_ALL, _COUNT, int) or 0


def read_record(state: Reader, number: int) -> Record | None:
    """One recorded fault, or None."""
    return state.get(_RECORD + number.to_bytes(8, "big"), _ONLY, Record)


def number_of(state: Reader, epoch: int, view: int, signer: int) -> int | None:
    """Under which number a fault is recorded, or None."""
    return state.get(_fault(epoch, view, signer), _ONLY, int)


def write_record(state: Overlay, record: Record) -> None:
    """Record the next fault."""
    assert record.number == count(state) + 1, "numbers have no gaps"
    state.put(_ALL, _COUNT, record.number)
    state.put(_RECORD + record.number.to_bytes(8, "big"), _ONLY, record)
    state.put(_fault(record.epoch, record.view, record.signer), _ONLY, record.number)


def _fault(epoch: int, view: int, signer: int) -> bytes:
    return _FAULT + epoch.to_bytes(8, "big") + view.to_bytes(8, "big") + signer.to_bytes(2, "big")
