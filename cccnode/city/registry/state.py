"""Organisations, validators and nodes in the state: the only place that knows their groups and items.

orgs            <number u16 BE>   name: every organisation, in the order of admission
o/<name>        ""                Organisation
                v                 public key: its consensus key, if it validates
n/<name>        <node key>        NodeRecord: one proof shows that the list of an organisation's nodes is complete
nk/<node key>   ""                name: whose node this is
epoch           limits, timers, features: what the next epoch record takes over
"""

from enum import IntEnum
from typing import Annotated, Final

from msgspec import Meta

from cccnode.city.members.state import Pillar
from cccnode.codec import Noun
from cccnode.ledger.state import Overlay, Reader
from cccnode.types.limits import CERTIFICATE_DER_MAX
from cccnode.types.scalars import U16, Millis, Name
from cccnode.types.validators import Limits, Timers

_ALL: Final = b"orgs"
_ORGANISATION: Final = b"o/"
_NODES: Final = b"n/"
_NODE_KEY: Final = b"nk/"
_EPOCH: Final = b"epoch"
_ONLY: Final = b""
_CONSENSUS_KEY: Final = b"v"
_NUMBER_BYTES: Final = 2

Features = tuple[Name, ...]


class Standing(IntEnum):
    """Whether an organisation takes part."""

    ACTIVE = 0
    REMOVED = 1


class Organisation(Noun, frozen=True, array_like=True, gc=False):
    """A partner."""

    number: U16
    """Sequential: validators of an epoch record stand in this order."""
    pillar: Pillar
    standing: Standing
    since_ms: Millis


class NodeRecord(Noun, frozen=True, array_like=True, gc=False):
    """One machine of an organisation (J14)."""

    certificate: Annotated[bytes, Meta(min_length=1, max_length=CERTIFICATE_DER_MAX)]
    """Self-signed X.509, DER: what TLS must present."""
    addresses: tuple[str, ...]
    """Hints where to dial: host:port."""


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


def read_consensus_key(state: Reader, name: str) -> bytes | None:
    """The key with which an organisation votes, or None where it does not validate."""
    return state.get(_ORGANISATION + name.encode(), _CONSENSUS_KEY, bytes)


def write_consensus_key(state: Overlay, name: str, key: bytes) -> None:
    """Make an organisation a validator."""
    state.put(_ORGANISATION + name.encode(), _CONSENSUS_KEY, key)


def read_nodes(state: Reader, name: str) -> dict[bytes, NodeRecord]:
    """An organisation's nodes by transport key, sorted."""
    return state.group(_NODES + name.encode(), NodeRecord)


def write_node(state: Overlay, name: str, node_key: bytes, record: NodeRecord) -> None:
    """Register a node."""
    state.put(_NODES + name.encode(), node_key, record)
    state.put(_NODE_KEY + node_key, _ONLY, name)


def node_owner(state: Reader, node_key: bytes) -> str | None:
    """Whose node this is, or None for a stranger."""
    return state.get(_NODE_KEY + node_key, _ONLY, str)


def read_limits(state: Reader) -> Limits:
    """Bounds of the next epoch."""
    return state.get(_EPOCH, b"limits", Limits) or Limits()


def read_timers(state: Reader) -> Timers:
    """Times of the next epoch."""
    return state.get(_EPOCH, b"timers", Timers) or Timers()


def read_features(state: Reader) -> Features:
    """Active features of the next epoch, sorted."""
    return state.get(_EPOCH, b"features", Features) or ()


def write_epoch(state: Overlay, *, limits: Limits, timers: Timers, features: Features) -> None:
    """Set what the next epoch record takes over."""
    state.put(_EPOCH, b"limits", limits)
    state.put(_EPOCH, b"timers", timers)
    state.put(_EPOCH, b"features", tuple(sorted(features)))
