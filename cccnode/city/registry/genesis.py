"""The first organisations, validators and nodes, out of the genesis document."""

from cccnode.city.members.state import Pillar
from cccnode.city.registry.state import (
    NodeRecord,
    Organisation,
    Standing,
    write_consensus_key,
    write_epoch,
    write_node,
    write_organisation,
)
from cccnode.ledger.state import Overlay
from genesis.document import Genesis, OrganisationEntry


def write_genesis(state: Overlay, genesis: Genesis) -> None:
    """Every organisation of the document, numbered in its order, and the settings of the first epoch."""
    document = genesis.document
    for number, entry in enumerate(document.organisations):
        _write_organisation(state, number, entry, document.time_ms)
    write_epoch(state, limits=document.limits.noun(), timers=document.timers.noun(), features=tuple(document.features))


def _write_organisation(state: Overlay, number: int, entry: OrganisationEntry, time_ms: int) -> None:
    pillar = Pillar[entry.pillar.upper()]
    write_organisation(state, entry.name, Organisation(number, pillar, Standing.ACTIVE, time_ms))
    if entry.consensus_key is not None:
        write_consensus_key(state, entry.name, bytes.fromhex(entry.consensus_key))
    for node in entry.nodes:
        record = NodeRecord(bytes.fromhex(node.certificate), tuple(node.addresses))
        write_node(state, entry.name, bytes.fromhex(node.key), record)
