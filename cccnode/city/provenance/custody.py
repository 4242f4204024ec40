"""Handing over, travelling, correcting and calling back (modules.md 3.7).

A lot changes hands by an offer and its acceptance, both signed, and in no other way (PRV-1).
"""

from typing import Final

from msgspec.structs import replace

from cccnode.city.members.state import Status, has_role, read_account
from cccnode.city.provenance.chain import add_event, check_not_offered, found, held, seen, usable
from cccnode.city.provenance.errors import (
    CORRECTED,
    MASS,
    NOT_ALIKE,
    NOT_ALLOWED,
    NOT_OFFERED,
    NOT_SIGNER,
    RECALLED,
    STATUS,
    TARGET,
    UNKNOWN_EVENT,
    UNKNOWN_TRIP,
)
from cccnode.city.provenance.messages import (
    Observation,
    PrvAccept,
    PrvCorrect,
    PrvOffer,
    PrvRecall,
    PrvReject,
    PrvSensor,
    PrvTripEnd,
    PrvTripStart,
)
from cccnode.city.provenance.rules import check_time
from cccnode.city.provenance.state import (
    Lot,
    Offer,
    Trip,
    TripStatus,
    corrected_by,
    read_children,
    read_event,
    read_lot,
    read_offer,
    read_params,
    read_trip,
    take_number,
    write_corrected,
    write_lot,
    write_offer,
    write_trip,
)
from cccnode.city.provenance.words import Action, Disposition, EventKind, LotStatus, Step
from cccnode.ledger.deadlines import schedule, take_due
from cccnode.ledger.module import Context
from cccnode.types.errors import fault

QUEUE: Final = "provenance"
_OFFER: Final = b"o"
_RECALL: Final = b"r"
_CHILDREN: Final = 16
"""Lots that one entry of the queue marks as recalled; the rest of a large family follows in further entries."""


def offer(context: Context, message: PrvOffer) -> None:
    """Offer a lot to its next holder."""
    state, lot = context.state, held(context, message.lot)
    if lot.status is LotStatus.RECALLED and message.to != lot.origin:
        raise fault(RECALLED, lot=lot.id)
    if lot.status not in {LotStatus.ACTIVE, LotStatus.IN_TRANSIT, LotStatus.RECALLED} or not lot.quantity:
        raise fault(STATUS, lot=lot.id, status=lot.status.name.lower())
    check_not_offered(context, lot.id)
    target = read_account(state, message.to)
    if message.to == context.account or target is None or target.status is not Status.ACTIVE:
        raise fault(TARGET, to=message.to)
    expires = context.time_ms + read_params(state).offer_ms
    write_offer(state, lot.id, Offer(message.to, message.order, expires))
    schedule(state, QUEUE, expires, _OFFER + lot.id.to_bytes(8, "big"))
    context.emit("provenance", "offered", lot.id, context.account, message.to, message.order)


def accept(context: Context, message: PrvAccept) -> None:
    """Take a lot over; what the new holder did not find is lost (two signatures, one quantity)."""
    state, lot = context.state, found(context.state, message.lot)
    waiting = _waiting(context, lot)
    if waiting.to != context.account:
        raise fault(NOT_OFFERED, lot=lot.id)
    if lot.status is LotStatus.RECALLED and context.account != lot.origin:
        raise fault(RECALLED, lot=lot.id)
    if message.observed > lot.quantity:
        raise fault(MASS, lot=lot.id, there=lot.quantity, needed=message.observed)
    source, missing = lot.holder, lot.quantity - message.observed
    lot = replace(
        lot,
        holder=context.account,
        quantity=message.observed,
        lost=lot.lost + missing,
        status=_after_handover(lot, message.observed),
        trip=0,
    )
    disposition = Disposition.MISMATCH_QUANTITY if missing else Disposition.IN_PROGRESS
    what = Observation(Step.ACCEPTING, disposition, context.time_ms, 0, lot.geo, message.condition)
    lot = add_event(context, lot, what, EventKind.TRANSACTION, Action.ADD, source=source, order=waiting.order)
    write_lot(state, lot)
    write_offer(state, lot.id, None)
    context.emit("provenance", "accepted", lot.id, source, context.account, message.observed, waiting.order)
    if missing:
        context.emit("provenance", "mismatch", lot.id, missing, source, context.account)
    if waiting.order:
        context.call("provenance/handed_over", lot.id, waiting.order, source, context.account, message.observed)


def _waiting(context: Context, lot: Lot) -> Offer:
    """The offer of a lot that is still open."""
    waiting = read_offer(context.state, lot.id)
    if waiting is None or context.time_ms >= waiting.expires_ms:
        raise fault(NOT_OFFERED, lot=lot.id)
    return waiting


def _after_handover(lot: Lot, observed: int) -> LotStatus:
    if lot.status is LotStatus.RECALLED:
        return LotStatus.RECALLED
    return LotStatus.ACTIVE if observed else LotStatus.LOST


def reject(context: Context, message: PrvReject) -> None:
    """Refuse an offer, or withdraw it."""
    lot = found(context.state, message.lot)
    waiting = _waiting(context, lot)
    if context.account not in (waiting.to, lot.holder):
        raise fault(NOT_OFFERED, lot=lot.id)
    write_offer(context.state, lot.id, None)
    context.emit("provenance", "rejected", lot.id, lot.holder, waiting.to, context.account)


def correct(context: Context, message: PrvCorrect) -> None:
    """Declare an event wrong, and append what is right; the wrong one stays readable (PRV-4)."""
    state, lot = context.state, found(context.state, message.lot)
    event = read_event(state, lot.id, message.event)
    if event is None:
        raise fault(UNKNOWN_EVENT, lot=lot.id, event=message.event)
    if context.account != event.signer and not has_role(state, context.account, "auditor"):
        raise fault(NOT_SIGNER, lot=lot.id, event=message.event)
    if corrected_by(state, lot.id, event.number):
        raise fault(CORRECTED, lot=lot.id, event=message.event)
    if message.replacement is not None:
        check_time(context, message.replacement.at_ms)
    what = Observation(event.step, event.disposition, context.time_ms, 0, event.geo, None)
    lot = add_event(context, lot, what, event.kind, event.action, corrects=event.number, reason=message.reason)
    write_corrected(state, lot.id, event.number, lot.events)
    if message.replacement is not None:
        lot = add_event(context, lot, message.replacement, corrects=event.number)
    write_lot(state, lot)
    context.emit("provenance", "corrected", lot.id, event.number, lot.events, context.account)


def recall(context: Context, message: PrvRecall) -> None:
    """Mark a lot and begin to mark everything that was made of it (PRV-5)."""
    lot = found(context.state, message.lot)
    if context.account != lot.origin and not has_role(context.state, context.account, "regulator"):
        raise fault(NOT_ALLOWED, lot=lot.id)
    if lot.status is LotStatus.RECALLED:
        raise fault(RECALLED, lot=lot.id)
    _mark(context, lot, message.reason, context.account)


def _mark(context: Context, lot: Lot, reason: bytes | None, by: bytes) -> None:
    """Set one lot to recalled, and wake the queue for its children, in this block while there is room."""
    what = Observation(Step.HOLDING, Disposition.RECALLED, context.time_ms, 0, lot.geo, reason)
    lot = add_event(context, replace(lot, status=LotStatus.RECALLED), what, signer=by)
    write_lot(context.state, lot)
    if lot.children:
        schedule(context.state, QUEUE, context.time_ms, recall_entry(lot.id, 0, by))
    context.emit("provenance", "recalled", lot.id, lot.origin, lot.holder)


def recall_entry(lot: int, first: int, by: bytes) -> bytes:
    """The queue's entry: children of a lot from an index on are to be recalled, as somebody said."""
    return _RECALL + lot.to_bytes(8, "big") + first.to_bytes(8, "big") + by


def end_block(context: Context) -> None:
    """Drop offers whose time is over; pass recalls on."""
    for due_ms, entry in take_due(context.state, QUEUE, context.time_ms):
        lot = int.from_bytes(entry[1:9], "big")
        if entry[:1] == _RECALL:
            _pass_on(context, lot, int.from_bytes(entry[9:17], "big"), entry[17:])
            continue
        waiting = read_offer(context.state, lot)
        if waiting is not None and waiting.expires_ms == due_ms:
            write_offer(context.state, lot, None)
            context.emit("provenance", "offer_expired", lot, waiting.to)


def _pass_on(context: Context, parent: int, first: int, by: bytes) -> None:
    """Recall some children of a recalled lot."""
    children = [*read_children(context.state, parent, first, _CHILDREN)]
    if len(children) == _CHILDREN:
        schedule(context.state, QUEUE, context.time_ms, recall_entry(parent, first + _CHILDREN, by))
    for number in children:
        child = read_lot(context.state, number)
        if child is not None and child.status is not LotStatus.RECALLED:
            _mark(context, child, None, by)


def start_trip(context: Context, message: PrvTripStart) -> None:
    """Load lots and set out."""
    if len(set(message.lots)) < len(message.lots):
        raise fault(NOT_ALIKE, lots=list(message.lots))
    lots = [usable(context, number) for number in message.lots]
    trip = Trip(
        id=take_number(context.state, "trip"),
        carrier=context.account,
        lots=message.lots,
        started_ms=context.time_ms,
        ended_ms=0,
        sensor=None,
        anchors=0,
        status=TripStatus.OPEN,
    )
    write_trip(context.state, trip)
    for lot in lots:
        loaded = replace(lot, status=LotStatus.IN_TRANSIT, trip=trip.id)
        what = seen(context, lot, Step.DEPARTING, Disposition.IN_TRANSIT)
        write_lot(context.state, add_event(context, loaded, what))
    context.emit("provenance", "trip_started", trip.id, context.account, len(lots))


def _own_trip(context: Context, number: int) -> Trip:
    """A trip of the acting account that is under way."""
    trip = read_trip(context.state, number)
    if trip is None or trip.carrier != context.account or trip.status is not TripStatus.OPEN:
        raise fault(UNKNOWN_TRIP, trip=number)
    return trip


def _aboard(context: Context, trip: Trip) -> list[Lot]:
    """Lots of a trip that were not handed over meanwhile."""
    lots = (read_lot(context.state, number) for number in trip.lots)
    return [lot for lot in lots if lot is not None and lot.trip == trip.id]


def end_trip(context: Context, message: PrvTripEnd) -> None:
    """Unload what is still held."""
    trip = _own_trip(context, message.trip)
    for lot in _aboard(context, trip):
        status = LotStatus.ACTIVE if lot.status is LotStatus.IN_TRANSIT else lot.status
        what = seen(context, lot, Step.UNLOADING, Disposition.IN_PROGRESS)
        write_lot(context.state, add_event(context, replace(lot, status=status, trip=0), what))
    write_trip(context.state, replace(trip, status=TripStatus.ENDED, ended_ms=context.time_ms))
    context.emit("provenance", "trip_ended", trip.id, context.account)


def sensor(context: Context, message: PrvSensor) -> None:
    """Anchor a sensor log in every lot that is aboard."""
    trip = _own_trip(context, message.trip)
    for lot in _aboard(context, trip):
        what = Observation(Step.SENSOR_REPORTING, Disposition.IN_TRANSIT, context.time_ms, 0, lot.geo, message.root)
        write_lot(context.state, add_event(context, lot, what))
    write_trip(context.state, replace(trip, sensor=message.root, anchors=trip.anchors + 1))
    context.emit("provenance", "sensor", trip.id, context.account, message.root)
