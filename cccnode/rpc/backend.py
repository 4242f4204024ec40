"""What the RPC asks of a node: one small Protocol and the values that cross it.

The node (`cccnode.node`) implements it; tests put a fake in its place.  Everything runs on the node's event loop.
A plain method answers at once from memory or one disk read and never blocks longer than a few milliseconds; only
`submit` and `wait` are awaited.  A method may raise `Fault` (for example `storage/PRUNED`); the RPC turns it into the
error envelope.  Reads see the last applied height.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, Protocol

from cccnode.doctor.observation import Observation
from cccnode.ledger.registry import Registry
from cccnode.ledger.state import StateView
from cccnode.telemetry import Metrics
from cccnode.types.block import FinalBlock, Header
from cccnode.types.errors import ErrorSpec, Fault
from cccnode.types.finality import Anchor, EpochLink
from cccnode.types.promise import Promise
from cccnode.types.proofs import EventsProof, GroupProof, HistoryProof, TransactionProof
from cccnode.types.validators import EpochRecord
from cccnode.types.vote import Contradiction
from p2p.peers import DialInfo, PeerInfo


class Phase(StrEnum):
    """The life of a transaction, in the words of architecture.md 5."""

    UNKNOWN = "unknown"
    RECEIVED = "received"
    ADMITTED = "admitted"
    BATCHED = "batched"
    PROPOSED = "proposed"
    FINAL = "final"
    EXECUTED = "executed"
    REFUSED = "refused"
    EXPIRED = "expired"


DECIDED = frozenset({Phase.EXECUTED, Phase.EXPIRED})
"""Phases that never change again: `wait` returns as soon as one is reached.  What one node refused another may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TxStatus:
    """What this node knows of one transaction."""

    phase: Phase
    height: int | None = None
    """Of the block that decided (or, when final, will decide) it."""
    position: int | None = None
    """Index of its receipt in that block."""
    code: int | None = None
    """Receipt code once decided: 0 is success, any other a number of the error table."""
    fault: Fault | None = None
    """Why this node refused it at admission."""


Submitted = tuple[bytes, Fault | None]
"""(transaction id, None when acknowledged); the id is empty where the bytes do not decode."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """What a transaction would do if the next block decided it alone, on the applied state."""

    tx_id: bytes
    height: int
    time_ms: int
    """Of that block."""
    receipt: bytes | None
    """Canonical bytes of its `Receipt`; None: no such block would decide it."""
    failure: Fault | None
    """Why it would fail or not be decided, with the values of this occurrence where they are known."""
    writes: Mapping[bytes, Mapping[bytes, bytes | None]]
    """Encoded items by group that it would write; None deletes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTransaction:
    """A decided transaction, found through the index."""

    raw: bytes
    height: int
    position: int
    receipt: bytes
    """Canonical bytes of its `Receipt`."""
    header: Header


class Place(NamedTuple):
    """Where a receipt stands in the chain."""

    height: int
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountHistory:
    """Some of what happened to an account, newest first."""

    entries: Sequence[tuple[Place, bytes]]
    """Where, and the transaction's id: zero where a rule of the block moved something."""
    first_height: int
    """From here on nothing is missing."""
    last_height: int
    """Up to here, which is a few seconds behind the chain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One sentence of status or readiness: a row of the error table with the values of this occurrence."""

    spec: ErrorSpec
    values: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One readiness check."""

    name: str
    """Short stable word: `disk`, `peers`, `behind`, `quorum`, `clock`, `signing`, `index`."""
    failed: Reason | None = None
    """None when the check passes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidatorStatus:
    """One validator of the current epoch, as this node sees it."""

    index: int
    organisation: str
    consensus_key: bytes
    reachable: bool
    """Itself, or connected now."""
    silent_ms: int | None = None
    """Since this node last heard a consensus message of it; None: never since the start, or it is this node."""
    executed: int | None = None
    """The height it says it has executed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The one answer to `how is this node?`."""

    chain: bytes
    chain_name: str
    """The name that the genesis document gives the network."""
    node_key: bytes
    organisation: str
    validator: int | None
    """This node's index in the epoch record, None for a peer."""
    state: str
    """One word: `validating`, `observing`, `catching_up`, `stalled` or `diverged`."""
    height: int
    """Applied: the last executed block, which reads see."""
    final_height: int
    """The last block known to be final."""
    epoch: int
    view: int
    leader: int
    block_id: bytes
    time_ms: int
    """Header time of the applied block."""
    state_root: bytes
    validators: Sequence[ValidatorStatus]
    peers: int
    behind: int
    """Blocks between the newest height that peers report and the applied one; 0 at the tip."""
    mempool: int
    """Transactions waiting here."""
    earliest: Mapping[str, int] = field(default_factory=dict)
    """The lowest height that is kept, for each kind of data."""
    usage: Mapping[str, int] = field(default_factory=dict)
    """Bytes on the disk, for each kind of data, as of some seconds ago."""
    reasons: Sequence[Reason] = ()
    """Why the state is not simply `validating`; empty when all is well."""
    snapshot: "SnapshotProgress | None" = None
    """How far a node has come that is far behind and begins at a snapshot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotProgress:
    """A snapshot on its way into this node."""

    stage: str
    """`fetching` or `building`."""
    height: int
    pieces: int
    done: int
    bytes: int
    """Of all pieces."""
    rate: int
    """Bytes a second, lately."""
    eta_ms: int | None
    """Until the stage is over; None while nothing moves."""
    sources: int
    """Neighbours that have it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What executing one height gave here, and the root over all results up to it: a result leaf of J1."""

    height: int
    block_id: bytes
    state_root: bytes
    receipts_root: bytes
    results_root: bytes


class Backend(Protocol):
    """A node, as the RPC sees it."""

    registry: Registry
    """The modules: message decoding, queries and the joined error table."""
    metrics: Metrics
    """Counters and gauges of this node, with their own registry."""

    async def submit(self, raws: Sequence[bytes]) -> Sequence[Submitted]:
        """Check, admit and make durable; one answer for each, in order, after the local batch is synced (J7).

        A transaction that already waits here is acknowledged again.  Raises `pool/NOT_READY` for all of them.
        """

    def promise(self, tx_id: bytes) -> Promise | None:
        """The node's word by which height a transaction that it has will be decided; None where it is decided.

        Raises `pool/NOT_READY` where it does not have it.
        """

    def check(self, raw: bytes) -> Submitted:
        """What `submit` would answer now, without taking it in."""

    def simulate(self, raw: bytes) -> Simulated:
        """What it would do.  Its signatures need not hold, so that it can be tried before anybody signs.

        Raises:
            Fault: it is no transaction of this chain.
        """

    async def wait(self, tx_id: bytes, valid_until_ms: int | None, timeout_ms: int) -> TxStatus:
        """The status once it is decided, or the latest one after `timeout_ms`.

        With `valid_until_ms` a node that never saw the transaction can answer `expired` (J6).  Must be cancellable.
        """

    def tx_status(self, tx_id: bytes, valid_until_ms: int | None) -> TxStatus:
        """What is known now.  Raises `storage/PRUNED` where it was decided and what came of it is kept no more."""

    def transaction(self, tx_id: bytes) -> StoredTransaction | None:
        """A decided transaction through the index; None when there is none (or the index lags).

        Raises `storage/PRUNED`.
        """

    def account_history(self, account: bytes, before: Place | None, limit: int) -> AccountHistory:
        """What was signed or paid for by an account, or moved something of it, before a place.

        Raises:
            Fault: `rpc/NO_HISTORY`.
        """

    def status(self) -> Status:
        """How the node is."""

    def header(self, height: int) -> Header | None:
        """The final header of an applied height; None above it.  Raises `storage/PRUNED`."""

    def block(self, height: int) -> FinalBlock | None:
        """The final block of an applied height; None above it and for genesis.  Raises `storage/PRUNED`."""

    def receipts(self, height: int) -> Sequence[bytes] | None:
        """Canonical receipts of an applied block, in order; None above it.  Raises `storage/PRUNED`."""

    def applied_height(self) -> int:
        """The last executed block."""

    def receipts_from(self) -> int:
        """The lowest height whose receipts are kept."""

    async def wait_applied(self, height: int, timeout_ms: int) -> int:
        """The applied height once it is above `height`, or after the time.  Must be cancellable."""

    def record(self) -> EpochRecord:
        """The record of the current epoch."""

    def state(self) -> StateView:
        """Applied state for queries; valid until the caller yields to the loop."""

    async def prove_group(self, group: bytes, height: int | None, wait_ms: int) -> GroupProof:
        """Presence, absence and completeness of one state group after the newest block, or after `height`.

        Waits up to `wait_ms` until a final header reports the result of that block (J1).

        Raises:
            Fault: `rpc/NOT_PROVABLE`, with the height that is, or `rpc/BUSY`.
        """

    async def prove_transaction(self, tx_id: bytes, wait_ms: int) -> TransactionProof:
        """A decided transaction with its receipt.

        Raises:
            Fault: `rpc/NOT_FOUND`, `storage/PRUNED`, `rpc/NOT_PROVABLE` or `rpc/BUSY`.
        """

    async def prove_events(self, height: int, wait_ms: int) -> EventsProof:
        """All receipts of an applied block.

        Raises:
            Fault: `rpc/NOT_FOUND`, `storage/PRUNED`, `rpc/NOT_PROVABLE` or `rpc/BUSY`.
        """

    def epoch_ends(self, first: int, count: int) -> Sequence[EpochLink]:
        """How the epochs from `first` on ended, at most `count`, without a gap."""

    def newest_anchor(self) -> Anchor | None:
        """The newest applied header that carries its own finalization; None before the first."""

    def prove_history(self, height: int, anchor: Anchor) -> HistoryProof | None:
        """That a block lies in the history of a header of this node; None: it lies above.

        Raises:
            Fault: `storage/PRUNED`.
        """

    def results(self, height: int) -> Results | None:
        """What executing a height gave here; None above the applied one."""

    def state_nodes(self, level: int, first: int, count: int) -> tuple[int, bytes]:
        """The applied height and the hashes of neighbours on one level of its state tree, joined."""

    def state_bucket(self, bucket: int) -> tuple[int, Mapping[bytes, bytes]]:
        """The applied height and the groups of a bucket with their hashes, ascending."""

    def state_group(self, group: bytes) -> tuple[int, Mapping[bytes, bytes]]:
        """The applied height and the items of a group, ascending."""

    def peers(self) -> Sequence[PeerInfo]:
        """Connected nodes, sorted by node key."""

    def dials(self) -> Sequence[DialInfo]:
        """Nodes that this one tries to reach and cannot: the last error and the next try."""

    def evidence(self) -> Sequence[Contradiction]:
        """Contradicting votes that this node has met, oldest first."""

    def readiness(self) -> Sequence[Check]:
        """Every check with its verdict, always the same checks in the same order."""

    def observe(self) -> Observation:
        """What this node knows now of itself and of every validator: what the doctor reasons from."""
