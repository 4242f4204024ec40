"""Listings, orders, disputes and daily prices in the state: the only place that knows their groups and items.

mkt                              listing, order   int: the number given last
ml/<listing>                     ""               Listing
mo/<order>                       ""               Order
mo/<order>                       dispute          Dispute, once there was one
mp/<account>                     ""               int: open orders that the account is a party of; absent if none
px/<commodity>/<asset>/<day>     ""               Turnover
par/market                       ""               Params

Listings and orders are numbered from 1 in 8 bytes, days since 1970-01-01 UTC in 4, all big-endian.
"""

from enum import IntEnum
from typing import Annotated, Final

from msgspec import Meta

from cccnode.city.market.messages import CARRIERS_MAX, Bps, Ruling, Waiting
from cccnode.city.provenance.words import Commodity, Geo, LotId, Quantity, Whole
from cccnode.codec import Noun
from cccnode.ledger.pages import wide
from cccnode.ledger.parameters import read_parameters
from cccnode.ledger.state import Overlay, Reader, module_account
from cccnode.types.scalars import U8, U63, AccountId, Amount, AssetId, Hash, Millis

MARKET: Final = module_account("market")
"""Holds what buyers paid until an order ends."""
LISTINGS: Final = b"ml/"
ORDERS: Final = b"mo/"
PARTIES: Final = b"mp/"
DAYS: Final = b"px/"
_COUNTERS: Final = b"mkt"
_ONLY: Final = b""
_DISPUTE: Final = b"dispute"
PANEL: Final = 3
DRAWS_MAX: Final = 16
"""Above any value of the parameter `max_draws`."""


class ListingStatus(IntEnum):
    """Whether orders are taken."""

    OPEN = 0
    ENDED = 1


class Listing(Noun, frozen=True, array_like=True, gc=False):
    """Goods that are for sale."""

    id: U63
    seller: AccountId
    producer: AccountId
    """The origin of the lot."""
    lot: LotId
    commodity: Commodity
    listed: Quantity
    left: Whole
    """What nobody has ordered.  listed = left + what orders took that were not refunded (MKT-3)."""
    price: Amount
    asset: AssetId
    min_quantity: Quantity
    carriers: Annotated[tuple[AccountId, ...], Meta(max_length=CARRIERS_MAX)]
    accept_ms: Waiting
    ship_ms: Waiting
    deliver_ms: Waiting
    inspect_ms: Waiting
    sandbox: U63
    """The experiment that the asset belongs to, or 0."""
    geo: Geo
    expires_ms: Millis
    status: ListingStatus


class OrderStatus(IntEnum):
    """Where an order is; the first six have a deadline after which they end or go on by themselves."""

    FUNDED = 0
    ACCEPTED = 1
    SHIPPED = 2
    DELIVERED = 3
    DISPUTED = 4
    RULED = 5
    SETTLED = 6
    REFUNDED = 7


ENDED: Final = frozenset({OrderStatus.SETTLED, OrderStatus.REFUNDED})


class Payouts(Noun, frozen=True, array_like=True, gc=False):
    """Who got what when an order ended; together the escrow and the bonds (MKT-2)."""

    buyer: Amount
    seller: Amount
    carrier: Amount
    treasury: Amount
    """The market's fee, and bonds of those at fault."""
    arbitrators: Amount
    bonds: Amount
    """Bonds that went back to whoever gave them."""
    producer: Amount
    """What reached whoever made the goods: the seller's part, or what he got when he sold them earlier."""


class Order(Noun, frozen=True, array_like=True, gc=False):
    """One purchase."""

    id: U63
    listing: U63
    lot: LotId
    """What was shipped; 0 until then."""
    buyer: AccountId
    seller: AccountId
    producer: AccountId
    carrier: AccountId | None
    commodity: Commodity
    asset: AssetId
    quantity: Quantity
    price: Amount
    goods: Amount
    transport: Amount
    fee_bps: Bps
    """The market's fee as it was when the order was made (MKT-5)."""
    escrow: Amount
    bond: Amount
    """Sum of the bonds that lie beside the escrow."""
    status: OrderStatus
    deadline_ms: Millis
    """When it goes on by itself; 0 once it has ended."""
    ordered_ms: Millis
    ended_ms: Millis
    paid: Payouts | None
    """Once it has ended."""


class Seat(Noun, frozen=True, array_like=True, gc=False):
    """A member of a panel, and how he rules."""

    arbitrator: AccountId
    ruling: Ruling | None


class Dispute(Noun, frozen=True, array_like=True, gc=False):
    """A quarrel about an order."""

    order: U63
    by: AccountId | None
    """Who began it; nil: goods did not arrive in time."""
    bond: Amount
    evidence: Hash | None
    arbitrator: AccountId | None
    """Who is to rule, or ruled; nil where nobody could be drawn."""
    drawn: Annotated[tuple[AccountId, ...], Meta(max_length=DRAWS_MAX + PANEL)]
    """Everybody who was drawn so far."""
    draws: U8
    ruling: Ruling | None
    appellant: AccountId | None
    appeal_bond: Amount
    panel: Annotated[tuple[Seat, ...], Meta(max_length=PANEL)]
    final: Ruling | None
    """What was carried out; nil for the split by default."""


class Turnover(Noun, frozen=True, array_like=True, gc=False):
    """What orders of one commodity and asset that were settled on one day came to."""

    quantity: Amount = 0
    consumer_paid: Amount = 0
    """Escrow less what the buyers got back."""
    producer_got: Amount = 0
    transport: Amount = 0
    fees: Amount = 0
    orders: U63 = 0


class Params(Noun, frozen=True, array_like=True, gc=False):
    """Numbers that genesis sets, and the city by vote (modules.md 3.6)."""

    market_fee: Annotated[int, Meta(ge=0, le=1_000)] = 50
    """What the city takes of a seller's price, 1/10,000."""
    arb_bps: Annotated[int, Meta(ge=0, le=1_000)] = 100
    """What arbitrators get of an escrow, from whom they find at fault, 1/10,000."""
    dispute_bond: Annotated[int, Meta(ge=0, le=10**12)] = 1_000
    """What beginning a dispute takes, base units of the order's asset; an appeal takes the double."""
    accept_ms: Annotated[int, Meta(ge=60_000, le=2_592_000_000)] = 86_400_000
    """How long a seller may think about an order, milliseconds."""
    ship_ms: Annotated[int, Meta(ge=60_000, le=2_592_000_000)] = 172_800_000
    """How long until accepted goods are handed over, milliseconds."""
    deliver_ms: Annotated[int, Meta(ge=60_000, le=2_592_000_000)] = 259_200_000
    """How long goods may be on their way, milliseconds."""
    inspect_ms: Annotated[int, Meta(ge=60_000, le=2_592_000_000)] = 86_400_000
    """How long a buyer may look at what arrived, milliseconds."""
    rule_ms: Annotated[int, Meta(ge=60_000, le=2_592_000_000)] = 172_800_000
    """How long an arbitrator or a panel may think, milliseconds."""
    appeal_ms: Annotated[int, Meta(ge=60_000, le=2_592_000_000)] = 21_600_000
    """How long a ruling may be appealed against, milliseconds."""
    max_draws: Annotated[int, Meta(ge=1, le=DRAWS_MAX)] = 3
    """How many arbitrators may miss their time before an escrow is split by default."""
    listing_ms: Annotated[int, Meta(ge=60_000, le=31_536_000_000)] = 31_536_000_000
    """How long a listing may stand, milliseconds; a year."""


def take_number(state: Overlay, what: str) -> int:
    """The next number of a `listing` or `order`."""
    number = last_number(state, what) + 1
    state.put(_COUNTERS, what.encode(), number)
    return number


def last_number(state: Reader, what: str) -> int:
    """The number given last; 0 if none was."""
    return state.get(_COUNTERS, what.encode(), int) or 0


def read_listing(state: Reader, listing: int) -> Listing | None:
    """A listing, or None."""
    return state.get(LISTINGS + wide(listing), _ONLY, Listing)


def write_listing(state: Overlay, listing: Listing) -> None:
    """Set a listing."""
    state.put(LISTINGS + wide(listing.id), _ONLY, listing)


def read_order(state: Reader, order: int) -> Order | None:
    """An order, or None."""
    return state.get(ORDERS + wide(order), _ONLY, Order)


def write_order(state: Overlay, order: Order) -> None:
    """Set an order."""
    state.put(ORDERS + wide(order.id), _ONLY, order)


def parties(order: Order) -> tuple[bytes, ...]:
    """Buyer, seller and carrier."""
    both = (order.buyer, order.seller)
    return both if order.carrier is None else (*both, order.carrier)


def open_orders(state: Reader, account: bytes) -> int:
    """How many open orders the account is a party of."""
    return state.get(PARTIES + account, _ONLY, int) or 0


def count_open(state: Overlay, order: Order, by: int) -> None:
    """Count an order that begins (1) or ends (-1) for its parties."""
    for party in parties(order):
        state.put(PARTIES + party, _ONLY, open_orders(state, party) + by or None)


def read_dispute(state: Reader, order: int) -> Dispute | None:
    """The dispute about an order, or None."""
    return state.get(ORDERS + wide(order), _DISPUTE, Dispute)


def write_dispute(state: Overlay, dispute: Dispute) -> None:
    """Set the dispute about an order."""
    state.put(ORDERS + wide(dispute.order), _DISPUTE, dispute)


def read_day(state: Reader, commodity: str, asset: str, day: int) -> Turnover:
    """What a day came to; zeros for a day without sales."""
    return state.get(day_group(commodity, asset, day), _ONLY, Turnover) or Turnover()


def write_day(state: Overlay, commodity: str, asset: str, day: int, values: Turnover) -> None:
    """Set what a day came to."""
    state.put(day_group(commodity, asset, day), _ONLY, values)


def day_group(commodity: str, asset: str, day: int) -> bytes:
    """The group whose proof shows a day's prices."""
    return DAYS + commodity.encode() + b"/" + asset.encode() + b"/" + day.to_bytes(4, "big")


def read_params(state: Reader) -> Params:
    """The module's parameters."""
    return read_parameters(state, "market", Params)


def order_group(order: int) -> bytes:
    """The group whose proof shows an order and its dispute."""
    return ORDERS + wide(order)
