"""A lot's chain of events as an EPCIS 2.0 document in JSON-LD, for every tool of the trade (GS1 EPCIS 2.0, CBV 2.0).

Event ids are ours, `urn:ccc:ev:<hash>`: `ni:` ids belong to GS1's own algorithm.  An event that was declared wrong
appears twice, as the standard wants it: as it was, and again with the same id and its error declaration.
"""

from typing import Any, Final

import msgspec

from cccnode.city.provenance.state import Event, Lot, event_id, read_event, read_lot
from cccnode.city.provenance.words import EventKind, Unit
from cccnode.ledger.state import Reader

CONTEXT: Final = "https://ref.gs1.org/standards/epcis/epcis-context.jsonld"
OWN: Final = "urn:ccc:"
"""Prefix of our own identifiers and extension fields."""
_UNITS: Final = {Unit.GRAM: "GRM", Unit.MILLILITRE: "MLT"}
"""UN/ECE Recommendation 20; pieces have no unit of measure."""


def document(state: Reader, lot: Lot, events: tuple[Event, ...]) -> str:
    """An EPCIS document of some of a lot's events, as JSON text; the same on every node."""
    newest = max((event.recorded_ms for event in events), default=lot.made_ms)
    return msgspec.json.encode(
        {
            "@context": [CONTEXT, {"ccc": OWN}],
            "id": f"{OWN}lot:{lot.id}:events",
            "type": "EPCISDocument",
            "schemaVersion": "2.0",
            "creationDate": moment(newest),
            "epcisBody": {"eventList": [exported(state, lot, event) for event in events]},
        }
    ).decode()


def exported(state: Reader, lot: Lot, event: Event) -> dict[str, Any]:
    """One event in the words of the standard."""
    if event.reason is not None:
        wrong = read_event(state, lot.id, event.corrects)
        assert wrong is not None, "only an event that there is can be declared wrong"
        return exported(state, lot, wrong) | {"errorDeclaration": _declaration(state, lot, event)}
    common: dict[str, Any] = {
        "eventTime": moment(event.at_ms),
        "eventTimeZoneOffset": offset(event.offset_minutes),
        "recordTime": moment(event.recorded_ms),
        "eventID": _event_name(event),
        "bizStep": event.step.name.lower(),
        "disposition": event.disposition.name.lower(),
    }
    if event.geo:
        common["readPoint"] = {"id": f"{OWN}geohash:{event.geo}"}
    common |= _parties(event)
    common["ccc:signer"] = f"{OWN}account:{event.signer.hex()}"
    if event.payload is not None:
        common["ccc:payload"] = f"{OWN}sha-256:{event.payload.hex()}"
    return _kind(state, lot, event) | common


def _event_name(event: Event) -> str:
    return f"{OWN}ev:{event_id(event).hex()}"


def _declaration(state: Reader, lot: Lot, event: Event) -> dict[str, Any]:
    """What stands with an event that was wrong."""
    assert event.reason is not None, "a declaration has its reason"
    declared: dict[str, Any] = {
        "declarationTime": moment(event.recorded_ms),
        "reason": event.reason.name.lower(),
    }
    following = read_event(state, lot.id, event.number + 1)
    if following is not None and following.corrects == event.corrects and following.reason is None:
        declared["correctiveEventIDs"] = [_event_name(following)]
    return declared


def _parties(event: Event) -> dict[str, Any]:
    """Between whom goods changed hands."""
    if event.source is None:
        return {}
    kind = "possessing_party"
    return {
        "sourceList": [{"type": kind, "source": f"{OWN}account:{event.source.hex()}"}],
        "destinationList": [{"type": kind, "destination": f"{OWN}account:{event.signer.hex()}"}],
    }


def _kind(state: Reader, lot: Lot, event: Event) -> dict[str, Any]:
    """The type of an event and what it is about."""
    if event.kind is EventKind.TRANSFORMATION:
        return _transformation(state, lot, event)
    about: dict[str, Any] = {"type": "ObjectEvent", "action": event.action.name}
    if event.kind is EventKind.TRANSACTION and event.order:
        about["type"] = "TransactionEvent"
        about["bizTransactionList"] = [{"type": "po", "bizTransaction": f"{OWN}order:{event.order}"}]
    elif event.kind is EventKind.TRANSACTION:
        # A handover without an order is an observation: the standard knows no transaction about nothing.
        about["action"] = "OBSERVE"
    about["quantityList"] = [quantity(lot, event.quantity)]
    return about


def _transformation(state: Reader, lot: Lot, event: Event) -> dict[str, Any]:
    """What went in and what came out."""
    into, out = (
        event.others[: len(event.others) - event.outputs],
        event.others[len(event.others) - event.outputs :],
    )
    if not event.outputs:
        return {
            "type": "TransformationEvent",
            "inputQuantityList": [_of(state, number) for number in into],
            "outputQuantityList": [quantity(lot, lot.initial)],
        }
    before = read_event(state, lot.id, event.number - 1)
    used = 0 if before is None else before.quantity - event.quantity
    return {
        "type": "TransformationEvent",
        "inputQuantityList": [quantity(lot, used), *(_of(state, number) for number in into)],
        "outputQuantityList": [_of(state, number, whole=True) for number in out],
    }


def _of(state: Reader, number: int, *, whole: bool = False) -> dict[str, Any]:
    """Another lot that took part: with its quantity if all of it did."""
    other = read_lot(state, number)
    if other is None or not whole:
        return {"epcClass": f"{OWN}lot:{number}"}
    return quantity(other, other.initial)


def quantity(lot: Lot, amount: int) -> dict[str, Any]:
    """An amount of a lot in the standard's units."""
    row: dict[str, Any] = {"epcClass": f"{OWN}lot:{lot.id}", "quantity": amount}
    unit = _UNITS.get(lot.unit)
    return row if unit is None else row | {"uom": unit}


def offset(minutes: int) -> str:
    """Local time less UTC, as +07:00."""
    sign = "-" if minutes < 0 else "+"
    return f"{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


def moment(time_ms: int) -> str:
    """A time in UTC after ISO 8601, to the millisecond; days are counted from a 1 March in eras of 400 years."""
    days, rest = divmod(time_ms, 86_400_000)
    shifted = days + 719_468
    era, day_of_era = divmod(shifted, 146_097)
    year_of_era = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted_month = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * shifted_month + 2) // 5 + 1
    month = shifted_month + 3 if shifted_month < 10 else shifted_month - 9
    year = year_of_era + era * 400 + (month <= 2)
    seconds, milliseconds = divmod(rest, 1_000)
    hours, minutes = seconds // 3_600, seconds // 60 % 60
    return f"{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds % 60:02}.{milliseconds:03}Z"
