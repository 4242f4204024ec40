"""From a listing to delivered goods (modules.md 3.6).  Every state that is not an end has a deadline (MKT-4, MKT-8)."""

from typing import Final

from msgspec.structs import replace

from cccnode.city.bank.errors import NOT_TRANSFERABLE
from cccnode.city.bank.rules import check_free, enter, known_asset, move
from cccnode.city.market.errors import (
    CARRIER,
    EXPIRED,
    EXPIRY,
    MINIMUM,
    NOT_A_PARTY,
    NOT_HOLDER,
    OPEN_ORDERS,
    QTY_UNAVAILABLE,
    SELF,
    STATUS,
    TOO_LARGE,
    UNKNOWN_LISTING,
    UNKNOWN_ORDER,
    WRONG_HANDOVER,
)
from cccnode.city.market.messages import (
    MktAccept,
    MktCancel,
    MktConfirm,
    MktList,
    MktOrder,
    MktReject,
    MktUnlist,
)
from cccnode.city.market.settling import CONTENT, refund, settle
from cccnode.city.market.state import (
    ENDED,
    MARKET,
    Listing,
    ListingStatus,
    Order,
    OrderStatus,
    count_open,
    open_orders,
    read_listing,
    read_order,
    read_params,
    take_number,
    write_listing,
    write_order,
)
from cccnode.city.members.state import Status, read_account
from cccnode.city.provenance.state import Lot, read_lot
from cccnode.city.provenance.words import LotStatus
from cccnode.ledger.deadlines import schedule
from cccnode.ledger.module import Context
from cccnode.ledger.state import Reader
from cccnode.types.errors import fault
from cccnode.types.limits import AMOUNT_MAX

QUEUE: Final = "market"
ORDER: Final = b"o"
LISTING: Final = b"l"


def list_goods(context: Context, message: MktList) -> None:
    """Put goods up for sale."""
    state, params = context.state, read_params(context.state)
    asset = known_asset(state, message.asset)
    if not asset.transferable:
        raise fault(NOT_TRANSFERABLE, asset=asset.id)
    if not context.time_ms < message.expires_ms <= context.time_ms + params.listing_ms:
        raise fault(EXPIRY, expires_ms=message.expires_ms, now_ms=context.time_ms)
    lot = read_lot(state, message.lot)
    if lot is None or lot.holder != context.account or lot.status is not LotStatus.ACTIVE:
        raise fault(NOT_HOLDER, lot=message.lot)
    if message.quantity > lot.quantity:
        raise fault(NOT_HOLDER, lot=message.lot, there=lot.quantity)
    if message.min_quantity > message.quantity:
        raise fault(MINIMUM, minimum=message.min_quantity, quantity=message.quantity)
    enter(context, asset, context.account, 0, "list")
    listing = Listing(
        id=take_number(state, "listing"),
        seller=context.account,
        producer=lot.origin,
        lot=lot.id,
        commodity=lot.commodity,
        listed=message.quantity,
        left=message.quantity,
        price=message.price,
        asset=asset.id,
        min_quantity=message.min_quantity,
        carriers=message.carriers,
        accept_ms=message.accept_ms or params.accept_ms,
        ship_ms=message.ship_ms or params.ship_ms,
        deliver_ms=message.deliver_ms or params.deliver_ms,
        inspect_ms=message.inspect_ms or params.inspect_ms,
        sandbox=asset.sandbox_id,
        geo=message.geo,
        expires_ms=message.expires_ms,
        status=ListingStatus.OPEN,
    )
    write_listing(state, listing)
    schedule(state, QUEUE, listing.expires_ms, LISTING + listing.id.to_bytes(8, "big"))
    context.emit("market", "listed", listing.id, listing.seller, lot.id, listing.listed, listing.price, asset.id)


def unlist(context: Context, message: MktUnlist) -> None:
    """Take goods off the market."""
    listing = _open_listing(context, message.listing)
    if listing.seller != context.account:
        raise fault(NOT_A_PARTY, listing=listing.id)
    end_listing(context, listing)


def end_listing(context: Context, listing: Listing) -> None:
    """Take no further orders."""
    write_listing(context.state, replace(listing, status=ListingStatus.ENDED))
    context.emit("market", "unlisted", listing.id, listing.seller, listing.left)


def _open_listing(context: Context, number: int) -> Listing:
    """A listing that takes orders."""
    listing = read_listing(context.state, number)
    if listing is None or listing.status is not ListingStatus.OPEN or context.time_ms >= listing.expires_ms:
        raise fault(UNKNOWN_LISTING, listing=number)
    return listing


def order(context: Context, message: MktOrder) -> None:
    """Order goods, and pay them and their transport into escrow."""
    state, listing = context.state, _open_listing(context, message.listing)
    _check_order(context, message, listing)
    goods = -(-message.quantity * listing.price // 1_000)
    escrow = goods + message.transport
    if escrow > AMOUNT_MAX:
        raise fault(TOO_LARGE, amount=escrow)
    asset = known_asset(state, listing.asset)
    if asset.freezable:
        check_free(state, asset.id, context.account)
    enter(context, asset, context.account, escrow, "order")
    move(state, source=context.account, target=MARKET, asset=listing.asset, amount=escrow)
    write_listing(state, replace(listing, left=listing.left - message.quantity))
    placed = Order(
        id=take_number(state, "order"),
        listing=listing.id,
        lot=0,
        buyer=context.account,
        seller=listing.seller,
        producer=listing.producer,
        carrier=message.carrier,
        commodity=listing.commodity,
        asset=listing.asset,
        quantity=message.quantity,
        price=listing.price,
        goods=goods,
        transport=message.transport,
        fee_bps=read_params(state).market_fee,
        escrow=escrow,
        bond=0,
        status=OrderStatus.FUNDED,
        deadline_ms=0,
        ordered_ms=context.time_ms,
        ended_ms=0,
        paid=None,
    )
    count_open(state, placed, 1)
    go(context, placed, OrderStatus.FUNDED, listing.accept_ms)
    context.emit(
        "market", "ordered", placed.id, placed.buyer, placed.seller, listing.id, placed.quantity, goods,
        message.transport, placed.fee_bps, placed.carrier,
    )  # fmt: skip


def _check_order(context: Context, message: MktOrder, listing: Listing) -> None:
    if len({context.account, listing.seller, message.carrier}) < 3:
        raise fault(SELF, seller=listing.seller)
    if message.quantity > listing.left:
        raise fault(QTY_UNAVAILABLE, left=listing.left, needed=message.quantity)
    if message.quantity < listing.min_quantity:
        raise fault(MINIMUM, minimum=listing.min_quantity, quantity=message.quantity)
    if message.carrier is None:
        if message.transport:
            raise fault(CARRIER, transport=message.transport)
        return
    carrier = read_account(context.state, message.carrier)
    if carrier is None or carrier.status is not Status.ACTIVE:
        raise fault(CARRIER, carrier=message.carrier)
    if listing.carriers and message.carrier not in listing.carriers:
        raise fault(CARRIER, carrier=message.carrier)


def go(context: Context, order: Order, status: OrderStatus, after_ms: int) -> None:
    """Bring an order into a state that lasts for so long at most."""
    deadline = context.time_ms + after_ms
    write_order(context.state, replace(order, status=status, deadline_ms=deadline))
    schedule(context.state, QUEUE, deadline, ORDER + order.id.to_bytes(8, "big"))


def found(state: Reader, number: int) -> Order:
    """An order.

    Raises:
        Fault: market/UNKNOWN_ORDER.
    """
    order = read_order(state, number)
    if order is None:
        raise fault(UNKNOWN_ORDER, order=number)
    return order


def open_order(context: Context, number: int, *statuses: OrderStatus) -> Order:
    """An order in one of the states, within its time.

    Raises:
        Fault: market/UNKNOWN_ORDER, STATUS or EXPIRED.
    """
    order = found(context.state, number)
    if order.status not in statuses:
        raise fault(STATUS, order=number, status=order.status.name.lower())
    if order.status not in ENDED and context.time_ms >= order.deadline_ms:
        raise fault(EXPIRED, order=number, deadline_ms=order.deadline_ms)
    return order


def accept(context: Context, message: MktAccept) -> None:
    """The seller takes an order."""
    order = _for(context, message.order, OrderStatus.FUNDED, "seller")
    go(context, order, OrderStatus.ACCEPTED, _listing_of(context, order).ship_ms)
    context.emit("market", "accepted", order.id, order.buyer, order.seller)


def reject(context: Context, message: MktReject) -> None:
    """The seller does not take an order."""
    refund(context, _for(context, message.order, OrderStatus.FUNDED, "seller"))


def cancel(context: Context, message: MktCancel) -> None:
    """The buyer takes an order back."""
    refund(context, _for(context, message.order, OrderStatus.FUNDED, "buyer"))


def confirm(context: Context, message: MktConfirm) -> None:
    """The buyer is content."""
    settle(context, _for(context, message.order, OrderStatus.DELIVERED, "buyer"), CONTENT)


def _for(context: Context, number: int, status: OrderStatus, party: str) -> Order:
    """An order in a state, of which the acting account is that party."""
    order = found(context.state, number)
    if context.account != getattr(order, party):
        raise fault(NOT_A_PARTY, order=number, party=party)
    return open_order(context, number, status)


def _listing_of(context: Context, order: Order) -> Listing:
    listing = read_listing(context.state, order.listing)
    assert listing is not None, "an order has its listing"
    return listing


def check_leaving(context: Context, account: bytes) -> None:
    """Listens to `members/leaving`: nobody leaves an order that is not over.

    Raises:
        Fault: market/OPEN_ORDERS.
    """
    count = open_orders(context.state, account)
    if count:
        raise fault(OPEN_ORDERS, account=account, orders=count)


def handed_over(context: Context, lot: int, number: int, source: bytes, target: bytes, observed: int) -> None:
    """Provenance tells of an accepted handover that serves an order (modules.md 3.14).

    From the seller to the carrier it is shipped; to the buyer, by whoever had it, it is delivered.
    """
    order = open_order(context, number, OrderStatus.ACCEPTED, OrderStatus.SHIPPED)
    goods = read_lot(context.state, lot)
    assert goods is not None, "it was handed over"
    if not _fits(order, goods, source, target):
        raise fault(WRONG_HANDOVER, order=number, lot=lot)
    listing = _listing_of(context, order)
    if target == order.buyer:
        go(context, replace(order, lot=lot), OrderStatus.DELIVERED, listing.inspect_ms)
        context.emit("market", "delivered", order.id, order.buyer, order.seller, lot, observed)
    else:
        go(context, replace(order, lot=lot), OrderStatus.SHIPPED, listing.deliver_ms)
        context.emit("market", "shipped", order.id, order.buyer, order.seller, order.carrier, lot, observed)


def _fits(order: Order, goods: Lot, source: bytes, target: bytes) -> bool:
    """Whether a handover is the next one of an order, of goods as they were listed."""
    if order.status is OrderStatus.SHIPPED:
        return source == order.carrier and target == order.buyer and goods.id == order.lot
    alike = goods.commodity == order.commodity and goods.origin == order.producer
    return alike and source == order.seller and target == (order.carrier or order.buyer)
