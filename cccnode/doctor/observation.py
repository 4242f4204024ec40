"""What one node knows at one moment: of itself, and of every validator.  All that a diagnosis reads.

Nouns, because an observation travels: a node gives it to whoever asks several nodes and joins what they say.  Times
are spans before the moment of observing, so that two nodes' clocks never meet.
"""

from typing import Annotated, Final

from msgspec import Meta

from cccnode.codec import Noun
from cccnode.types.limits import VALIDATORS_MAX
from cccnode.types.report import ErrorName, Report
from cccnode.types.scalars import Height, Name, PublicKey

SPAN_MAX: Final = 2**52
"""Larger spans are cut: they fit every reader of JSON."""

Index = Annotated[int, Meta(ge=0, le=VALIDATORS_MAX - 1)]
"""Of a validator in the epoch record."""
Indices = Annotated[tuple[Index, ...], Meta(max_length=VALIDATORS_MAX)]
Span = Annotated[int, Meta(ge=0, le=SPAN_MAX)]
"""Milliseconds, or a count."""
Offset = Annotated[int, Meta(ge=-SPAN_MAX, le=SPAN_MAX)]
"""Milliseconds, with a sign."""
Words = Annotated[str, Meta(max_length=400)]


def span(value: int) -> int:
    """A span out of any integer: what is negative is nothing."""
    return min(max(0, value), SPAN_MAX)


def offset(value: int) -> int:
    """An offset out of any integer."""
    return min(max(-SPAN_MAX, value), SPAN_MAX)


class Said(Noun, frozen=True, array_like=True, gc=False):
    """What a node said when it refused or left, or what trying to reach it gave."""

    name: ErrorName
    text: Words = ""
    age_ms: Span = 0


class Told(Noun, frozen=True, array_like=True, gc=False):
    """The newest report of a validator, and how it fits what the observer has."""

    report: Report
    age_ms: Span
    gap_ms: Span = 0
    """The longest pause between two of its reports lately."""
    same: bool | None = None
    """Whether its results are the observer's, at the newest height that both have; None: no such height."""
    rate: Span | None = None
    """Blocks that it executed in a minute, of late."""


class Seen(Noun, frozen=True, array_like=True, gc=False):
    """One validator of the epoch, as the observer sees it; of itself the observer fills only the first fields."""

    index: Index
    organisation: Name
    consensus_key: PublicKey
    linked: bool = False
    """Connected now."""
    silent_ms: Span | None = None
    """Since anything of it was heard; None: never since the observer started."""
    rtt_ms: Span | None = None
    ahead_ms: Offset | None = None
    """How far its clock is ahead of the observer's."""
    executed: Height | None = None
    """The height that it last said it has executed."""
    told: Told | None = None
    left: Said | None = None
    """Its last words, when it left with any."""
    failed: Said | None = None
    """Why the last try to reach it failed."""
    closed: bool = False
    """Whether its machine refused or ended that connection, which a cut network never does."""
    unreadable: bool = False
    """Whether it sent a report that this program cannot read."""
    quiet_views: Span | None = None
    """Views of the observer without a vote of it while it was connected; None: the observer has no views."""


class Observation(Noun, frozen=True, array_like=True, gc=False):
    """What one node knows now."""

    me: Index | None
    """Its index as a validator; None for a node that only follows."""
    organisation: Annotated[str, Meta(max_length=64)]
    own: Report
    """What it says of itself to others."""
    validators: Annotated[tuple[Seen, ...], Meta(max_length=VALIDATORS_MAX)]
    links: Span
    """Connected nodes, validators or not."""
    delta_ms: Span
    """Δ of the epoch: the assumed bound of one network delay."""
    heartbeat_ms: Span
    """How often an idle network makes a block."""
    armed: bool = False
    """Whether there is something to do in the current view."""
    stuck_ms: Span = 0
    """How long there has been something to do and nothing became final."""
    view_ms: Span = 0
    """How long the current view lasts."""
    leader: Index | None = None
    notarize: Indices = ()
    """Who is known to have cast this vote in the current view."""
    nullify: Indices = ()
    finalize: Indices = ()
    waiting_for: Words = ""
    block_age_ms: Span = 0
    """Since it executed a block, or started."""
    behind: Span = 0
    """Blocks that others have and it has not executed."""
    rate: Span | None = None
    """Blocks that it executed in a minute, of late."""
    waiting: Span = 0
    """Transactions waiting here."""
    index_behind: Span = 0
    boundary: bool = False
    """Whether the epoch's last block is notarized and not final."""
    accused: Annotated[tuple[Name, ...], Meta(max_length=VALIDATORS_MAX)] = ()
    """Organisations of whom it holds two contradicting votes."""
    refusal: Said | None = None
    """What others have against this node, when nobody is connected."""
    detail: Words = ""
    """What explains its most serious reason."""
