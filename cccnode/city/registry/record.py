"""The epoch record out of state (J11), and the node list that the network trusts (D9, J14)."""

from cccnode.city.registry.state import (
    NodeRecord,
    organisation_names,
    read_consensus_key,
    read_features,
    read_limits,
    read_nodes,
    read_timers,
)
from cccnode.codec import Noun
from cccnode.ledger.state import Overlay, Reader, StateView
from cccnode.types.scalars import Name, PublicKey
from cccnode.types.validators import EpochRecord, Validator


class RegisteredNode(Noun, frozen=True, array_like=True, gc=False):
    """One machine that may take part in the network."""

    node_key: PublicKey
    organisation: Name
    validator: bool
    """Whether its organisation validates."""
    certificate: bytes
    addresses: tuple[str, ...]


def epoch_record(view: StateView, epoch: int) -> EpochRecord:
    """The record that `view` gives an epoch: validators in the order of their organisations' admission."""
    state = Overlay(view)
    validators = [
        Validator(name, key, tuple(read_nodes(state, name)))
        for name in organisation_names(state)
        if (key := read_consensus_key(state, name)) is not None
    ]
    return EpochRecord(
        epoch=epoch,
        validators=tuple(validators),
        limits=read_limits(state),
        timers=read_timers(state),
        features=read_features(state),
    )


def registered_nodes(view: StateView) -> tuple[RegisteredNode, ...]:
    """Every registered node, by organisation and key."""
    return nodes_of(Overlay(view))


def nodes_of(state: Reader) -> tuple[RegisteredNode, ...]:
    """The same over decoded state."""
    return tuple(
        _node(name, key, record, validator=read_consensus_key(state, name) is not None)
        for name in organisation_names(state)
        for key, record in read_nodes(state, name).items()
    )


def _node(name: str, key: bytes, record: NodeRecord, *, validator: bool) -> RegisteredNode:
    return RegisteredNode(key, name, validator, record.certificate, record.addresses)
