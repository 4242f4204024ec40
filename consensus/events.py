"""Everything that can happen to the engine."""

from dataclasses import dataclass

from cccnode.types.block import Body, Header
from consensus.messages import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A message arrived over an authenticated connection."""

    peer: bytes
    """Node key of the connection: where a reply goes."""
    validator: int | None
    """Index in the epoch record of the validator whose node that is; None for other nodes."""
    message: Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """The engine's deadline has come.  Too early or too late does no harm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """The block asked for by `Build`; its batches are durable here."""

    view: int
    header: Header
    body: Body


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildDeclined:
    """This node cannot build now (it is catching up): the others should skip its view at once."""

    view: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyReady:
    """The block of a `CheckBody` is valid, all its batches are durable here, E is executed with equal roots."""

    block_id: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyInvalid:
    """The block of a `CheckBody` can never be valid.  Never sent because something is missing."""

    block_id: bytes
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Executed:
    """A final block is executed and durable, as is everything below it; also reported after the driver's own sync."""

    header: Header
    receipts: int
    """How many receipts it has: a block with none leaves no root to publish (J13)."""
    due: bool = False
    """Whether the state after it holds a change for the next epoch: the first block with its root ends the epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """Whether this node holds batches that it would list if it led: a reason to make a block."""

    waiting: bool


Event = Received | Tick | Built | BuildDeclined | BodyReady | BodyInvalid | Executed | Pending
