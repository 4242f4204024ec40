"""What an engine is told at its start, and what it shows about itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cccnode.types.block import Header
from cccnode.types.certificate import Certificate
from cccnode.types.validators import EpochRecord
from cccnode.types.vote import Proposal

Sign = Callable[[bytes], bytes | None]
"""Signs bytes with this validator's consensus key; None: not here yet, or refused.  A late answer comes with a Tick."""
VerifyMany = Callable[[Sequence[bytes], Sequence[bytes], Sequence[bytes]], list[bool]]
"""Messages, signatures, public keys: one verdict each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """The newest block that is final, executed and durable here: the genesis block in the beginning."""

    header: Header
    block_id: bytes
    view: int
    """View of its certificate in this epoch; 0 for the block that the epoch starts from."""
    certificate: Certificate | None = None
    """Its finalization, if it has one of its own: lets this node show it to laggards."""
    pending: int = 0
    """Newest height above its E, itself included, that has receipts or a change that is due; 0: none (J13)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One epoch as one node sees it."""

    chain: bytes
    epoch: int
    record: EpochRecord
    record_hash: bytes
    """Stands in every header of the epoch."""
    boundary_id: bytes
    """Block id that the epoch starts from (genesis block for the first): seeds the order of leaders."""
    me: int | None
    """Own index in the record; None: not a validator of this epoch."""
    root: Root
    watch: bool = False
    """Whether to watch before the first signature, as after a start of the process (see `watching`)."""
    unsure_view: int = 0
    """In views up to this one this node may have signed what its journal does not hold: it signs nothing there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidatorStatus:
    """What this node last heard of one validator."""

    last_heard_ms: int | None
    """Monotonic time of its last message; None: never since the start."""
    executed: int
    """Height it last reported as executed."""
    active_view: int
    """This node's view when it last voted or proposed; the view of the start if never."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStatus:
    """A picture of the engine for people and for RPC."""

    epoch: int
    view: int
    leader: int
    armed: bool
    """Whether the view's timers run; False: nothing to do, the network is idle."""
    ending: bool
    """Whether the epoch's last block is notarized and not final: only it is proposed again."""
    observing: str | None
    """Why this node does not sign; None: it does."""
    final: Proposal
    executed: int
    entered_ms: int
    """When the current view was entered."""
    votes: dict[str, tuple[int, ...]]
    """Who is known to have voted in the current view, by kind."""
    waiting_for: str
    """What the view waits for, in words."""
    validators: tuple[ValidatorStatus, ...]
