"""Lots, their events, offers and trips in the state: the only place that knows their groups and items.

prv                    lot, trip  int: the number given last
lot/<lot>              ""         Lot
                       offer      Offer, while it is offered
lotev/<lot><page>      <byte>     Event: 256 a page, in the order of their numbers
lotfix/<lot><page>     <byte>     int: the event that declared this one wrong
lotkid/<lot><page>     <byte>     int: a lot made of this one
trip/<trip>            ""         Trip
par/provenance         ""         Params

Lots and trips are numbered from 1 in 8 bytes, pages from 0 in 4, both big-endian.
"""

from collections.abc import Iterator
from enum import IntEnum
from typing import Annotated, Final

from msgspec import Meta

from cccnode.city.provenance.messages import CERTIFICATES_MAX, PARTS_MAX, Lots
from cccnode.city.provenance.words import (
    Action,
    Commodity,
    Disposition,
    EventKind,
    Geo,
    LotId,
    LotStatus,
    OffsetMinutes,
    Quantity,
    Reason,
    Step,
    Unit,
    Whole,
)
from cccnode.codec import Noun, encode
from cccnode.crypto.hashing import tagged
from cccnode.ledger.pages import place, wide
from cccnode.ledger.parameters import read_parameters
from cccnode.ledger.state import Overlay, Reader
from cccnode.types.scalars import U63, AccountId, Amount, Hash, Millis

_COUNTERS: Final = b"prv"
_LOT: Final = b"lot/"
_EVENT: Final = b"lotev/"
_FIX: Final = b"lotfix/"
_CHILD: Final = b"lotkid/"
_TRIP: Final = b"trip/"
_ONLY: Final = b""
_OFFER: Final = b"offer"
LOTS: Final = _LOT
TRAIL_MAX: Final = 32
EVENT_TAG: Final = b"ccc/1/prv-event"
"""What the hash of an event begins with."""
ZERO: Final = bytes(32)


class Sale(Noun, frozen=True, array_like=True, gc=False):
    """One settled order in the life of a lot."""

    order: U63
    seller: AccountId
    price: Amount
    """What the buyer paid for 1,000 units, base units of `asset`."""
    received: Amount
    """What the seller got for 1,000 units, after fees."""
    asset: str


class Lot(Noun, frozen=True, array_like=True, gc=False):
    """Goods of one kind in one hand."""

    id: LotId
    origin: AccountId
    """Who made it, or brought it in."""
    holder: AccountId
    commodity: Commodity
    unit: Unit
    initial: Quantity
    quantity: Whole
    """What is there now.  initial = quantity + lost + consumed + transformed + passed_on, always (PRV-2, PRV-3)."""
    lost: Whole
    consumed: Whole
    transformed: Whole
    """What went into other goods."""
    passed_on: Whole
    """What went into its parts or a merged lot."""
    status: LotStatus
    parents: Annotated[tuple[LotId, ...], Meta(max_length=PARTS_MAX)]
    made: bool
    """Whether it is new mass: brought in, or made by a transformation; otherwise it was split off or merged."""
    children: U63
    """How many lots were made of it."""
    geo: Geo
    made_ms: Millis
    certificates: Annotated[tuple[Hash, ...], Meta(max_length=CERTIFICATES_MAX)]
    trail: Annotated[tuple[Sale, ...], Meta(max_length=TRAIL_MAX)]
    """The first sale and the newest ones, in their order; what it was split off or merged from included."""
    head: Hash
    """Id of its newest event."""
    events: U63
    """How many events it has; they are numbered from 1."""
    trip: U63
    """The trip it is on, or 0."""


class Event(Noun, frozen=True, array_like=True, gc=False):
    """One thing that happened to a lot.  Its id is SHA-256(`EVENT_TAG` || canonical bytes)."""

    lot: LotId
    number: U63
    kind: EventKind
    action: Action
    step: Step
    disposition: Disposition
    at_ms: Millis
    """When it happened, as the signer says."""
    offset_minutes: OffsetMinutes
    recorded_ms: Millis
    """Time of the block."""
    geo: Geo
    quantity: Whole
    """What the lot held after it."""
    others: Annotated[tuple[LotId, ...], Meta(max_length=2 * PARTS_MAX)]
    """The other lots that took part: first those that went in, then those that came out."""
    outputs: U63
    """How many of those came out; of a transformation or a merger they come last."""
    source: AccountId | None
    """Who gave it away, for a handover."""
    order: U63
    payload: Hash | None
    signer: AccountId
    previous: Hash
    """Id of the event before it; zero for the first."""
    corrects: U63
    """Number of the event that it declares wrong or replaces, or 0."""
    reason: Reason | None
    """Present in the declaration, not in the replacement."""


class Offer(Noun, frozen=True, array_like=True, gc=False):
    """A lot that waits for its next holder."""

    to: AccountId
    order: U63
    expires_ms: Millis


class TripStatus(IntEnum):
    """Whether a trip is under way."""

    OPEN = 0
    ENDED = 1


class Trip(Noun, frozen=True, array_like=True, gc=False):
    """Goods on their way with one carrier."""

    id: U63
    carrier: AccountId
    lots: Lots
    """What was loaded at its begin."""
    started_ms: Millis
    ended_ms: Millis
    """0 while it is open."""
    sensor: Hash | None
    """Root of the sensor log that was anchored last."""
    anchors: U63
    """How many roots were anchored; the events of the lots hold all of them."""
    status: TripStatus


class Params(Noun, frozen=True, array_like=True, gc=False):
    """Numbers that genesis sets, and the city by vote (modules.md 3.7)."""

    backdate_ms: Annotated[int, Meta(ge=0, le=31_536_000_000)] = 2_592_000_000
    """How far back a claimed time may lie, milliseconds; 30 days."""
    skew_ms: Annotated[int, Meta(ge=0, le=3_600_000)] = 300_000
    """How far ahead of the block a claimed time may lie, milliseconds; 5 minutes."""
    offer_ms: Annotated[int, Meta(ge=60_000, le=2_592_000_000)] = 259_200_000
    """How long an offered lot waits for its acceptance, milliseconds; 3 days."""
    yield_max: Annotated[int, Meta(ge=1, le=100_000)] = 10_000
    """Most mass that a transformation may give, in 1/10,000 of what went in."""


def take_number(state: Overlay, what: str) -> int:
    """The next number of a `lot` or `trip`."""
    number = last_number(state, what) + 1
    state.put(_COUNTERS, what.encode(), number)
    return number


def last_number(state: Reader, what: str) -> int:
    """The number given last; 0 if none was."""
    return state.get(_COUNTERS, what.encode(), int) or 0


def read_lot(state: Reader, lot: int) -> Lot | None:
    """A lot, or None."""
    return state.get(_LOT + wide(lot), _ONLY, Lot)


def write_lot(state: Overlay, lot: Lot) -> None:
    """Set a lot."""
    state.put(_LOT + wide(lot.id), _ONLY, lot)


def read_offer(state: Reader, lot: int) -> Offer | None:
    """The offer of a lot, or None; it may be past its time."""
    return state.get(_LOT + wide(lot), _OFFER, Offer)


def write_offer(state: Overlay, lot: int, offer: Offer | None) -> None:
    """Set or drop the offer of a lot."""
    state.put(_LOT + wide(lot), _OFFER, offer)


def event_id(event: Event) -> bytes:
    """What later events and exports name it by."""
    return tagged(EVENT_TAG, encode(event))


def read_event(state: Reader, lot: int, number: int) -> Event | None:
    """An event of a lot by its number, or None."""
    return state.get(*place(_EVENT + wide(lot), number - 1), Event) if number else None


def write_event(state: Overlay, event: Event) -> None:
    """Add an event; there is none of its number yet (PRV-4)."""
    state.put(*place(_EVENT + wide(event.lot), event.number - 1), event)


def read_events(state: Reader, lot: int, after: int, limit: int) -> tuple[Event, ...]:
    """Events of a lot after a number."""
    found = (read_event(state, lot, number) for number in range(after + 1, after + limit + 1))
    return tuple(event for event in found if event is not None)


def corrected_by(state: Reader, lot: int, number: int) -> int:
    """Number of the event that declared this one wrong; 0 if none did."""
    return state.get(*place(_FIX + wide(lot), number - 1), int) or 0


def write_corrected(state: Overlay, lot: int, number: int, by: int) -> None:
    """Note that an event was declared wrong."""
    state.put(*place(_FIX + wide(lot), number - 1), by)


def write_child(state: Overlay, lot: int, index: int, child: int) -> None:
    """Note a lot that was made of this one."""
    state.put(*place(_CHILD + wide(lot), index), child)


def read_children(state: Reader, lot: int, first: int, limit: int) -> Iterator[int]:
    """Lots that were made of this one, from an index on."""
    for index in range(first, first + limit):
        child = state.get(*place(_CHILD + wide(lot), index), int)
        if child is None:
            return
        yield child


def read_trip(state: Reader, trip: int) -> Trip | None:
    """A trip, or None."""
    return state.get(_TRIP + wide(trip), _ONLY, Trip)


def write_trip(state: Overlay, trip: Trip) -> None:
    """Set a trip."""
    state.put(_TRIP + wide(trip.id), _ONLY, trip)


def read_params(state: Reader) -> Params:
    """The module's parameters."""
    return read_parameters(state, "provenance", Params)


def lot_group(lot: int) -> bytes:
    """The group whose proof shows a lot and its offer."""
    return _LOT + wide(lot)
