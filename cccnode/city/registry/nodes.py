"""The machines of organisations: registered at once, and trusted until the epoch that names them has ended."""

from collections.abc import Iterable
from typing import Final

from cccnode.city.registry.errors import CERTIFICATE, NODE_KNOWN, NODE_LIMIT, WEAK_KEY
from cccnode.city.registry.messages import NodeOffer
from cccnode.city.registry.preflight import current_members
from cccnode.city.registry.state import (
    NodeRecord,
    forget_retired,
    node_owner,
    read_consensus_key,
    read_nodes,
    remove_node,
    retired_nodes,
    retiring_organisations,
    write_node,
)
from cccnode.crypto.verifying import SMALL_ORDER
from cccnode.ledger.module import Context
from cccnode.ledger.state import Overlay, Reader
from cccnode.types.errors import fault
from cccnode.types.limits import NODES_PER_ORGANISATION_MAX
from cccnode.types.validators import EpochRecord, certificate_key

RETIRED_MAX: Final = 2 * NODES_PER_ORGANISATION_MAX
"""Nodes of one organisation that may wait for the end of the epoch: bounds how often they are replaced within it."""


def checked_nodes(state: Reader, name: str, offers: Iterable[NodeOffer]) -> dict[bytes, NodeRecord]:
    """The offered nodes by key, fit to be registered for this organisation beside those that it has.

    Raises:
        Fault: registry/CERTIFICATE, WEAK_KEY, NODE_KNOWN or NODE_LIMIT.
    """
    fit: dict[bytes, NodeRecord] = {}
    for offer in offers:
        key = certificate_key(offer.certificate)
        if key is None:
            raise fault(CERTIFICATE, bytes=len(offer.certificate))
        if key in SMALL_ORDER:
            raise fault(WEAK_KEY, node_key=key)
        owner = node_owner(state, key)
        if key in fit or (owner is not None and key not in retired_nodes(state, name)):
            raise fault(NODE_KNOWN, node_key=key)
        fit[key] = NodeRecord(offer.certificate, offer.addresses)
    count = len(read_nodes(state, name)) + len(fit)
    if count > NODES_PER_ORGANISATION_MAX:
        raise fault(NODE_LIMIT, nodes=count, limit=NODES_PER_ORGANISATION_MAX)
    return fit


def register_nodes(context: Context, name: str, nodes: dict[bytes, NodeRecord]) -> None:
    """Register checked nodes."""
    for key, record in nodes.items():
        if key in retired_nodes(context.state, name):
            forget_retired(context.state, name, key, registered_again=True)
        write_node(context.state, name, key, record)
        context.emit("registry", "node_added", name, key)


def validates(context: Context, name: str) -> bool:
    """Whether an organisation validates now, or will from the next epoch on."""
    if read_consensus_key(context.state, name) is not None:
        return True
    return any(member.organisation == name for member in current_members(context))


def unregister_node(context: Context, name: str, key: bytes, record: NodeRecord) -> None:
    """Unregister a node; a validator's stays trusted until an epoch begins whose record does not name it."""
    remove_node(context.state, name, key, retire=record if validates(context, name) else None)
    context.emit("registry", "node_removed", name, key)


def check_room(state: Reader, name: str, leaving: int) -> None:
    """Refuse to retire more nodes within one epoch than may wait.

    Raises:
        Fault: registry/NODE_LIMIT.
    """
    waiting = len(retired_nodes(state, name)) + leaving
    if waiting > RETIRED_MAX:
        raise fault(NODE_LIMIT, retired=waiting, limit=RETIRED_MAX)


def forget_old(state: Overlay, record: EpochRecord) -> None:
    """At the begin of an epoch: drop the retired nodes that its record does not name."""
    named = {key for validator in record.validators for key in validator.node_keys}
    for name in retiring_organisations(state):
        for key in retired_nodes(state, name):
            if key not in named:
                forget_retired(state, name, key)
