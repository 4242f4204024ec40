"""What the life of a lot is made of: made, seen, divided, put together, transformed, used up (modules.md 3.7).

Goods only become less: every message accounts for what it takes (PRV-2, PRV-3).
"""

from msgspec.structs import replace

from cccnode.city.members.state import has_role
from cccnode.city.provenance.chain import add_child, add_event, check_active, check_not_offered, held, seen, usable
from cccnode.city.provenance.errors import MASS, NOT_A_PRODUCER, NOT_ALIKE, RECALLED, STATUS, TIME
from cccnode.city.provenance.messages import (
    Input,
    Observation,
    Output,
    PrvConsume,
    PrvCreateLot,
    PrvEvent,
    PrvMerge,
    PrvSplit,
    PrvTransform,
)
from cccnode.city.provenance.state import TRAIL_MAX, ZERO, Lot, Sale, read_params, take_number, write_lot
from cccnode.city.provenance.words import (
    QUANTITY_MAX,
    Action,
    Disposition,
    EventKind,
    LotStatus,
    Step,
    Unit,
)
from cccnode.ledger.module import Context
from cccnode.ledger.state import Overlay
from cccnode.types.errors import fault

GRAMS: int = 1_000
"""The factor of goods that are counted in grams."""


def create_lot(context: Context, message: PrvCreateLot) -> None:
    """Bring a new lot in."""
    if not has_role(context.state, context.account, "producer"):
        raise fault(NOT_A_PRODUCER, account=context.account)
    check_time(context, message.made_ms)
    lot = _new(
        context,
        Lot(
            id=take_number(context.state, "lot"),
            origin=context.account,
            holder=context.account,
            commodity=message.commodity,
            unit=message.unit,
            initial=message.quantity,
            quantity=message.quantity,
            lost=0,
            consumed=0,
            transformed=0,
            passed_on=0,
            status=LotStatus.ACTIVE,
            parents=(),
            made=True,
            children=0,
            geo=message.geo,
            made_ms=message.made_ms,
            certificates=message.certificates,
            trail=(),
            head=ZERO,
            events=0,
            trip=0,
        ),
    )
    what = Observation(Step.COMMISSIONING, Disposition.ACTIVE, message.made_ms, 0, message.geo, None)
    write_lot(context.state, add_event(context, lot, what, action=Action.ADD))


def check_time(context: Context, at_ms: int) -> None:
    """Refuse a claimed time too far from now (PRV-6)."""
    params = read_params(context.state)
    if not context.time_ms - params.backdate_ms <= at_ms <= context.time_ms + params.skew_ms:
        raise fault(TIME, at_ms=at_ms, now_ms=context.time_ms)


def observe(context: Context, message: PrvEvent) -> None:
    """Write down what the holder saw."""
    lot = held(context, message.lot)
    check_time(context, message.observation.at_ms)
    if lot.status not in {LotStatus.ACTIVE, LotStatus.IN_TRANSIT, LotStatus.RECALLED}:
        raise fault(STATUS, lot=lot.id, status=lot.status.name.lower())
    lot = add_event(context, lot, message.observation)
    write_lot(context.state, replace(lot, geo=message.observation.geo or lot.geo))
    context.emit("provenance", "observed", lot.id, lot.events, context.account)


def split(context: Context, message: PrvSplit) -> None:
    """Take parts out of a lot."""
    lot, taken = usable(context, message.lot), sum(message.quantities)
    if taken > lot.quantity:
        raise fault(MASS, lot=lot.id, there=lot.quantity, needed=taken)
    parts = [_part_of(context, lot, quantity) for quantity in message.quantities]
    for part in parts:
        lot = add_child(context.state, lot, part)
    rest = lot.quantity - taken
    lot = replace(
        lot,
        quantity=rest,
        passed_on=lot.passed_on + taken,
        status=lot.status if rest else LotStatus.SPLIT,
    )
    what = seen(context, lot, Step.REPACKAGING, Disposition.IN_PROGRESS)
    lot = add_event(context, lot, what, EventKind.OBJECT, Action.OBSERVE, others=tuple(parts), outputs=len(parts))
    write_lot(context.state, lot)
    for part in parts:
        context.emit("provenance", "split", lot.id, part, context.account)


def _part_of(context: Context, lot: Lot, quantity: int) -> int:
    """Make a lot out of some of another; return its number."""
    part = replace(
        lot,
        id=take_number(context.state, "lot"),
        initial=quantity,
        quantity=quantity,
        lost=0,
        consumed=0,
        transformed=0,
        passed_on=0,
        parents=(lot.id,),
        made=False,
        children=0,
        head=ZERO,
        events=0,
    )
    what = seen(context, part, Step.REPACKAGING, Disposition.ACTIVE)
    write_lot(context.state, add_event(context, _new(context, part), what, action=Action.ADD, others=(lot.id,)))
    return part.id


def merge(context: Context, message: PrvMerge) -> None:
    """Put lots together.  Only those of one origin: otherwise who grew them would be hidden behind who mixed them."""
    lots = _inputs(context, message.lots)
    first, total = lots[0], sum(lot.quantity for lot in lots)
    if any((lot.origin, lot.commodity, lot.unit) != (first.origin, first.commodity, first.unit) for lot in lots):
        raise fault(NOT_ALIKE, lots=list(message.lots))
    if total > QUANTITY_MAX:
        raise fault(MASS, needed=total)
    merged = replace(
        first,
        id=take_number(context.state, "lot"),
        initial=total,
        quantity=total,
        lost=0,
        consumed=0,
        transformed=0,
        passed_on=0,
        parents=message.lots,
        made=False,
        children=0,
        made_ms=min(lot.made_ms for lot in lots),
        certificates=(),
        trail=_joined(lots),
        head=ZERO,
        events=0,
    )
    what = seen(context, merged, Step.REPACKAGING, Disposition.ACTIVE)
    merged = add_event(context, _new(context, merged), what, action=Action.ADD, others=message.lots)
    write_lot(context.state, merged)
    for lot in lots:
        emptied = replace(
            add_child(context.state, lot, merged.id),
            quantity=0,
            passed_on=lot.passed_on + lot.quantity,
            status=LotStatus.MERGED,
        )
        what = seen(context, lot, Step.REPACKAGING, Disposition.INACTIVE)
        emptied = add_event(context, emptied, what, action=Action.DELETE, others=(merged.id,), outputs=1)
        write_lot(context.state, emptied)
        context.emit("provenance", "merged", lot.id, merged.id, context.account)


def _inputs(context: Context, numbers: tuple[int, ...]) -> list[Lot]:
    """Different lots that the acting account may use up."""
    if len(set(numbers)) < len(numbers):
        raise fault(NOT_ALIKE, lots=list(numbers))
    return [usable(context, number) for number in numbers]


def _joined(lots: list[Lot]) -> tuple[Sale, ...]:
    """The sales of all, each once, by order."""
    sales = {sale.order: sale for lot in lots for sale in lot.trail}
    return shortened(tuple(sales[order] for order in sorted(sales)))


def shortened(trail: tuple[Sale, ...]) -> tuple[Sale, ...]:
    """The first sale, which paid the producer, and the newest ones."""
    return trail if len(trail) <= TRAIL_MAX else (trail[0], *trail[1 - TRAIL_MAX :])


def transform(context: Context, message: PrvTransform) -> None:
    """Make other goods; their mass by the recipe's factors is at most what went in (PRV-2)."""
    numbers = tuple(row.lot for row in message.inputs)
    lots = _inputs(context, numbers)
    _check_mass(context, lots, message)
    first = lots[0]
    outputs = [
        _made_of(context, first, numbers, output, message, place=place) for place, output in enumerate(message.outputs)
    ]
    for lot, row in zip(lots, message.inputs, strict=True):
        _use(context, lot, row, message, (*(n for n in numbers if n != lot.id), *outputs), outputs)
    for number in numbers:
        for output in outputs:
            context.emit("provenance", "transformed", number, output, context.account)


def _check_mass(context: Context, lots: list[Lot], message: PrvTransform) -> None:
    """Refuse to take what is not there, or to make more than went in."""
    for lot, row in zip(lots, message.inputs, strict=True):
        if row.quantity > lot.quantity:
            raise fault(MASS, lot=lot.id, there=lot.quantity, needed=row.quantity)
    grams = [lot.unit is Unit.GRAM and row.factor != GRAMS for lot, row in zip(lots, message.inputs, strict=True)]
    if any(grams) or any(row.unit is Unit.GRAM and row.factor != GRAMS for row in message.outputs):
        raise fault(MASS, factor=GRAMS)
    into = sum(row.quantity * row.factor for row in message.inputs)
    out = sum(row.quantity * row.factor for row in message.outputs)
    most = into * read_params(context.state).yield_max // 10_000
    if out > most:
        raise fault(MASS, there=most // GRAMS, needed=out // GRAMS)


def _made_of(
    context: Context, first: Lot, inputs: tuple[int, ...], output: Output, message: PrvTransform, *, place: int
) -> int:
    """Make one lot of a transformation; return its number."""
    lot = Lot(
        id=take_number(context.state, "lot"),
        origin=context.account,
        holder=context.account,
        commodity=output.commodity,
        unit=output.unit,
        initial=output.quantity,
        quantity=output.quantity,
        lost=0,
        consumed=0,
        transformed=0,
        passed_on=0,
        status=LotStatus.ACTIVE,
        parents=inputs,
        made=True,
        children=0,
        geo=message.geo or first.geo,
        made_ms=context.time_ms,
        certificates=(message.recipe,),
        trail=(),
        head=ZERO,
        events=0,
        trip=0,
    )
    what = Observation(Step.CREATING_CLASS_INSTANCE, Disposition.ACTIVE, context.time_ms, 0, lot.geo, message.recipe)
    made = add_event(context, _new(context, lot), what, EventKind.TRANSFORMATION, Action.ADD, others=inputs, outputs=0)
    write_lot(context.state, made)
    return lot.id


def _use(
    context: Context, lot: Lot, row: Input, message: PrvTransform, others: tuple[int, ...], outputs: list[int]
) -> None:
    """Take out of a lot what a transformation used."""
    for output in outputs:
        lot = add_child(context.state, lot, output)
    rest = lot.quantity - row.quantity
    lot = replace(
        lot,
        quantity=rest,
        transformed=lot.transformed + row.quantity,
        status=lot.status if rest else LotStatus.TRANSFORMED,
    )
    disposition = Disposition.IN_PROGRESS if rest else Disposition.INACTIVE
    what = Observation(
        Step.CREATING_CLASS_INSTANCE, disposition, context.time_ms, 0, message.geo or lot.geo, message.recipe
    )
    lot = add_event(context, lot, what, EventKind.TRANSFORMATION, Action.DELETE, others=others, outputs=len(outputs))
    write_lot(context.state, lot)


def consume(context: Context, message: PrvConsume) -> None:
    """Take goods out of the chain for good; recalled ones may be destroyed."""
    lot = held(context, message.lot)
    recalled = lot.status is LotStatus.RECALLED
    if recalled and not message.destroyed:
        raise fault(RECALLED, lot=lot.id)
    if not recalled:
        check_active(lot)
    check_not_offered(context, lot.id)
    if message.quantity > lot.quantity:
        raise fault(MASS, lot=lot.id, there=lot.quantity, needed=message.quantity)
    rest = lot.quantity - message.quantity
    ended = LotStatus.DESTROYED if message.destroyed else LotStatus.CONSUMED
    lot = replace(
        lot,
        quantity=rest,
        consumed=lot.consumed + message.quantity,
        status=lot.status if rest or recalled else ended,
    )
    step, disposition = (
        (Step.DESTROYING, Disposition.DESTROYED)
        if message.destroyed
        else (Step.RETAIL_SELLING, Disposition.RETAIL_SOLD)
    )
    lot = add_event(context, lot, seen(context, lot, step, disposition), action=Action.DELETE)
    write_lot(context.state, lot)
    name = "destroyed" if message.destroyed else "consumed"
    context.emit("provenance", name, lot.id, message.quantity, context.account)


def note_sale(state: Overlay, lot: Lot, sale: Sale) -> None:
    """Write a settled price into a lot's trail; the market calls it (modules.md 3.14)."""
    write_lot(state, replace(lot, trail=shortened((*lot.trail, sale))))


def _new(context: Context, lot: Lot) -> Lot:
    """Make a new lot known."""
    context.emit("provenance", "created", lot.id, lot.origin, lot.commodity, lot.quantity)
    return lot
