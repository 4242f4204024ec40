"""What anyone may ask about goods."""

from typing import Annotated, Final

from msgspec import Meta

from cccnode.city.provenance.epcis import document
from cccnode.city.provenance.state import (
    Event,
    Lot,
    Offer,
    Trip,
    corrected_by,
    event_id,
    read_children,
    read_events,
    read_lot,
    read_offer,
    read_trip,
)
from cccnode.city.provenance.words import LotId, LotStatus, Whole
from cccnode.codec import Noun
from cccnode.ledger.state import Reader
from cccnode.types.errors import NOT_FOUND, fault
from cccnode.types.scalars import U63, AccountId, Hash

EVENTS_MAX: Final = 64
"""Events in one answer."""
FAMILY_MAX: Final = 256
"""Lots of a family in one answer, in each direction."""


class LotParams(Noun, frozen=True, array_like=True, gc=False):
    """Which lot."""

    lot: LotId


class TraceParams(Noun, frozen=True, array_like=True, gc=False):
    """Which lot, and from where in its chain of events."""

    lot: LotId
    after: U63 = 0
    """Number of the last event already seen."""
    limit: Annotated[int, Meta(ge=1, le=EVENTS_MAX)] = EVENTS_MAX


class TripParams(Noun, frozen=True, array_like=True, gc=False):
    """Which trip."""

    trip: U63


class Relative(Noun, frozen=True, array_like=True, gc=False):
    """A lot that another was made of, or that was made of it."""

    lot: LotId
    origin: AccountId
    holder: AccountId
    quantity: Whole
    status: LotStatus
    generation: U63
    """How many steps away."""


class TracedEvent(Noun, frozen=True, array_like=True, gc=False):
    """An event with its id, and the event that declared it wrong, or 0."""

    id: Hash
    event: Event
    corrected_by: U63


class TraceAnswer(Noun, frozen=True, array_like=True, gc=False):
    """Where goods come from and what became of them."""

    lot: Lot
    offer: Offer | None
    events: tuple[TracedEvent, ...]
    ancestors: tuple[Relative, ...]
    """Nearest first."""
    descendants: tuple[Relative, ...]
    more: bool
    """Whether the family is larger than one answer; ask for the last ones named."""


class EpcisAnswer(Noun, frozen=True, array_like=True, gc=False):
    """A lot's events for other systems."""

    document: str
    """EPCIS 2.0, JSON-LD."""
    next_after: U63
    """Where to go on; 0 at the end."""


class HolderAnswer(Noun, frozen=True, array_like=True, gc=False):
    """In whose hands a lot is, and who waits for it."""

    lot: LotId
    holder: AccountId
    offered_to: AccountId | None
    status: LotStatus


def prv_trace(state: Reader, params: TraceParams) -> TraceAnswer:
    """A lot with its events, what it was made of and what was made of it."""
    lot = _known(state, params.lot)
    events = tuple(
        TracedEvent(event_id(event), event, corrected_by(state, lot.id, event.number))
        for event in read_events(state, lot.id, params.after, params.limit)
    )
    up, more_up = family(state, lot, upward=True)
    down, more_down = family(state, lot, upward=False)
    return TraceAnswer(lot, read_offer(state, lot.id), events, up, down, more_up or more_down)


def prv_holder(state: Reader, params: LotParams) -> HolderAnswer:
    """In whose hands a lot is."""
    lot, offer = _known(state, params.lot), read_offer(state, params.lot)
    return HolderAnswer(lot.id, lot.holder, None if offer is None else offer.to, lot.status)


def prv_epcis(state: Reader, params: TraceParams) -> EpcisAnswer:
    """A lot's events as an EPCIS 2.0 document; ask again with `next_after` for the rest."""
    lot = _known(state, params.lot)
    events = read_events(state, lot.id, params.after, params.limit)
    last = params.after + len(events)
    return EpcisAnswer(document(state, lot, events), last if events and last < lot.events else 0)


def prv_trip(state: Reader, params: TripParams) -> Trip:
    """A trip; rpc/NOT_FOUND when there is none."""
    trip = read_trip(state, params.trip)
    if trip is None:
        raise fault(NOT_FOUND, trip=params.trip)
    return trip


def family(state: Reader, lot: Lot, *, upward: bool) -> tuple[tuple[Relative, ...], bool]:
    """Relatives in one direction, nearest first, at most `FAMILY_MAX`; and whether there are more."""
    known, row, found = {lot.id}, [lot], list[Relative]()
    generation = 0
    while row:
        generation += 1
        following: list[Lot] = []
        for one in row:
            room = FAMILY_MAX - len(found)
            numbers = one.parents if upward else read_children(state, one.id, 0, room + 1)
            for number in numbers:
                relative = read_lot(state, number)
                if relative is None or number in known:
                    continue
                if len(found) == FAMILY_MAX:
                    return tuple(found), True
                known.add(number)
                following.append(relative)
                found.append(
                    Relative(number, relative.origin, relative.holder, relative.quantity, relative.status, generation)
                )
        row = following
    return tuple(found), False


def _known(state: Reader, number: int) -> Lot:
    lot = read_lot(state, number)
    if lot is None:
        raise fault(NOT_FOUND, lot=number)
    return lot
