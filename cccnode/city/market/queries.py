"""What anyone may ask about the market: what is for sale, where an order is, who got what of a price."""

from typing import Annotated, Final

from msgspec import Meta

from cccnode.city.market.state import (
    ENDED,
    Dispute,
    Listing,
    Order,
    OrderStatus,
    Turnover,
    last_number,
    read_day,
    read_dispute,
    read_listing,
    read_order,
)
from cccnode.city.provenance.state import Sale, read_lot
from cccnode.city.provenance.words import Commodity, LotId
from cccnode.codec import Noun
from cccnode.ledger.state import Reader
from cccnode.types.errors import NOT_FOUND, fault
from cccnode.types.scalars import U32, U63, AccountId, Amount, AssetId

DAYS_MAX: Final = 366
"""Days that one answer sums up."""
PAGE_MAX: Final = 64
SEARCHED_MAX: Final = 1_024
"""Orders or listings that one answer looks through."""


class ListingParams(Noun, frozen=True, array_like=True, gc=False):
    """Which listing."""

    listing: U63


class OrderParams(Noun, frozen=True, array_like=True, gc=False):
    """Which order."""

    order: U63


class PageParams(Noun, frozen=True, array_like=True, gc=False):
    """Which page."""

    before: U63 = 2**63 - 1
    """Only those with a smaller number."""
    limit: Annotated[int, Meta(ge=1, le=PAGE_MAX)] = PAGE_MAX


class TrailParams(Noun, frozen=True, array_like=True, gc=False):
    """Which lot."""

    lot: LotId


class PeriodParams(Noun, frozen=True, array_like=True, gc=False):
    """Which goods, in which money, on which days (numbered from 1970-01-01 UTC), the last one included."""

    commodity: Commodity
    asset: AssetId
    first_day: U32
    last_day: U32


class OrderAnswer(Noun, frozen=True, array_like=True, gc=False):
    """An order, and the quarrel about it."""

    order: Order
    dispute: Dispute | None


class DisputesAnswer(Noun, frozen=True, array_like=True, gc=False):
    """Open quarrels, newest first."""

    disputes: tuple[OrderAnswer, ...]
    next_before: U63
    """Where to go on; 0 at the end."""


class ListingsAnswer(Noun, frozen=True, array_like=True, gc=False):
    """Listings, newest first."""

    listings: tuple[Listing, ...]
    next_before: U63


class ShareAnswer(Noun, frozen=True, array_like=True, gc=False):
    """Who got what of the money that consumers paid."""

    total: Turnover
    share_bps: U63
    """What producers got of it, 1/10,000; 0 where nothing was sold."""
    price: Amount
    """What consumers paid for 1,000 units, transport included, base units of the asset."""


class PriceAnswer(Noun, frozen=True, array_like=True, gc=False):
    """What 1,000 units of an order cost the buyer, base units of `asset`, and where the money goes."""

    asset: AssetId
    price: Amount
    """Goods and transport."""
    goods: Amount
    transport: Amount
    fee: Amount
    """What the city takes of the goods' part."""


class TrailAnswer(Noun, frozen=True, array_like=True, gc=False):
    """Every price that was paid on a lot's way."""

    lot: LotId
    producer: AccountId
    holder: AccountId
    sales: tuple[Sale, ...]


def market_listing(state: Reader, params: ListingParams) -> Listing:
    """A listing; rpc/NOT_FOUND when there is none."""
    listing = read_listing(state, params.listing)
    if listing is None:
        raise fault(NOT_FOUND, listing=params.listing)
    return listing


def market_listings(state: Reader, params: PageParams) -> ListingsAnswer:
    """Listings, newest first."""
    first = min(params.before - 1, last_number(state, "listing"))
    numbers = range(first, max(first - params.limit, 0), -1)
    found = (read_listing(state, number) for number in numbers)
    last = max(first - params.limit, 0)
    return ListingsAnswer(tuple(row for row in found if row is not None), last + 1 if last else 0)


def market_order(state: Reader, params: OrderParams) -> OrderAnswer:
    """An order with its dispute; rpc/NOT_FOUND when there is none."""
    return OrderAnswer(_order(state, params.order), read_dispute(state, params.order))


def market_disputes(state: Reader, params: PageParams) -> DisputesAnswer:
    """Orders that wait for an arbitrator, a panel, or an appeal, newest first."""
    found: list[OrderAnswer] = []
    number = min(params.before - 1, last_number(state, "order"))
    stop = max(number - SEARCHED_MAX, 0)
    while number > stop and len(found) < params.limit:
        order = read_order(state, number)
        if order is not None and order.status in {OrderStatus.DISPUTED, OrderStatus.RULED}:
            found.append(OrderAnswer(order, read_dispute(state, number)))
        number -= 1
    return DisputesAnswer(tuple(found), number + 1 if number else 0)


def market_farmer_share(state: Reader, params: PeriodParams) -> ShareAnswer:
    """What producers got of what consumers paid, over at most `DAYS_MAX` days."""
    total = Turnover()
    for number in range(params.first_day, min(params.last_day, params.first_day + DAYS_MAX - 1) + 1):
        day = read_day(state, params.commodity, params.asset, number)
        total = Turnover(*(getattr(total, name) + getattr(day, name) for name in Turnover.__struct_fields__))
    share = total.producer_got * 10_000 // total.consumer_paid if total.consumer_paid else 0
    price = total.consumer_paid * 1_000 // total.quantity if total.quantity else 0
    return ShareAnswer(total, share, price)


def market_consumer_price(state: Reader, params: OrderParams) -> PriceAnswer:
    """What 1,000 units of an order cost: as agreed, or once it has ended, as paid."""
    order = _order(state, params.order)
    goods, transport = order.goods, order.transport
    paid = goods + transport - (order.paid.buyer if order.status in ENDED and order.paid is not None else 0)
    fee = goods * order.fee_bps // 10_000

    def per_thousand(amount: int) -> int:
        return amount * 1_000 // order.quantity

    return PriceAnswer(order.asset, per_thousand(paid), per_thousand(goods), per_thousand(transport), per_thousand(fee))


def market_price_trail(state: Reader, params: TrailParams) -> TrailAnswer:
    """Every price on a lot's way; rpc/NOT_FOUND when there is no such lot."""
    lot = read_lot(state, params.lot)
    if lot is None:
        raise fault(NOT_FOUND, lot=params.lot)
    return TrailAnswer(lot.id, lot.origin, lot.holder, lot.trail)


def _order(state: Reader, number: int) -> Order:
    order = read_order(state, number)
    if order is None:
        raise fault(NOT_FOUND, order=number)
    return order
