"""What holds of the market after every block, as checks that read the whole state (MKT-1 to MKT-8)."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from cccnode.city.bank.state import balance
from cccnode.city.market.disputes import organisation_of
from cccnode.city.market.rules import ORDER, QUEUE
from cccnode.city.market.settling import BY_DEFAULT, CONTENT, added
from cccnode.city.market.state import (
    DAYS,
    DRAWS_MAX,
    ENDED,
    LISTINGS,
    MARKET,
    ORDERS,
    PARTIES,
    Dispute,
    Listing,
    Order,
    OrderStatus,
    Turnover,
    day_group,
    parties,
    read_dispute,
    read_listing,
)
from cccnode.ledger.deadlines import entries
from cccnode.ledger.module import Invariant
from cccnode.ledger.state import Scan
from cccnode.types.units import BPS, DAY_MS


def orders(scan: Scan) -> Iterator[Order]:
    """Every order."""
    for group in scan.groups(ORDERS):
        order = scan.get(group, b"", Order)
        if order is not None:
            yield order


def scheduled(scan: Scan) -> set[tuple[int, bytes]]:
    """What the market's queue holds."""
    return set(entries(scan, QUEUE))


def escrow(scan: Scan) -> Iterable[str]:
    """The market owns what open orders hold, of each asset."""
    held, involved = Counter[str](), Counter[bytes]()
    for order in orders(scan):
        held[order.asset] += order.escrow + order.bond
        if order.status not in ENDED:
            involved.update(parties(order))
        if order.status not in ENDED and order.escrow != order.goods + order.transport:
            yield f"order {order.id}: its escrow is not what was paid in"
    for asset in sorted(held):
        if held[asset] != balance(scan, MARKET, asset):
            yield f"{asset}: orders hold {held[asset]}, the market owns {balance(scan, MARKET, asset)}"
    counted = {group[len(PARTIES) :]: scan.get(group, b"", int) for group in scan.groups(PARTIES)}
    if counted != dict(involved):
        yield "open orders are not counted for their parties"


def bonds(dispute: Dispute | None) -> int:
    """What was put beside an escrow in all."""
    return 0 if dispute is None else dispute.bond + dispute.appeal_bond


def payouts(scan: Scan) -> Iterable[str]:
    """What an ended order paid out is what was paid in; it holds nothing and waits for nothing."""
    for order in orders(scan):
        if order.status not in ENDED:
            if order.paid is not None:
                yield f"order {order.id}: has paid and goes on"
            continue
        paid = order.paid
        if paid is None or order.escrow or order.bond or order.deadline_ms:
            yield f"order {order.id}: has ended and is not at rest"
            continue
        out = paid.buyer + paid.seller + paid.carrier + paid.treasury + paid.arbitrators + paid.bonds
        into = order.goods + order.transport + bonds(read_dispute(scan, order.id))
        if out != into:
            yield f"order {order.id}: {into} paid in, {out} paid out"


def quantities(scan: Scan) -> Iterable[str]:
    """What was listed is left, or in orders that were not refunded."""
    taken = Counter[int]()
    for order in orders(scan):
        if order.status is not OrderStatus.REFUNDED:
            taken[order.listing] += order.quantity
    for group in scan.groups(LISTINGS):
        listing = scan.get(group, b"", Listing)
        if listing is not None and listing.listed != listing.left + taken[listing.id]:
            yield f"listing {listing.id}: {listing.listed} listed, {listing.left} left, {taken[listing.id]} taken"


def deadlines(scan: Scan) -> Iterable[str]:
    """An open order has one deadline, and the queue knows it."""
    waiting = scheduled(scan)
    for order in orders(scan):
        entry = (order.deadline_ms, ORDER + order.id.to_bytes(8, "big"))
        if order.status not in ENDED and entry not in waiting:
            yield f"order {order.id}: nothing wakes it at its deadline"


def fees(scan: Scan) -> Iterable[str]:
    """The fee of a settled order follows from the rate that the order was made with."""
    for order in orders(scan):
        if order.status is not OrderStatus.SETTLED or order.paid is None:
            continue
        dispute, fee = read_dispute(scan, order.id), _fee(scan, order)
        if dispute is None and order.paid.treasury != fee:
            yield f"order {order.id}: the city took {order.paid.treasury} of {fee}"
        if order.paid.treasury < fee:
            yield f"order {order.id}: the city got less than its fee of {fee}"


def arbitrators(scan: Scan) -> Iterable[str]:
    """Nobody rules on an order who is a party to it or of a party's organisation."""
    for order in orders(scan):
        dispute = read_dispute(scan, order.id)
        if dispute is None:
            continue
        involved = parties(order)
        organisations = {organisation_of(scan, party) for party in involved} - {None}
        for one in dispute.drawn:
            if one in involved or organisation_of(scan, one) in organisations:
                yield f"order {order.id}: somebody rules in his own cause"


def days(scan: Scan) -> Iterable[str]:
    """The sums of each day are those of the orders that were settled on it."""
    sums: dict[bytes, Turnover] = {}
    for order in orders(scan):
        if order.status is OrderStatus.SETTLED and order.paid is not None:
            group = day_group(order.commodity, order.asset, order.ended_ms // DAY_MS)
            sums[group] = added(sums.get(group, Turnover()), order, order.paid, _fee(scan, order))
    for group in scan.groups(DAYS):
        if scan.get(group, b"", Turnover) != sums.pop(group, None):
            yield f"{group!r}: is not the sum of its orders"
    for group in sorted(sums):
        yield f"{group!r}: was not written"


def _fee(scan: Scan, order: Order) -> int:
    dispute = read_dispute(scan, order.id)
    ruling = CONTENT if dispute is None else dispute.final or BY_DEFAULT
    return (order.goods - order.goods * ruling.buyer_goods // BPS) * order.fee_bps // BPS


def ends(scan: Scan) -> Iterable[str]:
    """Every open order is in a state that its deadline leads out of, at most so many times."""
    for order in orders(scan):
        if order.status in ENDED:
            continue
        dispute, listing = read_dispute(scan, order.id), read_listing(scan, order.listing)
        quarrel = order.status in {OrderStatus.DISPUTED, OrderStatus.RULED}
        if quarrel != (dispute is not None) or listing is None or not order.deadline_ms:
            yield f"order {order.id}: cannot end by itself"
        elif dispute is not None and dispute.draws > DRAWS_MAX:
            yield f"order {order.id}: {dispute.draws} arbitrators were drawn"
        elif order.status is OrderStatus.RULED and (dispute is None or dispute.ruling is None):
            yield f"order {order.id}: is ruled on without a ruling"


INVARIANTS: Final = (
    Invariant(
        name="MKT-1",
        en="The market owns what open orders hold, of each asset.",
        th="เงินในบัญชีตลาดเท่ากับเงินที่พักไว้ของคำสั่งซื้อที่ยังเปิดอยู่",
        check=escrow,
    ),
    Invariant(
        name="MKT-2",
        en="What an ended order paid out is what was paid in.",
        th="เงินที่จ่ายออกของคำสั่งซื้อที่จบแล้วเท่ากับเงินที่รับเข้า",
        check=payouts,
    ),
    Invariant(
        name="MKT-3",
        en="What was listed is left, or in orders that were not refunded.",
        th="ปริมาณที่ประกาศขายเท่ากับที่เหลือรวมกับที่อยู่ในคำสั่งซื้อ",
        check=quantities,
    ),
    Invariant(
        name="MKT-4",
        en="An open order has one deadline, and the queue knows it.",
        th="คำสั่งซื้อที่เปิดอยู่มีกำหนดเวลาหนึ่งเดียวและอยู่ในคิว",
        check=deadlines,
    ),
    Invariant(
        name="MKT-5",
        en="The fee of an order follows from the rate that it was made with.",
        th="ค่าธรรมเนียมของคำสั่งซื้อใช้อัตรา ณ เวลาที่สั่ง",
        check=fees,
    ),
    Invariant(
        name="MKT-6",
        en="An arbitrator is never a party, nor of a party's organisation.",
        th="ผู้ชี้ขาดไม่ใช่คู่กรณีและไม่อยู่องค์กรเดียวกับคู่กรณี",
        check=arbitrators,
    ),
    Invariant(
        name="MKT-7",
        en="The sums of a day are those of the orders settled on it.",
        th="ยอดรายวันเท่ากับผลรวมของคำสั่งซื้อที่ชำระในวันนั้น",
        check=days,
    ),
    Invariant(
        name="MKT-8",
        en="Every open order ends by itself in finite time.",
        th="คำสั่งซื้อทุกรายการจบได้เองในเวลาจำกัด",
        check=ends,
    ),
)
