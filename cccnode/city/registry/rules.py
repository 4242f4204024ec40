"""What organisations do with what is theirs: nodes, consensus key, taking part at all."""

from msgspec.structs import replace

from cccnode.city.members.state import read_account
from cccnode.city.registry.errors import (
    KEY_USED,
    LAST_NODE,
    NOT_ACTIVE,
    NOT_ORGANISATION,
    NOT_VALIDATOR,
    PROOF,
    UNKNOWN_NODE,
    WEAK_KEY,
)
from cccnode.city.registry.messages import (
    NodeOffer,
    RegistryAddNode,
    RegistryLeave,
    RegistryPause,
    RegistryRemoveNode,
    RegistryRotateKey,
)
from cccnode.city.registry.nodes import check_room, checked_nodes, register_nodes, unregister_node, validates
from cccnode.city.registry.preflight import after_removing, current_members, require
from cccnode.city.registry.state import (
    Organisation,
    Standing,
    consensus_key_used,
    organisation_account,
    read_consensus_key,
    read_nodes,
    read_organisation,
    write_consensus_key,
    write_organisation,
)
from cccnode.crypto.verifying import SMALL_ORDER, verify
from cccnode.ledger.module import Context
from cccnode.ledger.state import Reader
from cccnode.types.errors import fault
from cccnode.types.readiness import rotation_bytes


def acting(context: Context) -> str:
    """The name of the organisation whose account acts.

    Raises:
        Fault: registry/NOT_ORGANISATION or NOT_ACTIVE.
    """
    name = organisation_of(context.state, context.account)
    if name is None:
        raise fault(NOT_ORGANISATION, account=context.account)
    record = read_organisation(context.state, name)
    assert record is not None, "an account acts for an organisation that was admitted"
    if record.standing is not Standing.ACTIVE:
        raise fault(NOT_ACTIVE, organisation=name, standing=record.standing.name.lower())
    return name


def organisation_of(state: Reader, account: bytes) -> str | None:
    """The organisation for which an account acts, whatever its standing; None for any other account."""
    record = read_account(state, account)
    name = None if record is None else record.organisation
    return name if name is not None and organisation_account(state, name) == account else None


def add_node(context: Context, message: RegistryAddNode) -> None:
    """Register a node."""
    name = acting(context)
    nodes = checked_nodes(context.state, name, [NodeOffer(message.certificate, message.addresses)])
    register_nodes(context, name, nodes)


def remove_node(context: Context, message: RegistryRemoveNode) -> None:
    """Unregister a node, never the last one of a validator."""
    name = acting(context)
    nodes = read_nodes(context.state, name)
    record = nodes.get(message.node_key)
    if record is None:
        raise fault(UNKNOWN_NODE, organisation=name, node_key=message.node_key)
    if len(nodes) == 1 and validates(context, name):
        raise fault(LAST_NODE, organisation=name, node_key=message.node_key)
    check_room(context.state, name, 1)
    unregister_node(context, name, message.node_key, record)


def rotate_key(context: Context, message: RegistryRotateKey) -> None:
    """Replace the consensus key from the next epoch on; the proof shows that the organisation holds the new one."""
    name, key = acting(context), message.consensus_key
    if read_consensus_key(context.state, name) is None:
        raise fault(NOT_VALIDATOR, organisation=name)
    check_new_key(context.state, key)
    assert context.header is not None, "every block is executed with its header"
    if not verify(rotation_bytes(context.header.chain, name, key), message.proof, key):
        raise fault(PROOF, organisation=name, consensus_key=key)
    write_consensus_key(context.state, name, key)
    context.emit("registry", "key_rotated", name, key)


def check_new_key(state: Reader, key: bytes) -> None:
    """Refuse a consensus key that is not fit to be registered.

    Raises:
        Fault: registry/WEAK_KEY or KEY_USED.
    """
    if key in SMALL_ORDER:
        raise fault(WEAK_KEY, consensus_key=key)
    if consensus_key_used(state, key):
        raise fault(KEY_USED, consensus_key=key)


def pause(context: Context, message: RegistryPause) -> None:
    """Validate no more from the next epoch on."""
    name = acting(context)
    if read_consensus_key(context.state, name) is None:
        raise fault(NOT_VALIDATOR, organisation=name)
    check_removal(context, name)
    stop_validating(context, name)
    context.emit("registry", "paused", name)


def leave(context: Context, message: RegistryLeave) -> None:
    """Leave for good: no validator, no nodes, no say."""
    name = acting(context)
    if read_consensus_key(context.state, name) is not None:
        check_removal(context, name)
    dissolve(context, name, Standing.LEFT)
    context.emit("registry", "left", name)


def check_removal(context: Context, name: str, *, flagged: bool = False) -> None:
    """Refuse to let a validator go without whom the others could not make a quorum.

    Raises:
        Fault: registry/QUORUM_AT_RISK.
    """
    assert context.record is not None, "every block is executed with its epoch's record"
    require(
        after_removing(
            context.state,
            current_members(context),
            epoch=context.record.epoch,
            height=context.height,
            name=name,
            flagged=flagged,
        )
    )


def stop_validating(context: Context, name: str) -> None:
    """Take an organisation out of the validators of the next epoch."""
    write_consensus_key(context.state, name, None)


def dissolve(context: Context, name: str, standing: Standing) -> None:
    """End an organisation's part; its record stays, so that its name is not used again."""
    for key, node in read_nodes(context.state, name).items():
        unregister_node(context, name, key, node)
    if read_consensus_key(context.state, name) is not None:
        stop_validating(context, name)
    record = read_organisation(context.state, name)
    assert record is not None, "the caller has seen it"
    changed: Organisation = replace(record, standing=standing)
    write_organisation(context.state, name, changed)
