"""What gossip is told (events) and what it asks for (effects): nothing here touches a socket or a clock."""

from dataclasses import dataclass
from typing import TypeAlias

from p2p.frames import Channel
from p2p.messages import BlockMessage, ControlMessage, TxMessage
from p2p.scores import Offence


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """One registered node as gossip needs it."""

    node_key: bytes
    validator: bool
    addresses: tuple[str, ...]


# Events


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """The registry's nodes, all of them (own included): at the start and after every change."""

    contacts: tuple[Contact, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked:
    """A link is up (Handler.on_peer)."""

    peer: bytes
    validator: bool
    address: str = ""
    """Where this node dialled it, or where it says that it listens; empty if unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlinked:
    """A link is gone (Handler.on_lost)."""

    peer: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class DialFailed:
    """A dial of a wanted node failed (Handler.on_refused, direction OUT)."""

    peer: bytes
    alternatives: tuple[tuple[bytes, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A payload on CONTROL, BLOCK or TX (Handler.on_frame).  Malformed ones become `Punish` effects."""

    peer: bytes
    channel: Channel
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Tip:
    """This node has stored and executed up to here; it can serve `first..height`."""

    height: int
    block_id: bytes
    first: int = 0
    have: int = 0
    """Up to where it holds the content, executed or not; nothing at or below is pulled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """Consensus knows of final blocks up to `height` that are missing here: pull at once, from anyone who has them."""

    height: int
    peer: bytes | None = None
    """Who certainly has them, if known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BadBlocks:
    """What a `Deliver` gave from `height` on is invalid: pull again from others."""

    peer: bytes
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One transaction to be passed on."""

    tx_id: bytes
    raw: bytes
    valid_until_ms: int
    """Wall clock; for the driver's use: it sends `Forget` when the transaction is final or expired."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submit:
    """Pass these admitted transactions towards a validator.  A validator never raises this."""

    items: tuple[Item, ...]
    hops: int | None = None
    """None for transactions of this node's own clients (kept and tried again); else what `Arrived` said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forget:
    """These transactions are final or expired."""

    tx_ids: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """The time of `Gossip.deadline_ms` has come (or any other moment)."""


Event: TypeAlias = (
    Registered | Linked | Unlinked | DialFailed | Frame | Tip | Behind | BadBlocks | Submit | Forget | Tick
)


# Effects


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Send `messages.write(message)` to that peer; a full queue may drop it, all is repeated where it matters."""

    peer: bytes
    channel: Channel
    message: ControlMessage | BlockMessage | TxMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """Network.want: the complete set of overlay nodes to stay linked with."""

    keys: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """Network.hint: another address of a registered node."""

    node_key: bytes
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Serve:
    """Answer with `Send(peer, BLOCK, Blocks(number, blocks))`: read up to `count` blocks from `first` on.

    Use `gossip.fit_blocks` to stop at the byte limit.
    """

    peer: bytes
    number: int
    first: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliver:
    """Encoded FinalBlocks of heights first, first + 1, ...: verify, store, execute, then raise `Tip` or `BadBlocks`."""

    peer: bytes
    first: int
    blocks: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """Foreign transactions: verify and admit; a validator batches them, any other node raises `Submit(hops=hops)`."""

    peer: bytes
    transactions: tuple[bytes, ...]
    hops: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Punish:
    """Network.offence: that peer broke a rule."""

    peer: bytes
    offence: Offence
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hangup:
    """Network.drop: end this link to make room for another."""

    peer: bytes


Effect: TypeAlias = Send | Want | Hint | Serve | Deliver | Arrived | Punish | Hangup
