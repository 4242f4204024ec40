"""What sellers, buyers and arbitrators say.  Tags 0x08nn; a number is never used again."""

from enum import IntEnum
from typing import Annotated, Final

from msgspec import Meta

from cccnode.city.provenance.words import Geo, LotId, Quantity
from cccnode.codec import Noun
from cccnode.types.scalars import U63, AccountId, Amount, AssetId, Hash, Millis

NUMBER: Final = 8

CARRIERS_MAX: Final = 16
Bps = Annotated[int, Meta(ge=0, le=10_000)]
"""Ten-thousandths."""
Waiting = Annotated[int, Meta(ge=0, le=2_592_000_000)]
"""A length of time of at most 30 days, milliseconds; 0 takes the city's parameter."""


class MktList(Noun, tag=0x0801, frozen=True, array_like=True, gc=False):
    """Offer goods of a lot to everybody, at a price."""

    lot: LotId
    quantity: Quantity
    price: Annotated[int, Meta(ge=1, le=10**15)]
    """For 1,000 units of the lot (a kilogram, a litre, a thousand pieces), base units of `asset`."""
    asset: AssetId
    min_quantity: Quantity
    """The least that one order may take."""
    carriers: Annotated[tuple[AccountId, ...], Meta(max_length=CARRIERS_MAX)]
    """Who may carry it; nobody named: anybody."""
    accept_ms: Waiting
    ship_ms: Waiting
    deliver_ms: Waiting
    inspect_ms: Waiting
    geo: Geo
    expires_ms: Millis
    """When no further order is taken."""


class MktUnlist(Noun, tag=0x0802, frozen=True, array_like=True, gc=False):
    """Take no further orders; those that are open go on."""

    listing: U63


class MktOrder(Noun, tag=0x0803, frozen=True, array_like=True, gc=False):
    """Order goods; the price and the pay of the carrier wait in escrow."""

    listing: U63
    quantity: Quantity
    carrier: AccountId | None
    """Nil: the buyer gets the goods from the seller."""
    transport: Amount
    """What the carrier gets."""


class MktAccept(Noun, tag=0x0804, frozen=True, array_like=True, gc=False):
    """The seller takes an order."""

    order: U63


class MktReject(Noun, tag=0x0805, frozen=True, array_like=True, gc=False):
    """The seller does not take an order; the buyer gets everything back."""

    order: U63


class MktCancel(Noun, tag=0x0806, frozen=True, array_like=True, gc=False):
    """The buyer takes back an order that the seller has not taken yet."""

    order: U63


class MktConfirm(Noun, tag=0x0807, frozen=True, array_like=True, gc=False):
    """The buyer is content: everybody is paid now."""

    order: U63


class MktDispute(Noun, tag=0x0808, frozen=True, array_like=True, gc=False):
    """Buyer or seller asks an arbitrator, with a bond."""

    order: U63
    evidence: Hash
    """SHA-256 of what the arbitrator is to see; it is kept elsewhere."""


class AtFault(IntEnum):
    """Whose fault it was that goods did not arrive as they should."""

    NONE = 0
    BUYER = 1
    SELLER = 2
    CARRIER = 3


class Ruling(Noun, frozen=True, array_like=True, gc=False):
    """How an escrow is to be shared."""

    buyer_goods: Bps
    """What the buyer gets back of the price of the goods."""
    carrier: Bps
    """What the carrier gets of his pay."""
    fault: AtFault


class MktRule(Noun, tag=0x0809, frozen=True, array_like=True, gc=False):
    """A drawn arbitrator decides."""

    order: U63
    ruling: Ruling


class MktAppeal(Noun, tag=0x080A, frozen=True, array_like=True, gc=False):
    """Buyer, seller or carrier asks for a panel of three, once, with a double bond."""

    order: U63
