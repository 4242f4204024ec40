"""What every rule about lots is made of: finding a lot that one may use, and adding an event to its chain."""

from msgspec.structs import replace

from cccnode.city.provenance.errors import NOT_HOLDER, OFFERED, RECALLED, STATUS, UNKNOWN_LOT
from cccnode.city.provenance.messages import Observation
from cccnode.city.provenance.state import Event, Lot, event_id, read_lot, read_offer, write_child, write_event
from cccnode.city.provenance.words import Action, Disposition, EventKind, LotStatus, Reason, Step
from cccnode.ledger.module import Context
from cccnode.ledger.state import Overlay, Reader
from cccnode.types.errors import fault


def found(state: Reader, number: int) -> Lot:
    """A lot.

    Raises:
        Fault: provenance/UNKNOWN_LOT.
    """
    lot = read_lot(state, number)
    if lot is None:
        raise fault(UNKNOWN_LOT, lot=number)
    return lot


def held(context: Context, number: int) -> Lot:
    """A lot that the acting account holds, whatever its status.

    Raises:
        Fault: provenance/UNKNOWN_LOT or NOT_HOLDER.
    """
    lot = found(context.state, number)
    if lot.holder != context.account:
        raise fault(NOT_HOLDER, lot=number, holder=lot.holder)
    return lot


def usable(context: Context, number: int) -> Lot:
    """A lot that the acting account holds and may divide, mix, use up or load.

    Raises:
        Fault: as `held`, or provenance/RECALLED, STATUS, OFFERED.
    """
    lot = held(context, number)
    check_active(lot)
    check_not_offered(context, number)
    return lot


def check_active(lot: Lot) -> None:
    """Refuse what is recalled, used up or on a trip."""
    if lot.status is LotStatus.RECALLED:
        raise fault(RECALLED, lot=lot.id)
    if lot.status is not LotStatus.ACTIVE:
        raise fault(STATUS, lot=lot.id, status=lot.status.name.lower())


def check_not_offered(context: Context, number: int) -> None:
    """Refuse what waits for somebody's answer."""
    offer = read_offer(context.state, number)
    if offer is not None and context.time_ms < offer.expires_ms:
        raise fault(OFFERED, lot=number, to=offer.to)


def seen(context: Context, lot: Lot, step: Step, disposition: Disposition) -> Observation:
    """An observation made by the chain itself: now, where the lot was last."""
    return Observation(step, disposition, context.time_ms, 0, lot.geo, None)


def add_event(
    context: Context,
    lot: Lot,
    what: Observation,
    kind: EventKind = EventKind.OBJECT,
    action: Action = Action.OBSERVE,
    *,
    others: tuple[int, ...] = (),
    outputs: int = 0,
    source: bytes | None = None,
    order: int = 0,
    corrects: int = 0,
    reason: Reason | None = None,
    signer: bytes | None = None,
) -> Lot:
    """Append an event to a lot's chain; return the lot with its new head, which the caller writes."""
    event = Event(
        lot=lot.id,
        number=lot.events + 1,
        kind=kind,
        action=action,
        step=what.step,
        disposition=what.disposition,
        at_ms=what.at_ms,
        offset_minutes=what.offset_minutes,
        recorded_ms=context.time_ms,
        geo=what.geo,
        quantity=lot.quantity,
        others=others,
        outputs=outputs,
        source=source,
        order=order,
        payload=what.payload,
        signer=context.account if signer is None else signer,
        previous=lot.head,
        corrects=corrects,
        reason=reason,
    )
    write_event(context.state, event)
    return replace(lot, head=event_id(event), events=event.number)


def add_child(state: Overlay, lot: Lot, child: int) -> Lot:
    """Note that a lot was made of this one; return it, which the caller writes."""
    write_child(state, lot.id, lot.children, child)
    return replace(lot, children=lot.children + 1)
