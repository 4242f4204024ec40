"""What holds of goods after every block, as checks that read the whole state (PRV-1 to PRV-6)."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from cccnode.city.provenance.custody import QUEUE, recall_entry
from cccnode.city.provenance.state import (
    LOTS,
    ZERO,
    Event,
    Lot,
    event_id,
    read_children,
    read_events,
    read_lot,
    read_params,
)
from cccnode.city.provenance.words import EventKind, LotStatus
from cccnode.ledger.deadlines import entries
from cccnode.ledger.module import Invariant
from cccnode.ledger.state import Scan

_ALL: Final = 2**62


def lots(scan: Scan) -> Iterator[Lot]:
    """Every lot."""
    for group in scan.groups(LOTS):
        lot = scan.get(group, b"", Lot)
        if lot is not None:
            yield lot


def _events(scan: Scan, lot: Lot) -> tuple[Event, ...]:
    return read_events(scan, lot.id, 0, lot.events)


def one_holder(scan: Scan) -> Iterable[str]:
    """The holder follows from the chain: the maker, then whoever accepted, from whoever held it then."""
    for lot in lots(scan):
        events = _events(scan, lot)
        holder = events[0].signer if events else b""
        for event in events:
            if event.kind is EventKind.TRANSACTION and not event.corrects:
                if event.source != holder:
                    yield f"lot {lot.id}: event {event.number} takes it from somebody who did not hold it"
                holder = event.signer
        if lot.holder != holder:
            yield f"lot {lot.id}: its chain ends with another holder"


def mass(scan: Scan) -> Iterable[str]:
    """For each unit: what was made is there, lost, consumed, or went into other goods."""
    made, found = Counter[str](), Counter[str]()
    for lot in lots(scan):
        if lot.made:
            made[lot.unit.name] += lot.initial
        found[lot.unit.name] += lot.quantity + lot.lost + lot.consumed + lot.transformed
        if lot.initial != lot.quantity + lot.lost + lot.consumed + lot.transformed + lot.passed_on:
            yield f"lot {lot.id}: {lot.initial} does not add up"
    for unit in sorted(made | found):
        if made[unit] != found[unit]:
            yield f"{unit}: {made[unit]} made, {found[unit]} accounted for"


def parts(scan: Scan) -> Iterable[str]:
    """What a lot passed on is what its parts began with; a merged lot began with what its parents passed on."""
    for lot in lots(scan):
        children = (read_lot(scan, number) for number in read_children(scan, lot.id, 0, _ALL))
        mine = [child for child in children if child is not None and not child.made]
        split = sum(child.initial for child in mine if len(child.parents) == 1)
        merged = any(len(child.parents) > 1 for child in mine)
        if split > lot.passed_on or (not merged and split != lot.passed_on):
            yield f"lot {lot.id}: passed {lot.passed_on} on, its parts began with {split}"
        if not lot.made and len(lot.parents) > 1:
            parents = [parent for number in lot.parents if (parent := read_lot(scan, number)) is not None]
            given = sum(parent.passed_on - _split_off(scan, parent) for parent in parents)
            if given != lot.initial:
                yield f"lot {lot.id}: began with {lot.initial}, its parents gave {given}"


def _split_off(scan: Scan, lot: Lot) -> int:
    children = (read_lot(scan, number) for number in read_children(scan, lot.id, 0, _ALL))
    return sum(child.initial for child in children if child is not None and not child.made and len(child.parents) == 1)


def chain(scan: Scan) -> Iterable[str]:
    """Events are numbered without gaps, each names the one before it, and the lot names the last."""
    for lot in lots(scan):
        events, previous = _events(scan, lot), ZERO
        if len(events) != lot.events or not events:
            yield f"lot {lot.id}: {len(events)} events of {lot.events}"
        for number, event in enumerate(events, 1):
            if (event.lot, event.number, event.previous) != (lot.id, number, previous):
                yield f"lot {lot.id}: event {number} is not the next of its chain"
            previous = event_id(event)
        if previous != lot.head:
            yield f"lot {lot.id}: its head is not its last event"


def recalls(scan: Scan) -> Iterable[str]:
    """What was made of recalled goods is recalled, or is just about to be."""
    waiting = {entry[:9] for _, entry in entries(scan, QUEUE)}
    for lot in lots(scan):
        if lot.status is not LotStatus.RECALLED or recall_entry(lot.id, 0, b"")[:9] in waiting:
            continue
        for number in read_children(scan, lot.id, 0, _ALL):
            child = read_lot(scan, number)
            if child is not None and child.status is not LotStatus.RECALLED:
                yield f"lot {number}: made of recalled lot {lot.id} and not recalled"


def times(scan: Scan) -> Iterable[str]:
    """No event claims to be later than the block that recorded it, but for what clocks may differ."""
    skew = read_params(scan).skew_ms
    for lot in lots(scan):
        for event in _events(scan, lot):
            if event.at_ms > event.recorded_ms + skew:
                yield f"lot {lot.id}: event {event.number} is dated ahead"


INVARIANTS: Final = (
    Invariant(
        name="PRV-1",
        en="A lot has one holder, and changes hands only by an accepted offer.",
        th="ล็อตมีผู้ครอบครองเดียว และเปลี่ยนมือเมื่อมีการเสนอและรับมอบเท่านั้น",
        check=one_holder,
    ),
    Invariant(
        name="PRV-2",
        en="What was made is there, lost, consumed, or went into other goods.",
        th="ปริมาณที่ผลิตเท่ากับที่เหลือ สูญหาย ใช้ไป และแปรรูปรวมกัน",
        check=mass,
    ),
    Invariant(
        name="PRV-3",
        en="Parts and rest together are what was divided.",
        th="ส่วนที่แบ่งกับส่วนที่เหลือรวมกันเท่าของเดิม",
        check=parts,
    ),
    Invariant(
        name="PRV-4",
        en="The events of a lot are a chain without gaps and edits.",
        th="เหตุการณ์ของล็อตต่อกันเป็นลูกโซ่ ไม่มีช่องว่างและไม่ถูกแก้",
        check=chain,
    ),
    Invariant(
        name="PRV-5",
        en="What was made of recalled goods is recalled.",
        th="สิ่งที่ผลิตจากล็อตที่ถูกเรียกคืนย่อมถูกเรียกคืนด้วย",
        check=recalls,
    ),
    Invariant(
        name="PRV-6",
        en="No event is dated ahead of its block by more than clocks may differ.",
        th="ไม่มีเหตุการณ์ที่ลงเวลาล้ำหน้าบล็อกเกินกว่าที่นาฬิกาคลาดเคลื่อนได้",
        check=times,
    ),
)
