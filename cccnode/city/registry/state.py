"""Organisations, validators, nodes, proposals in the state: the only place that knows their groups and items.

orgs            <number u16 BE>   name: every organisation that ever was, in the order of admission
o/<name>        ""                Organisation
                a                 account id: who acts for it
                v                 public key: its consensus key, if it validates from the next epoch on
                f                 epoch: up to which its change of membership is flagged
n/<name>        <node key>        NodeRecord: one proof shows that the list of an organisation's nodes is complete
nk/<node key>   ""                name: whose node this is
r/<name>        <node key>        NodeRecord: unregistered, but trusted until the epoch that names it ends
retiring        <name>            True: the organisations that have such nodes
vk/<key>        ""                name: whose consensus key this is or was
epoch           limits, timers, features: what the next epoch record takes over
epoch           planned           tuple of Planned: features that wait, by name
ready/<feature> <name>            True: this organisation's validator knows its rules
epoch           retired: True once only the city's votes change the network
                changes           how often anything changed that the next epoch record reads
policy          <kind u8>         Policy
registry        next              number of the next proposal
                due               when the first open proposal expires, or earlier
                epoch             the newest epoch of which a block was executed
props           <number u64 BE>   OpenProposal: what is open, without its content
proposal/<n>    ""                Proposal
approval/<n>    <name>            Approval
decided         <number mod 64>   Decision: what became of the last ones
er/<epoch>      ""                EpochMembers: who validated, for ever, so that evidence can be judged
led/<key>       ""                Participation, of the validators of the newest epoch
ready           <slot u8>         Checkpoint
"""

from collections.abc import Iterable
from enum import IntEnum
from typing import Final

from cccnode.city.members.state import Pillar
from cccnode.city.registry.messages import Addresses, Certificate, Change, ChangeKind, Policy
from cccnode.codec import Noun
from cccnode.ledger.pages import wide
from cccnode.ledger.state import Overlay, Reader
from cccnode.types.scalars import U16, U63, Hash, Height, Millis, Name, PublicKey
from cccnode.types.validators import Limits, Timers

_ALL: Final = b"orgs"
_ORGANISATION: Final = b"o/"
_NODES: Final = b"n/"
_NODE_KEY: Final = b"nk/"
_RETIRED: Final = b"r/"
_RETIRING: Final = b"retiring"
_USED_KEY: Final = b"vk/"
EPOCH: Final = b"epoch"
"""The group that every change of the next epoch record touches."""
_POLICY: Final = b"policy"
_REGISTRY: Final = b"registry"
_OPEN: Final = b"props"
_PROPOSAL: Final = b"proposal/"
_APPROVALS: Final = b"approval/"
_DECIDED: Final = b"decided"
_MEMBERS: Final = b"er/"
_LED: Final = b"led/"
_READY: Final = b"ready"
_KNOWS: Final = b"ready/"
_ONLY: Final = b""
_ACCOUNT: Final = b"a"
_CONSENSUS_KEY: Final = b"v"
_PLANNED: Final = b"planned"
_FLAG: Final = b"f"
_CHANGES: Final = b"changes"
_NUMBER_BYTES: Final = 2
"""Bytes of a proposal's number or of an epoch in a key."""

DECISIONS_KEPT: Final = 64
CHECKPOINT_HEIGHTS: Final = 32
"""Heights from one checkpoint to the next."""
CHECKPOINTS_KEPT: Final = 64

Features = tuple[Name, ...]


class Planned(Noun, frozen=True, array_like=True, gc=False):
    """A feature that comes into force, if the validators are ready."""

    feature: Name
    height: Height
    """Not before the epoch after this one."""
    code: Hash


class Standing(IntEnum):
    """Whether an organisation takes part."""

    ACTIVE = 0
    REMOVED = 1
    LEFT = 2


class Organisation(Noun, frozen=True, array_like=True, gc=False):
    """A partner."""

    number: U16
    """Sequential: validators of an epoch record stand in this order."""
    pillar: Pillar
    standing: Standing
    since_ms: Millis


class NodeRecord(Noun, frozen=True, array_like=True, gc=False):
    """One machine of an organisation (J14)."""

    certificate: Certificate
    """Self-signed X.509, DER: what TLS must present."""
    addresses: Addresses
    """Hints where to dial: host:port."""


class OpenProposal(Noun, frozen=True, array_like=True, gc=False):
    """What limits and expiry need of an open proposal."""

    expires_ms: Millis
    proposer: Name
    digest: Hash
    """SHA-256 of the encoded change: the same change is not open twice."""


class Proposal(Noun, frozen=True, array_like=True, gc=False):
    """A change that waits for approvals."""

    number: U63
    proposer: Name
    change: Change
    flagged: bool
    opened_ms: Millis
    expires_ms: Millis


class Approval(Noun, frozen=True, array_like=True, gc=False):
    """One organisation's word."""

    reached: bool
    """It is linked with the candidate's node, which is at the tip."""
    height: Height


class Ending(IntEnum):
    """How a proposal ended."""

    EXECUTED = 0
    EXPIRED = 1
    WITHDRAWN = 2


class Decision(Noun, frozen=True, array_like=True, gc=False):
    """What became of a proposal."""

    number: U63
    proposer: Name
    kind: ChangeKind
    subject: str
    ending: Ending
    height: Height


class Member(Noun, frozen=True, array_like=True, gc=False):
    """A validator of an epoch: its place is the signer's index in votes."""

    organisation: Name
    consensus_key: PublicKey


class EpochMembers(Noun, frozen=True, array_like=True, gc=False):
    """Who validated in an epoch."""

    height: Height
    """Of its first block."""
    members: tuple[Member, ...]


class Participation(Noun, frozen=True, array_like=True, gc=False):
    """When a validator led."""

    since: Height
    """When its key began to validate: until it had its turns, it counts as live."""
    last: Height
    """Height of the last block that it proposed; 0 if it never did."""


class Checkpoint(Noun, frozen=True, array_like=True, gc=False):
    """A state root that a header carried: what a candidate must have computed too."""

    height: Height
    state_root: Hash


# -- organisations ---------------------------------------------------------------------------------------------------


def organisation_names(state: Reader) -> tuple[str, ...]:
    """Every organisation, by number."""
    return tuple(state.group(_ALL, str).values())


def read_organisation(state: Reader, name: str) -> Organisation | None:
    """The record of an organisation, or None."""
    return state.get(_ORGANISATION + name.encode(), _ONLY, Organisation)


def write_organisation(state: Overlay, name: str, organisation: Organisation) -> None:
    """Set the record of an organisation and list it."""
    state.put(_ORGANISATION + name.encode(), _ONLY, organisation)
    state.put(_ALL, organisation.number.to_bytes(_NUMBER_BYTES, "big"), name)


def organisation_account(state: Reader, name: str) -> bytes | None:
    """The account that acts for an organisation; None where genesis gave it none."""
    return state.get(_ORGANISATION + name.encode(), _ACCOUNT, bytes)


def write_organisation_account(state: Overlay, name: str, account: bytes) -> None:
    """Set the account that acts for an organisation."""
    state.put(_ORGANISATION + name.encode(), _ACCOUNT, account)


# -- validators ------------------------------------------------------------------------------------------------------


def read_consensus_key(state: Reader, name: str) -> bytes | None:
    """The key with which an organisation votes from the next epoch on, or None where it does not validate."""
    return state.get(_ORGANISATION + name.encode(), _CONSENSUS_KEY, bytes)


def write_consensus_key(state: Overlay, name: str, key: bytes | None) -> None:
    """Make an organisation a validator with this key, or with None make it none; the key is used from now on."""
    state.put(_ORGANISATION + name.encode(), _CONSENSUS_KEY, key)
    if key is not None:
        state.put(_USED_KEY + key, _ONLY, name)
    _touch(state)


def consensus_key_used(state: Reader, key: bytes) -> bool:
    """Whether this consensus key was ever registered."""
    return state.has(_USED_KEY + key, _ONLY)


def consensus_key_group(key: bytes) -> bytes:
    """The group whose proof shows whether this consensus key was ever registered."""
    return _USED_KEY + key


def read_flag(state: Reader, name: str) -> int:
    """Up to which epoch the change of this organisation's membership is flagged; 0 for none."""
    return state.get(_ORGANISATION + name.encode(), _FLAG, int) or 0


def write_flag(state: Overlay, name: str, epoch: int) -> None:
    """Flag the change of an organisation's membership for records up to that of `epoch`."""
    state.put(_ORGANISATION + name.encode(), _FLAG, epoch)
    _touch(state)


# -- nodes -----------------------------------------------------------------------------------------------------------


def read_nodes(state: Reader, name: str) -> dict[bytes, NodeRecord]:
    """An organisation's nodes by transport key, sorted."""
    return state.group(_NODES + name.encode(), NodeRecord)


def write_node(state: Overlay, name: str, node_key: bytes, record: NodeRecord) -> None:
    """Register a node."""
    state.put(_NODES + name.encode(), node_key, record)
    state.put(_NODE_KEY + node_key, _ONLY, name)
    _touch(state)


def remove_node(state: Overlay, name: str, node_key: bytes, *, retire: NodeRecord | None) -> None:
    """Unregister a node; with its record in `retire` it is trusted until `forget_retired`."""
    state.put(_NODES + name.encode(), node_key, None)
    if retire is None:
        state.put(_NODE_KEY + node_key, _ONLY, None)
    else:
        state.put(_RETIRED + name.encode(), node_key, retire)
        state.put(_RETIRING, name.encode(), True)
    _touch(state)


def node_owner(state: Reader, node_key: bytes) -> str | None:
    """Whose node this is, or None for a stranger."""
    return state.get(_NODE_KEY + node_key, _ONLY, str)


def retired_nodes(state: Reader, name: str) -> dict[bytes, NodeRecord]:
    """Nodes of an organisation that are unregistered and trusted until the epoch ends, sorted."""
    return state.group(_RETIRED + name.encode(), NodeRecord)


def retiring_organisations(state: Reader) -> tuple[str, ...]:
    """The organisations that have retired nodes, sorted."""
    return tuple(name.decode() for name in state.group(_RETIRING, bool))


def forget_retired(state: Overlay, name: str, node_key: bytes, *, registered_again: bool = False) -> None:
    """Drop a retired node: it is a stranger from now on, unless it was registered again."""
    state.put(_RETIRED + name.encode(), node_key, None)
    if not registered_again:
        state.put(_NODE_KEY + node_key, _ONLY, None)
    if not retired_nodes(state, name):
        state.put(_RETIRING, name.encode(), None)
    _touch(state)


# -- what the next epoch takes over ----------------------------------------------------------------------------------


def read_limits(state: Reader) -> Limits:
    """Bounds of the next epoch."""
    return state.get(EPOCH, b"limits", Limits) or Limits()


def read_timers(state: Reader) -> Timers:
    """Times of the next epoch."""
    return state.get(EPOCH, b"timers", Timers) or Timers()


def read_features(state: Reader) -> Features:
    """Active features of the next epoch, sorted."""
    return state.get(EPOCH, b"features", Features) or ()


def read_planned(state: Reader) -> tuple[Planned, ...]:
    """Scheduled features, by name."""
    return state.get(EPOCH, _PLANNED, tuple[Planned, ...]) or ()


def write_planned(state: Overlay, planned: Iterable[Planned]) -> None:
    """Set what is scheduled; who is ready for what is not scheduled any more is forgotten."""
    rows = tuple(sorted(planned, key=lambda row: row.feature))
    stays = [row.feature for row in rows]
    for gone in [row.feature for row in read_planned(state) if row.feature not in stays]:
        for name in ready_for(state, gone):
            state.put(_KNOWS + gone.encode(), name.encode(), None)
    state.put(EPOCH, _PLANNED, rows or None)


def ready_for(state: Reader, feature: str) -> tuple[str, ...]:
    """Organisations that declared that they know a scheduled feature, by name."""
    return tuple(sorted(item.decode() for item in state.group(_KNOWS + feature.encode(), bool)))


def write_ready(state: Overlay, feature: str, name: str) -> None:
    """An organisation's validator knows a scheduled feature."""
    state.put(_KNOWS + feature.encode(), name.encode(), True)


def write_limits(state: Overlay, limits: Limits) -> None:
    """Set the bounds of the next epoch."""
    state.put(EPOCH, b"limits", limits)


def write_timers(state: Overlay, timers: Timers) -> None:
    """Set the times of the next epoch."""
    state.put(EPOCH, b"timers", timers)


def write_features(state: Overlay, features: Features) -> None:
    """Set the active features of the next epoch."""
    state.put(EPOCH, b"features", tuple(sorted(features)))


def _touch(state: Overlay) -> None:
    """Note in the group `epoch` that something else changed which the next record, or the list of nodes, reads."""
    state.put(EPOCH, _CHANGES, (state.get(EPOCH, _CHANGES, int) or 0) + 1)


# -- policies and proposals ------------------------------------------------------------------------------------------


def read_policy(state: Reader, kind: ChangeKind) -> Policy:
    """When this kind of change passes; genesis sets them all."""
    policy = state.get(_POLICY, bytes([kind]), Policy)
    assert policy is not None, "genesis sets every policy"
    return policy


def write_policy(state: Overlay, kind: ChangeKind, policy: Policy) -> None:
    """Set when this kind of change passes."""
    state.put(_POLICY, bytes([kind]), policy)


def take_number(state: Overlay) -> int:
    """The number of the next proposal, from 1; no number is given twice."""
    number = state.get(_REGISTRY, b"next", int) or 1
    state.put(_REGISTRY, b"next", number + 1)
    return number


def open_proposals(state: Reader) -> dict[int, OpenProposal]:
    """What is open, by number."""
    return {int.from_bytes(item, "big"): row for item, row in state.group(_OPEN, OpenProposal).items()}


def read_proposal(state: Reader, number: int) -> Proposal | None:
    """An open proposal, or None."""
    return state.get(_PROPOSAL + wide(number), _ONLY, Proposal)


def write_proposal(state: Overlay, proposal: Proposal, digest: bytes) -> None:
    """Open a proposal."""
    item = wide(proposal.number)
    state.put(_PROPOSAL + item, _ONLY, proposal)
    state.put(_OPEN, item, OpenProposal(proposal.expires_ms, proposal.proposer, digest))
    due = first_expiry(state)
    if due is None or proposal.expires_ms < due:
        write_first_expiry(state, proposal.expires_ms)


def drop_proposal(state: Overlay, number: int, decision: Decision) -> None:
    """Close a proposal: its content and approvals go, its decision stays among the last ones."""
    item = wide(number)
    for name in approvals(state, number):
        state.put(_APPROVALS + item, name.encode(), None)
    state.put(_PROPOSAL + item, _ONLY, None)
    state.put(_OPEN, item, None)
    state.put(_DECIDED, bytes([number % DECISIONS_KEPT]), decision)


def decisions(state: Reader) -> tuple[Decision, ...]:
    """What became of the last proposals, by number."""
    return tuple(sorted(state.group(_DECIDED, Decision).values(), key=lambda decision: decision.number))


def first_expiry(state: Reader) -> int | None:
    """When the first open proposal expires, or earlier; None when nothing is open."""
    return state.get(_REGISTRY, b"due", int)


def write_first_expiry(state: Overlay, time_ms: int | None) -> None:
    """Set when to look at expiry next."""
    state.put(_REGISTRY, b"due", time_ms)


def approvals(state: Reader, number: int) -> dict[str, Approval]:
    """Who approved an open proposal, by name."""
    return {item.decode(): row for item, row in state.group(_APPROVALS + wide(number), Approval).items()}


def write_approval(state: Overlay, number: int, name: str, approval: Approval) -> None:
    """Set one organisation's word."""
    state.put(_APPROVALS + wide(number), name.encode(), approval)


# -- what blocks tell ------------------------------------------------------------------------------------------------


def newest_epoch(state: Reader) -> int | None:
    """The newest epoch of which a block was executed; None before the first block."""
    return state.get(_REGISTRY, b"epoch", int)


def epoch_members(state: Reader, epoch: int) -> EpochMembers | None:
    """Who validated in an epoch, or None where no block of it was executed."""
    return state.get(_MEMBERS + wide(epoch), _ONLY, EpochMembers)


def epoch_known(state: Reader, epoch: int) -> bool:
    """Whether the members of an epoch are written down; cheaper than reading them."""
    return state.has(_MEMBERS + wide(epoch), _ONLY)


def write_epoch_members(state: Overlay, epoch: int, members: EpochMembers) -> None:
    """Write down who validates in the newest epoch."""
    state.put(_MEMBERS + wide(epoch), _ONLY, members)
    state.put(_REGISTRY, b"epoch", epoch)


def read_participation(state: Reader, key: bytes) -> Participation | None:
    """When the validator with this consensus key led; None where it is not one of the newest epoch."""
    return state.get(_LED + key, _ONLY, Participation)


def write_participation(state: Overlay, key: bytes, participation: Participation | None) -> None:
    """Set or drop when a validator led."""
    state.put(_LED + key, _ONLY, participation)


def checkpoint_at(state: Reader, height: int) -> Checkpoint | None:
    """The checkpoint of the stretch that `height` lies in, or of an older stretch in the same slot."""
    return state.get(_READY, _slot(height), Checkpoint)


def checkpoints(state: Reader) -> tuple[Checkpoint, ...]:
    """All remembered checkpoints, by height."""
    return tuple(sorted(state.group(_READY, Checkpoint).values(), key=lambda row: row.height))


def write_checkpoint(state: Overlay, checkpoint: Checkpoint) -> None:
    """Remember a state root in the place of the oldest one."""
    state.put(_READY, _slot(checkpoint.height), checkpoint)


def _slot(height: int) -> bytes:
    return bytes([height // CHECKPOINT_HEIGHTS % CHECKPOINTS_KEPT])


def founders_retired(state: Reader) -> bool:
    """Whether only the city's votes change the network."""
    return state.get(EPOCH, b"retired", bool) or False


def retire_founders(state: Overlay) -> None:
    """From now on."""
    state.put(EPOCH, b"retired", True)
