"""What organisations send about themselves and about the network.  Tags 0x03nn; a number is never used again.

A change is part of a proposal, not a message of its own: its small tag only tells one kind from another.
"""

from enum import IntEnum
from typing import Annotated, Final

from msgspec import Meta

from cccnode.city.members.messages import KEYS_MAX, WeightedKey
from cccnode.city.members.state import Pillar
from cccnode.codec import Noun
from cccnode.types.limits import CERTIFICATE_DER_MAX, NODES_PER_ORGANISATION_MAX
from cccnode.types.readiness import ReadinessReceipt
from cccnode.types.scalars import U8, U63, Hash, Height, Name, PublicKey, Signature
from cccnode.types.validators import Limits, Timers

NUMBER: Final = 3

ADDRESSES_MAX: Final = 8
"""Address hints of one node."""
SHARE_MAX: Final = 1_000
"""Largest numerator and denominator of a policy's share."""
PROPOSAL_MS_MIN: Final = 1_000
PROPOSAL_MS_MAX: Final = 366 * 86_400_000
"""Bounds of a proposal's lifetime: a second for rehearsals, a year for the slowest assembly."""

OrganisationName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,63}\Z")]
"""As in the genesis document."""
Certificate = Annotated[bytes, Meta(min_length=1, max_length=CERTIFICATE_DER_MAX)]
Address = Annotated[str, Meta(min_length=3, max_length=128, pattern=r"^[!-~]+:[0-9]{1,5}\Z")]
"""host:port, printable ASCII."""
Addresses = Annotated[tuple[Address, ...], Meta(max_length=ADDRESSES_MAX)]
ProposalNumber = U63


class NodeOffer(Noun, frozen=True, array_like=True, gc=False):
    """A machine to register."""

    certificate: Certificate
    """Self-signed X.509 of its Ed25519 node key, DER."""
    addresses: Addresses


# -- policies --------------------------------------------------------------------------------------------------------


class ChangeKind(IntEnum):
    """The kinds of change; the value is the tag of the change's noun."""

    ADMIT_ORGANISATION = 1
    REMOVE_ORGANISATION = 2
    ADD_VALIDATOR = 3
    REMOVE_VALIDATOR = 4
    SET_TIMERS = 5
    SET_LIMITS = 6
    SET_POLICY = 7


class Electorate(IntEnum):
    """Whose approvals count."""

    ORGANISATIONS = 0
    """Every active one."""
    VALIDATORS = 1
    """Those that validate, or will from the next epoch on."""


_Share = Annotated[int, Meta(ge=1, le=SHARE_MAX)]


class Policy(Noun, frozen=True, array_like=True, gc=False):
    """When a kind of change passes."""

    numerator: _Share
    denominator: _Share
    more: bool
    """Whether more than the share is needed, not just the share."""
    of: Electorate
    lifetime_ms: Annotated[int, Meta(ge=PROPOSAL_MS_MIN, le=PROPOSAL_MS_MAX)]
    """How long a proposal stays open."""


# -- changes ---------------------------------------------------------------------------------------------------------


class AdmitOrganisation(Noun, tag=1, frozen=True, array_like=True, gc=False):
    """Take in a partner: its record, its account, its nodes."""

    name: OrganisationName
    pillar: Pillar
    keys: Annotated[tuple[WeightedKey, ...], Meta(min_length=1, max_length=KEYS_MAX)]
    """Keys of its account, whose id is that of the first."""
    threshold: U8
    nodes: Annotated[tuple[NodeOffer, ...], Meta(max_length=NODES_PER_ORGANISATION_MAX)]


class RemoveOrganisation(Noun, tag=2, frozen=True, array_like=True, gc=False):
    """Put a partner out, from the validator set too.  Its account stays, without a say here."""

    organisation: Name


class AddValidator(Noun, tag=3, frozen=True, array_like=True, gc=False):
    """Let an organisation validate from the next epoch on."""

    organisation: Name
    receipt: ReadinessReceipt


class RemoveValidator(Noun, tag=4, frozen=True, array_like=True, gc=False):
    """Let an organisation validate no more from the next epoch on; it stays a partner."""

    organisation: Name


class SetTimers(Noun, tag=5, frozen=True, array_like=True, gc=False):
    """Set the times of the next epoch."""

    timers: Timers


class SetLimits(Noun, tag=6, frozen=True, array_like=True, gc=False):
    """Set the bounds of the next epoch."""

    limits: Limits


class SetPolicy(Noun, tag=7, frozen=True, array_like=True, gc=False):
    """Set when a kind of change passes, for open proposals too."""

    kind: ChangeKind
    policy: Policy


Change = AdmitOrganisation | RemoveOrganisation | AddValidator | RemoveValidator | SetTimers | SetLimits | SetPolicy


def kind_of(change: Change) -> ChangeKind:
    """The kind of a change."""
    tag = change.__struct_config__.tag
    assert isinstance(tag, int), "every change has its number"
    return ChangeKind(tag)


def subject_of(change: Change) -> str:
    """Whom or what a change is about: an organisation, or the name of a kind of change."""
    match change:
        case AdmitOrganisation(name=name):
            return name
        case RemoveOrganisation() | AddValidator() | RemoveValidator():
            return change.organisation
        case SetPolicy(kind=kind):
            return kind.name.lower()
        case SetTimers() | SetLimits():
            return ""


# -- messages --------------------------------------------------------------------------------------------------------


class RegistryAddNode(Noun, tag=0x0301, frozen=True, array_like=True, gc=False):
    """Register a machine of the own organisation; other nodes accept it as soon as this is executed."""

    certificate: Certificate
    addresses: Addresses


class RegistryRemoveNode(Noun, tag=0x0302, frozen=True, array_like=True, gc=False):
    """Unregister a machine of the own organisation; one that votes now is trusted until the epoch ends."""

    node_key: PublicKey


class RegistryRotateKey(Noun, tag=0x0303, frozen=True, array_like=True, gc=False):
    """Vote with another consensus key from the next epoch on."""

    consensus_key: PublicKey
    """Never used before by anybody."""
    proof: Signature
    """By the new key, over `cccnode.types.readiness.rotation_bytes`."""


class RegistryPause(Noun, tag=0x0304, frozen=True, array_like=True, gc=False):
    """Validate no more from the next epoch on, and stay a partner.  To return, apply with a new key and receipt."""


class RegistryLeave(Noun, tag=0x0305, frozen=True, array_like=True, gc=False):
    """Leave the network for good, from the next epoch on if the organisation validates."""


class RegistryPropose(Noun, tag=0x0306, frozen=True, array_like=True, gc=False):
    """Propose a change to the other organisations; counts as the proposer's approval."""

    change: Change
    flagged: bool
    """For a change of validators: it may enter the next epoch beside others beyond f, and a network too small to
    stand a dead newcomer takes him."""


class RegistryApprove(Noun, tag=0x0307, frozen=True, array_like=True, gc=False):
    """Approve a change; it is carried out in the transaction that reaches its policy's share."""

    proposal: ProposalNumber
    reached: bool
    """For a new validator: the own node is linked with the candidate's, which is at the tip."""


class RegistryAdmitOrganisation(Noun, tag=0x0309, frozen=True, array_like=True, gc=False):
    """Take in a partner, as the city has decided."""

    change: AdmitOrganisation


class RegistryRemoveOrganisation(Noun, tag=0x030A, frozen=True, array_like=True, gc=False):
    """Put a partner out, as the city has decided."""

    change: RemoveOrganisation
    flagged: bool
    """As in a proposal of the organisations, likewise below."""


class RegistryAdmitValidator(Noun, tag=0x030B, frozen=True, array_like=True, gc=False):
    """Let an organisation validate, as the city has decided."""

    change: AddValidator
    flagged: bool


class RegistryRemoveValidator(Noun, tag=0x030C, frozen=True, array_like=True, gc=False):
    """Let an organisation validate no more, as the city has decided."""

    change: RemoveValidator
    flagged: bool


class RegistrySet(Noun, tag=0x030D, frozen=True, array_like=True, gc=False):
    """Set the times or bounds of the next epoch, or when changes pass, as the city has decided."""

    change: SetTimers | SetLimits | SetPolicy


class RegistryRetireFounders(Noun, tag=0x030E, frozen=True, array_like=True, gc=False):
    """End the organisations' own approvals: from now on only the city's votes change the network."""


class RegistrySchedule(Noun, tag=0x030F, frozen=True, array_like=True, gc=False):
    """Bring a feature's rules into force after `height`, once a quorum of the validators is ready, by the city's vote.

    Scheduled again, it has the new height.
    """

    feature: OrganisationName
    """Its name, as programs know it."""
    height: Height
    code: Hash
    """SHA-256 of the release that the city read, for whoever wants to check his own."""


class RegistryUnschedule(Noun, tag=0x0310, frozen=True, array_like=True, gc=False):
    """Call a scheduled feature off, as the city has decided."""

    feature: OrganisationName


class RegistryReady(Noun, tag=0x0311, frozen=True, array_like=True, gc=False):
    """Declare that the own validator's program knows the rules of a scheduled feature."""

    feature: OrganisationName


class RegistryWithdraw(Noun, tag=0x0308, frozen=True, array_like=True, gc=False):
    """Take back a proposal of the own organisation."""

    proposal: ProposalNumber
