"""Organisations, nodes and the epoch record, as genesis leaves them (D9, J11, J14)."""

from cccnode.city import CITY
from cccnode.city.registry.queries import NoParams
from cccnode.city.registry.record import epoch_record, registered_nodes
from cccnode.city.registry.state import node_owner
from cccnode.codec import decode, encode
from cccnode.ledger.state import DictState, Overlay
from cccnode.types.validators import EpochRecord, Limits, Timers, epoch_record_hash
from genesis.bootstrap import Demo, make_demo
from tests.support.city import START_MS, certify


def _network(validators: int, peers: int) -> tuple[Demo, DictState]:
    demo = make_demo(validators, peers=peers, certify=certify, seed=b"r", time_ms=START_MS)
    state = DictState()
    state.apply(CITY.genesis_writes(demo.genesis))
    return demo, state


def test_epoch_record() -> None:
    """The record lists validators in the order of the document, with the keys of their nodes, and the settings."""
    demo, state = _network(12, peers=2)
    record = epoch_record(state, 7)

    assert [partner.name for partner in demo.partners[:12]] == [row.organisation for row in record.validators]
    assert [(partner.node_key,) for partner in demo.partners[:12]] == [row.node_keys for row in record.validators]
    assert [p.consensus.public_key for p in demo.partners[:12] if p.consensus] == [
        row.consensus_key for row in record.validators
    ]
    assert (7, Limits(), Timers(), ()) == (record.epoch, record.limits, record.timers, record.features)
    assert record == decode(EpochRecord, encode(record))
    assert epoch_record_hash(record) != epoch_record_hash(epoch_record(state, 8))


def test_nodes() -> None:
    """Every node stands with its organisation, certificate and part; a stranger's key belongs to nobody."""
    demo, state = _network(2, peers=1)
    nodes = registered_nodes(state)

    assert [(p.node_key, p.name, p.consensus is not None, p.certificate) for p in demo.partners] == [
        (node.node_key, node.organisation, node.validator, node.certificate) for node in nodes
    ]
    assert ("org-02", None) == (
        node_owner(Overlay(state), demo.partners[2].node_key),
        node_owner(Overlay(state), bytes(32)),
    )


def test_queries() -> None:
    """Organisations and nodes can be asked for."""
    demo, state = _network(2, peers=1)
    organisations = CITY.answer("registry_organisations", state, NoParams())

    assert [(0, "org-00", True), (1, "org-01", True), (2, "org-02", False)] == [
        (row.number, row.name, row.consensus_key is not None)
        for row in organisations  # type: ignore[attr-defined]
    ]
    assert registered_nodes(state) == CITY.answer("registry_nodes", state, NoParams())
    assert 3 == len(demo.partners)
