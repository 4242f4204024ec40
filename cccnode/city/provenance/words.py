"""Words of the trade: units, steps and dispositions as GS1's Core Business Vocabulary 2.0 has them, places, goods.

Steps and dispositions are numbered here once and for ever; their lower-case names are those of the vocabulary.
"""

from enum import IntEnum
from typing import Annotated, Final

from msgspec import Meta

from cccnode.types.scalars import U63

QUANTITY_MAX: Final = 10**15
"""A billion tonnes in grams: sums of quantities and products with prices stay far from any limit."""
Quantity = Annotated[int, Meta(ge=1, le=QUANTITY_MAX)]
"""Grams, millilitres or pieces, as the lot's unit says."""
Whole = Annotated[int, Meta(ge=0, le=QUANTITY_MAX)]
"""A quantity that may be nothing."""
LotId = U63
Commodity = Annotated[str, Meta(min_length=1, max_length=32, pattern="^[a-z]+(-[a-z]+)*$(?!\\n)")]
"""Kind of goods, such as `rice-jasmine`: letters and hyphens only, so that no number of a person fits in."""
Geo = Annotated[str, Meta(max_length=5, pattern="^[0-9b-hjkmnp-z]*$(?!\\n)")]
"""Geohash of at most five letters, an area of about 5 km; empty where the place is not told."""
OffsetMinutes = Annotated[int, Meta(ge=-840, le=840)]
"""Local time less UTC, minutes."""


class Unit(IntEnum):
    """What a quantity counts."""

    GRAM = 0
    MILLILITRE = 1
    PIECE = 2


class LotStatus(IntEnum):
    """Where a lot is in its life."""

    ACTIVE = 0
    IN_TRANSIT = 1
    """On an open trip of its holder."""
    CONSUMED = 2
    SPLIT = 3
    """All of it went into its parts."""
    MERGED = 4
    TRANSFORMED = 5
    RECALLED = 6
    DESTROYED = 7
    LOST = 8
    """Nothing of it arrived."""


class EventKind(IntEnum):
    """The five kinds of EPCIS events."""

    OBJECT = 0
    AGGREGATION = 1
    TRANSACTION = 2
    TRANSFORMATION = 3
    ASSOCIATION = 4


class Action(IntEnum):
    """What an event says of its objects: that they appear, are seen, or are gone."""

    ADD = 0
    OBSERVE = 1
    DELETE = 2


class Step(IntEnum):
    """Business steps of the vocabulary (CBV 2.0, 7.1)."""

    ACCEPTING = 0
    ARRIVING = 1
    ASSEMBLING = 2
    COLLECTING = 3
    COMMISSIONING = 4
    CONSIGNING = 5
    CREATING_CLASS_INSTANCE = 6
    CYCLE_COUNTING = 7
    DECOMMISSIONING = 8
    DEPARTING = 9
    DESTROYING = 10
    DISASSEMBLING = 11
    DISPENSING = 12
    ENCODING = 13
    ENTERING_EXITING = 14
    HOLDING = 15
    INSPECTING = 16
    INSTALLING = 17
    KILLING = 18
    LOADING = 19
    OTHER = 20
    PACKING = 21
    PICKING = 22
    RECEIVING = 23
    REMOVING = 24
    REPACKAGING = 25
    REPAIRING = 26
    REPLACING = 27
    RESERVING = 28
    RETAIL_SELLING = 29
    SAMPLING = 30
    SENSOR_REPORTING = 31
    SHIPPING = 32
    STAGING_OUTBOUND = 33
    STOCK_TAKING = 34
    STOCKING = 35
    STORING = 36
    TRANSPORTING = 37
    UNLOADING = 38
    UNPACKING = 39
    VOID_SHIPPING = 40


class Disposition(IntEnum):
    """Dispositions of the vocabulary (CBV 2.0, 7.2)."""

    ACTIVE = 0
    CONTAINER_CLOSED = 1
    DAMAGED = 2
    DESTROYED = 3
    DISPENSED = 4
    DISPOSED = 5
    ENCODED = 6
    EXPIRED = 7
    IN_PROGRESS = 8
    IN_TRANSIT = 9
    INACTIVE = 10
    NO_PEDIGREE_MATCH = 11
    NON_SELLABLE_OTHER = 12
    PARTIALLY_DISPENSED = 13
    RECALLED = 14
    RESERVED = 15
    RETAIL_SOLD = 16
    RETURNED = 17
    SELLABLE_ACCESSIBLE = 18
    SELLABLE_NOT_ACCESSIBLE = 19
    STOLEN = 20
    UNKNOWN = 21
    AVAILABLE = 22
    COMPLETENESS_VERIFIED = 23
    COMPLETENESS_INFERRED = 24
    CONFORMANT = 25
    CONTAINER_OPEN = 26
    MISMATCH_INSTANCE = 27
    MISMATCH_CLASS = 28
    MISMATCH_QUANTITY = 29
    NEEDS_REPLACEMENT = 30
    NON_CONFORMANT = 31
    UNAVAILABLE = 32


class Reason(IntEnum):
    """Why an event is declared wrong (CBV 2.0, 7.5)."""

    DID_NOT_OCCUR = 0
    INCORRECT_DATA = 1
