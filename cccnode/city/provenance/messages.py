"""What producers, carriers and buyers say about goods.  Tags 0x07nn; a number is never used again."""

from typing import Annotated, Final

from msgspec import Meta

from cccnode.city.provenance.words import (
    Commodity,
    Disposition,
    Geo,
    LotId,
    OffsetMinutes,
    Quantity,
    Reason,
    Step,
    Unit,
    Whole,
)
from cccnode.codec import Noun
from cccnode.types.scalars import U63, AccountId, Hash, Millis

NUMBER: Final = 7

CERTIFICATES_MAX: Final = 8
PARTS_MAX: Final = 16
"""Lots that one message may make or take: bounds what it costs."""
TRIP_LOTS_MAX: Final = 64
Factor = Annotated[int, Meta(ge=1, le=10**9)]
"""Grams in 1,000 units: 1,000 for grams; what a recipe says for millilitres and pieces."""
Lots = Annotated[tuple[LotId, ...], Meta(min_length=1, max_length=TRIP_LOTS_MAX)]


class PrvCreateLot(Noun, tag=0x0701, frozen=True, array_like=True, gc=False):
    """Bring a new lot of goods into the chain.  Its sender is its origin for ever."""

    commodity: Commodity
    unit: Unit
    quantity: Quantity
    geo: Geo
    made_ms: Millis
    """When it was harvested or made, as the producer says."""
    certificates: Annotated[tuple[Hash, ...], Meta(max_length=CERTIFICATES_MAX)]
    """SHA-256 of certificates that are kept elsewhere."""


class Observation(Noun, frozen=True, array_like=True, gc=False):
    """What a holder saw of a lot, where, and when by his own clock."""

    step: Step
    disposition: Disposition
    at_ms: Millis
    offset_minutes: OffsetMinutes
    geo: Geo
    payload: Hash | None
    """SHA-256 of a photo, a log or a document, or nil."""


class PrvEvent(Noun, tag=0x0702, frozen=True, array_like=True, gc=False):
    """Write down an observation of a lot that the sender holds."""

    lot: LotId
    observation: Observation


class PrvSplit(Noun, tag=0x0703, frozen=True, array_like=True, gc=False):
    """Take parts out of a lot; each is a lot of its own, and the rest stays."""

    lot: LotId
    quantities: Annotated[tuple[Quantity, ...], Meta(min_length=1, max_length=PARTS_MAX)]


class PrvMerge(Noun, tag=0x0704, frozen=True, array_like=True, gc=False):
    """Put lots of one origin and commodity together into a new one."""

    lots: Annotated[tuple[LotId, ...], Meta(min_length=2, max_length=PARTS_MAX)]


class Input(Noun, frozen=True, array_like=True, gc=False):
    """What a transformation takes out of a lot."""

    lot: LotId
    quantity: Quantity
    factor: Factor


class Output(Noun, frozen=True, array_like=True, gc=False):
    """A lot that a transformation makes."""

    commodity: Commodity
    unit: Unit
    quantity: Quantity
    factor: Factor


class PrvTransform(Noun, tag=0x0705, frozen=True, array_like=True, gc=False):
    """Make other goods out of lots: milling, cooking, packing mixtures."""

    inputs: Annotated[tuple[Input, ...], Meta(min_length=1, max_length=PARTS_MAX)]
    outputs: Annotated[tuple[Output, ...], Meta(min_length=1, max_length=PARTS_MAX)]
    recipe: Hash
    """SHA-256 of the recipe, which is kept elsewhere."""
    geo: Geo


class PrvOffer(Noun, tag=0x0706, frozen=True, array_like=True, gc=False):
    """Offer a whole lot to somebody; it changes hands when he accepts."""

    lot: LotId
    to: AccountId
    order: U63
    """The order that it serves, or 0."""


class PrvAccept(Noun, tag=0x0707, frozen=True, array_like=True, gc=False):
    """Take over an offered lot with the quantity that was really there; what lacks is lost."""

    lot: LotId
    observed: Whole
    condition: Hash | None
    """SHA-256 of a report or photo of its condition, or nil."""


class PrvReject(Noun, tag=0x0708, frozen=True, array_like=True, gc=False):
    """Refuse an offered lot, or withdraw the own offer."""

    lot: LotId


class PrvCorrect(Noun, tag=0x0709, frozen=True, array_like=True, gc=False):
    """Declare an event wrong, and perhaps say what is right.  Nothing is erased."""

    lot: LotId
    event: U63
    """Number of the event in the lot's chain."""
    reason: Reason
    replacement: Observation | None


class PrvRecall(Noun, tag=0x070A, frozen=True, array_like=True, gc=False):
    """Call a lot back, and everything that was made of it."""

    lot: LotId
    reason: Hash
    """SHA-256 of the notice, which is published elsewhere."""


class PrvTripStart(Noun, tag=0x070B, frozen=True, array_like=True, gc=False):
    """Set out with lots that the sender holds."""

    lots: Lots


class PrvTripEnd(Noun, tag=0x070C, frozen=True, array_like=True, gc=False):
    """End a trip; the lots that are still held are unloaded."""

    trip: U63


class PrvSensor(Noun, tag=0x070D, frozen=True, array_like=True, gc=False):
    """Anchor the root of a trip's sensor log."""

    trip: U63
    root: Hash


class PrvConsume(Noun, tag=0x070E, frozen=True, array_like=True, gc=False):
    """Take goods out of the chain for good: used up or sold over the counter, or destroyed."""

    lot: LotId
    quantity: Quantity
    destroyed: bool
