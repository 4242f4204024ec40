"""Quarrels: an arbitrator is drawn, rules, and may be appealed against once (modules.md 3.6).

Nobody can hold the money by being silent: who misses his time is replaced, and in the end the escrow is split.
"""

from hashlib import sha256
from typing import Final

from msgspec.structs import replace

from cccnode.city.bank.rules import move
from cccnode.city.market.errors import APPEALED, NOT_A_PARTY, NOT_THE_ARBITRATOR, RULING
from cccnode.city.market.messages import AtFault, MktAppeal, MktDispute, MktRule, Ruling
from cccnode.city.market.rules import LISTING, ORDER, QUEUE, end_listing, go, open_order
from cccnode.city.market.settling import BY_DEFAULT, CONTENT, refund, settle
from cccnode.city.market.state import (
    MARKET,
    PANEL,
    Dispute,
    ListingStatus,
    Order,
    OrderStatus,
    Seat,
    parties,
    read_dispute,
    read_listing,
    read_order,
    read_params,
    write_dispute,
)
from cccnode.city.members.state import has_role, read_account, role_holders
from cccnode.ledger.deadlines import take_due
from cccnode.ledger.module import Context
from cccnode.ledger.state import Reader
from cccnode.types.errors import Fault, fault
from cccnode.types.units import DAY_MS

ARBITRATOR: Final = "arbitrator"


def dispute(context: Context, message: MktDispute) -> None:
    """Ask for an arbitrator."""
    order = open_order(context, message.order, OrderStatus.SHIPPED, OrderStatus.DELIVERED)
    if context.account not in (order.buyer, order.seller):
        raise fault(NOT_A_PARTY, order=order.id)
    bond = read_params(context.state).dispute_bond
    order = _take_bond(context, order, bond)
    _open(context, order, by=context.account, bond=bond, evidence=message.evidence)


def _take_bond(context: Context, order: Order, bond: int) -> Order:
    """Put a bond beside the escrow."""
    if bond:
        move(context.state, source=context.account, target=MARKET, asset=order.asset, amount=bond)
    return replace(order, bond=order.bond + bond)


def _open(context: Context, order: Order, *, by: bytes | None, bond: int, evidence: bytes | None) -> None:
    """Begin a dispute: draw the first arbitrator."""
    quarrel = Dispute(
        order=order.id,
        by=by,
        bond=bond,
        evidence=evidence,
        arbitrator=None,
        drawn=(),
        draws=0,
        ruling=None,
        appellant=None,
        appeal_bond=0,
        panel=(),
        final=None,
    )
    context.emit("market", "disputed", order.id, order.buyer, order.seller, by)
    _draw(context, order, quarrel)


def _draw(context: Context, order: Order, quarrel: Dispute) -> None:
    """Draw an arbitrator, who has time until the next deadline; nobody may be there to be drawn."""
    arbitrator = drawn(context, order, quarrel.drawn, quarrel.draws)
    quarrel = replace(
        quarrel,
        arbitrator=arbitrator,
        drawn=quarrel.drawn if arbitrator is None else (*quarrel.drawn, arbitrator),
        draws=quarrel.draws + 1,
    )
    write_dispute(context.state, quarrel)
    go(context, order, OrderStatus.DISPUTED, read_params(context.state).rule_ms)
    context.emit("market", "drawn", order.id, arbitrator, quarrel.draws)


def drawn(context: Context, order: Order, before: tuple[bytes, ...], draw: int) -> bytes | None:
    """One of those that may rule, by the hash of the parent block, which nobody knew before."""
    able = [one for one in candidates(context.state, order) if one not in before]
    if not able:
        return None
    parent = context.header.parent if context.header is not None else b""
    seed = sha256(parent + order.id.to_bytes(8, "big") + bytes([draw])).digest()
    return able[int.from_bytes(seed, "big") % len(able)]


def candidates(state: Reader, order: Order) -> list[bytes]:
    """Active arbitrators that are no party and of no party's organisation, sorted (MKT-6)."""
    involved = parties(order)
    organisations = {organisation_of(state, party) for party in involved} - {None}
    return sorted(
        holder
        for holder in role_holders(state, ARBITRATOR)
        if holder not in involved
        and organisation_of(state, holder) not in organisations
        and has_role(state, holder, ARBITRATOR)
    )


def organisation_of(state: Reader, account: bytes) -> str | None:
    """The organisation that an account belongs to, if any."""
    record = read_account(state, account)
    return None if record is None else record.organisation


def rule(context: Context, message: MktRule) -> None:
    """The drawn arbitrator, or a member of the panel, decides."""
    order = open_order(context, message.order, OrderStatus.DISPUTED)
    quarrel = _of(context.state, order)
    if message.ruling.fault is AtFault.CARRIER and order.carrier is None:
        raise fault(RULING, order=order.id)
    if quarrel.appellant is not None:
        _rule_in_panel(context, order, quarrel, message.ruling)
        return
    if context.account != quarrel.arbitrator:
        raise fault(NOT_THE_ARBITRATOR, order=order.id)
    write_dispute(context.state, replace(quarrel, ruling=message.ruling))
    go(context, order, OrderStatus.RULED, read_params(context.state).appeal_ms)
    _tell(context, order, message.ruling)


def _tell(context: Context, order: Order, ruling: Ruling) -> None:
    context.emit("market", "ruled", order.id, context.account, ruling.buyer_goods, ruling.carrier, int(ruling.fault))


def _rule_in_panel(context: Context, order: Order, quarrel: Dispute, ruling: Ruling) -> None:
    """One of the panel rules; once all have, or two agree, it is decided."""
    seats = tuple(
        replace(seat, ruling=ruling) if seat.arbitrator == context.account and seat.ruling is None else seat
        for seat in quarrel.panel
    )
    if seats == quarrel.panel:
        raise fault(NOT_THE_ARBITRATOR, order=order.id)
    quarrel = replace(quarrel, panel=seats)
    _tell(context, order, ruling)
    given = [seat.ruling for seat in seats if seat.ruling is not None]
    if len(given) == len(seats) or given.count(ruling) > PANEL // 2:
        _end(context, order, quarrel, decision(quarrel))
    else:
        write_dispute(context.state, quarrel)


def decision(quarrel: Dispute) -> Ruling:
    """What a panel decided: the middle of three, each number by itself; who did not rule leaves the first ruling."""
    assert quarrel.ruling is not None, "only a ruling is appealed against"
    rulings = [seat.ruling or quarrel.ruling for seat in quarrel.panel]
    rulings += [quarrel.ruling] * (PANEL - len(rulings))
    faults = [ruling.fault for ruling in rulings]
    blamed = next((one for one in faults if faults.count(one) > PANEL // 2), AtFault.NONE)
    middle = PANEL // 2
    return Ruling(
        sorted(ruling.buyer_goods for ruling in rulings)[middle],
        sorted(ruling.carrier for ruling in rulings)[middle],
        blamed,
    )


def appeal(context: Context, message: MktAppeal) -> None:
    """Ask for a panel, with a double bond."""
    state = context.state
    order = open_order(context, message.order, OrderStatus.RULED, OrderStatus.DISPUTED)
    quarrel = _of(state, order)
    if context.account not in parties(order):
        raise fault(NOT_A_PARTY, order=order.id)
    if quarrel.appellant is not None:
        raise fault(APPEALED, order=order.id)
    open_order(context, message.order, OrderStatus.RULED)
    bond = 2 * read_params(state).dispute_bond
    order = _take_bond(context, order, bond)
    panel: list[bytes] = []
    for seat in range(PANEL):
        one = drawn(context, order, (*quarrel.drawn, *panel), quarrel.draws + seat)
        if one is not None:
            panel.append(one)
    quarrel = replace(
        quarrel,
        appellant=context.account,
        appeal_bond=bond,
        panel=tuple(Seat(one, None) for one in panel),
        drawn=(*quarrel.drawn, *panel),
    )
    write_dispute(state, quarrel)
    go(context, order, OrderStatus.DISPUTED, read_params(state).rule_ms)
    context.emit("market", "appealed", order.id, context.account, *panel)


def _of(state: Reader, order: Order) -> Dispute:
    quarrel = read_dispute(state, order.id)
    assert quarrel is not None, "an order in dispute has its dispute"
    return quarrel


def _end(context: Context, order: Order, quarrel: Dispute, ruling: Ruling) -> None:
    """Carry a decision out."""
    write_dispute(context.state, replace(quarrel, final=ruling))
    settle(context, order, ruling)


def end_block(context: Context) -> None:
    """Bring orders whose time is over on their way; end listings."""
    for due_ms, entry in take_due(context.state, QUEUE, context.time_ms):
        number = int.from_bytes(entry[1:], "big")
        if entry[:1] == LISTING:
            listing = read_listing(context.state, number)
            if listing is not None and listing.status is ListingStatus.OPEN:
                end_listing(context, listing)
        elif entry[:1] == ORDER:
            order = read_order(context.state, number)
            if order is not None and order.deadline_ms == due_ms:
                _expire_or_wait(context, order)


def _expire_or_wait(context: Context, order: Order) -> None:
    """Let an order go on by itself; if it cannot be paid out (the receiver's group of balances is full), a day later.

    Nothing that a receiver does may stop a block, or the orders of others.
    """
    context.state.commit()
    known = len(context.events)
    try:
        expire(context, order)
    except Fault as refused:
        context.state.rollback()
        del context.events[known:]
        go(context, order, order.status, DAY_MS)
        context.emit("market", "postponed", order.id, order.buyer, order.seller, refused.spec.name)


def expire(context: Context, order: Order) -> None:
    """What happens to an order by itself; nobody is needed (MKT-8)."""
    match order.status:
        case OrderStatus.FUNDED | OrderStatus.ACCEPTED:
            refund(context, order)
        case OrderStatus.SHIPPED:
            _open(context, order, by=None, bond=0, evidence=None)
        case OrderStatus.DELIVERED:
            settle(context, order, CONTENT)
        case OrderStatus.DISPUTED:
            _overdue(context, order, _of(context.state, order))
        case OrderStatus.RULED:
            quarrel = _of(context.state, order)
            assert quarrel.ruling is not None, "a ruled order has its ruling"
            _end(context, order, quarrel, quarrel.ruling)
        case OrderStatus.SETTLED | OrderStatus.REFUNDED:
            pass


def _overdue(context: Context, order: Order, quarrel: Dispute) -> None:
    """An arbitrator or a panel missed the time."""
    if quarrel.appellant is not None:
        _end(context, order, quarrel, decision(quarrel))
    elif quarrel.draws < read_params(context.state).max_draws:
        _draw(context, order, quarrel)
    else:
        write_dispute(context.state, replace(quarrel, arbitrator=None))
        settle(context, order, BY_DEFAULT)
