"""Everything the engine asks of its driver, carried out in the order given.

The ordering contract, the only one the driver must honour: no `Send` leaves before every `Persist(sync=True)` that
precedes it, in this list or in an earlier one, is durable together with all records before it.
"""

from dataclasses import dataclass

from cccnode.types.block import Body, Header
from cccnode.types.certificate import Certificate
from cccnode.types.vote import Proposal, Vote
from consensus.messages import Justification, Message
from consensus.records import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Persist:
    """Append to the journal, in order."""

    record: Record
    sync: bool
    """True: later sends wait until it is durable.  False: it rides along with the next one that is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Send to one node (its key), or to all other validators (None).  May be lost; the engine repeats what matters."""

    to: bytes | None
    message: Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Ancestor:
    """A block that is not executed yet (or not known to be), on the way to a new one."""

    block_id: bytes
    header: Header
    body: Body
    """What it lists: a block on top of it does not list the same again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """Make a block for this view: answer `Built`, or `BuildDeclined`.  Only the newest view's answer counts."""

    view: int
    parent: Header
    parent_id: bytes
    parent_view: int
    """View of the parent's certificate: goes into the header."""
    exec_height: int
    """E: at most what this node has executed."""
    empty: bool
    """The block may list nothing: E is too far behind (consensus.md 3.7)."""
    ancestors: tuple[Ancestor, ...]
    """Heights (last executed reported) + 1 ... parent.height, oldest first: for history_root and what is listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckBody:
    """Answer `BodyReady` or `BodyInvalid`, perhaps much later: batches present and durable, limits, roots, clock."""

    block_id: bytes
    header: Header
    body: Body
    proposer: int
    """Index of the leader who sent it: the first to ask for missing batches."""
    ancestors: tuple[Ancestor, ...]
    """As in `Build`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalizedBlock:
    """One block of a final chain."""

    block_id: bytes
    header: Header
    body: Body
    justification: Justification
    """What its proposal carried; empty where the block was fetched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finalized:
    """`proposal` and all its ancestors are final.  The same block may be delivered again after a restart."""

    proposal: Proposal
    certificate: Certificate
    blocks: tuple[FinalizedBlock, ...]
    """Contiguous, oldest first, ending at `proposal`; empty when not even that block is known."""
    complete: bool
    """True: `blocks` starts right above what was delivered or executed before.  False: the driver's sync must fetch
    what lies between; the engine tries too, and delivers again, complete, if it succeeds first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceFound:
    """Two votes of one validator that contradict each other, both with valid signatures (consensus.md 3.13)."""

    first: Vote
    second: Vote


@dataclass(frozen=True, slots=True, kw_only=True)
class Blame:
    """A node sent what no honest node sends: the driver scores or disconnects it."""

    peer: bytes
    validator: int | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """Something that must not happen did: this node signs nothing more in this epoch."""

    reason: str


Effect = Persist | Send | Build | CheckBody | Finalized | EvidenceFound | Blame | Alarm
