"""How an escrow is shared when an order ends (modules.md 3.6): integers only, and nothing is left over (MKT-2).

g = goods, t = transport                     gb = g * buyer_goods // 10000,  gs = g - gb
fee = gs * fee_bps // 10000                  tc = t * carrier // 10000,      tb = t - tc
arb = (g + t) * arb_bps // 10000, from the part of whoever is at fault, and never more than that part
"""

from typing import Final, NamedTuple

from msgspec.structs import replace

from cccnode.city.bank.rules import move
from cccnode.city.bank.state import TREASURY
from cccnode.city.market.messages import AtFault, Ruling
from cccnode.city.market.state import (
    MARKET,
    Dispute,
    Order,
    OrderStatus,
    Payouts,
    Turnover,
    count_open,
    read_day,
    read_dispute,
    read_listing,
    read_params,
    write_day,
    write_listing,
    write_order,
)
from cccnode.city.provenance.rules import note_sale
from cccnode.city.provenance.state import Sale, read_lot
from cccnode.ledger.module import Context
from cccnode.ledger.state import Overlay, Reader
from cccnode.types.limits import AMOUNT_MAX
from cccnode.types.units import BPS, DAY_MS

CONTENT: Final = Ruling(0, BPS, AtFault.NONE)
"""Everybody gets what was agreed."""
BY_DEFAULT: Final = Ruling(BPS // 2, BPS, AtFault.NONE)
"""Nobody ruled in time: the goods are shared, the carrier is paid."""


class Shares(NamedTuple):
    """The parts of an escrow."""

    buyer: int
    seller: int
    carrier: int
    fee: int
    arbitrators: int


def share(order: Order, ruling: Ruling, arb_bps: int) -> Shares:
    """Divide goods and transport; the parts add up to both."""
    goods, transport = order.goods, order.transport
    back = goods * ruling.buyer_goods // BPS
    rest = goods - back
    fee = rest * order.fee_bps // BPS
    carried = transport * ruling.carrier // BPS if order.carrier is not None else 0
    parts = {
        AtFault.BUYER: back + transport - carried,
        AtFault.SELLER: rest - fee,
        AtFault.CARRIER: carried,
    }
    taken = 0
    if ruling.fault is not AtFault.NONE:
        taken = min((goods + transport) * arb_bps // BPS, parts[ruling.fault])
        parts[ruling.fault] -= taken
    return Shares(parts[AtFault.BUYER], parts[AtFault.SELLER], parts[AtFault.CARRIER], fee, taken)


def refund(context: Context, order: Order) -> None:
    """Everything goes back to the buyer, and the goods to the listing."""
    state = context.state
    pay(state, order, order.buyer, order.escrow)
    listing = read_listing(state, order.listing)
    assert listing is not None, "an order has its listing"
    write_listing(state, replace(listing, left=listing.left + order.quantity))
    paid = Payouts(buyer=order.escrow, seller=0, carrier=0, treasury=0, arbitrators=0, bonds=0, producer=0)
    _close(context, order, OrderStatus.REFUNDED, paid)
    context.emit("market", "refunded", order.id, order.buyer, order.seller, order.escrow)


def settle(context: Context, order: Order, ruling: Ruling) -> None:
    """Pay everybody's part, and write down what the goods cost and who got it."""
    state = context.state
    parts = share(order, ruling, read_params(state).arb_bps)
    dispute = read_dispute(state, order.id)
    kept, returned, arbitrators = _bonds(state, order, dispute, ruling), 0, 0
    if dispute is not None:
        returned = order.bond - kept
        arbitrators = _pay_arbitrators(state, order, dispute, parts.arbitrators)
    treasury = parts.fee + kept + parts.arbitrators - arbitrators
    pay(state, order, order.buyer, parts.buyer)
    pay(state, order, order.seller, parts.seller)
    pay(state, order, order.carrier or order.buyer, parts.carrier)
    pay(state, order, TREASURY, treasury)
    paid = Payouts(
        buyer=parts.buyer,
        seller=parts.seller,
        carrier=parts.carrier,
        treasury=treasury,
        arbitrators=arbitrators,
        bonds=returned,
        producer=_producers_part(state, order, parts.seller),
    )
    _close(context, order, OrderStatus.SETTLED, paid)
    _note_day(context, order, paid, parts.fee)
    _note_trail(state, order, paid)
    context.emit(
        "market",
        "settled",
        order.id,
        order.buyer,
        order.seller,
        order.carrier,
        paid.buyer,
        paid.seller,
        paid.carrier,
        paid.treasury,
        paid.arbitrators,
        paid.bonds,
        order.asset,
    )


def pay(state: Overlay, order: Order, target: bytes, amount: int) -> None:
    """Move a part out of escrow."""
    if amount:
        move(state, source=MARKET, target=target, asset=order.asset, amount=amount)


def at_fault(order: Order, ruling: Ruling) -> bytes | None:
    """The account of whoever is at fault, or None."""
    parties = {AtFault.BUYER: order.buyer, AtFault.SELLER: order.seller, AtFault.CARRIER: order.carrier}
    return parties.get(ruling.fault)


def _bonds(state: Overlay, order: Order, dispute: Dispute | None, ruling: Ruling) -> int:
    """Give bonds back; return what the treasury keeps.

    Who began a dispute loses his bond if he was at fault; who appealed loses it if the panel changed nothing.
    """
    if dispute is None:
        return 0
    kept = 0
    if dispute.by is not None:
        if dispute.by == at_fault(order, ruling):
            kept += dispute.bond
        else:
            pay(state, order, dispute.by, dispute.bond)
    if dispute.appellant is not None:
        if ruling == dispute.ruling:
            kept += dispute.appeal_bond
        else:
            pay(state, order, dispute.appellant, dispute.appeal_bond)
    return kept


def _pay_arbitrators(state: Overlay, order: Order, dispute: Dispute, amount: int) -> int:
    """Pay those that ruled, in equal parts; return what they got together."""
    ruled = [seat.arbitrator for seat in dispute.panel if seat.ruling is not None]
    if not ruled and dispute.ruling is not None and dispute.arbitrator is not None:
        ruled = [dispute.arbitrator]
    if not ruled:
        return 0
    each = amount // len(ruled)
    for arbitrator in ruled:
        pay(state, order, arbitrator, each)
    return each * len(ruled)


def _close(context: Context, order: Order, status: OrderStatus, paid: Payouts) -> None:
    """Write an order that has ended; it never changes again."""
    ended = replace(order, status=status, escrow=0, bond=0, deadline_ms=0, ended_ms=context.time_ms, paid=paid)
    write_order(context.state, ended)
    count_open(context.state, order, -1)


def _producers_part(state: Reader, order: Order, seller_got: int) -> int:
    """What whoever made the goods got for them: now, or when he sold them last."""
    if order.seller == order.producer:
        return seller_got
    lot = read_lot(state, order.lot)
    sales = [] if lot is None else [sale for sale in lot.trail if sale.seller == order.producer]
    if not sales or sales[-1].asset != order.asset:
        return 0
    return min(sales[-1].received * order.quantity // 1_000, AMOUNT_MAX)


def _note_trail(state: Overlay, order: Order, paid: Payouts) -> None:
    """Write the price into the lot's trail."""
    lot = read_lot(state, order.lot)
    if lot is not None and paid.seller:
        received = min(paid.seller * 1_000 // order.quantity, AMOUNT_MAX)
        note_sale(state, lot, Sale(order.id, order.seller, order.price, received, order.asset))


def _note_day(context: Context, order: Order, paid: Payouts, fee: int) -> None:
    """Add an order to its day."""
    state, day = context.state, context.time_ms // DAY_MS
    before = read_day(state, order.commodity, order.asset, day)
    write_day(state, order.commodity, order.asset, day, added(before, order, paid, fee))


def added(day: Turnover, order: Order, paid: Payouts, fee: int) -> Turnover:
    """A day with one order more; sums stay at the largest amount rather than beyond it."""
    return Turnover(
        quantity=min(day.quantity + order.quantity, AMOUNT_MAX),
        consumer_paid=min(day.consumer_paid + order.goods + order.transport - paid.buyer, AMOUNT_MAX),
        producer_got=min(day.producer_got + paid.producer, AMOUNT_MAX),
        transport=min(day.transport + paid.carrier, AMOUNT_MAX),
        fees=min(day.fees + fee, AMOUNT_MAX),
        orders=day.orders + 1,
    )
