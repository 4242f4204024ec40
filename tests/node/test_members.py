"""Whom a node may be linked with, and who of them counts as a validator."""

from cccnode.node.data import initialise
from cccnode.node.members import Members, nodes_of
from p2p.directory import Node
from p2p.events import Contact
from storage.memory import MemoryDisk, MemoryEngine
from storage.store import Store
from tests.simulation.nodes import STATE_DEPTH, demo_network

OWN = b"o" * 32


def founded() -> Store:
    """The registry of four validators and a peer."""
    genesis = demo_network(4, 1).genesis
    store = Store.open(MemoryDisk(), MemoryEngine(), chain=genesis.chain, node_id=OWN, depth=STATE_DEPTH)
    initialise(store, genesis)
    return store


def test_registered_nodes_with_their_certificates() -> None:
    """What TLS trusts is what the registry says, by organisation."""
    partners = demo_network(4, 1).partners
    nodes = nodes_of(founded())

    assert [partner.node_key for partner in partners] == [node.node_key for node in nodes]
    assert [partner.certificate for partner in partners] == [node.certificate for node in nodes]
    assert [True, True, True, True, False] == [node.validator for node in nodes]


def test_who_votes_in_this_epoch_is_a_validator_whatever_the_registry_plans() -> None:
    """Who is to leave still votes, and who is to come needs its links when the epoch begins."""
    peer = demo_network(4, 1).partners[4].node_key
    heard: list[list[Node]] = []
    members = Members(founded(), OWN)
    members.changed = lambda nodes: heard.append(list(nodes))
    members.contacts({peer})
    members.contacts(())

    assert [[True] * 5, [True] * 4 + [False]] == [[node.validator for node in nodes] for nodes in heard]


def test_the_node_itself_and_its_card_are_contacts() -> None:
    """Until the registry knows better: a later block than ours may register this node."""
    known = demo_network(4, 1).partners[0].node_key
    card = [Contact(node_key=key, validator=False, addresses=("x:1",)) for key in (b"c" * 32, known)]
    contacts = {contact.node_key: contact for contact in Members(founded(), OWN, bootstrap=card).contacts(())}

    assert {OWN, b"c" * 32} <= set(contacts)
    assert not contacts[OWN].validator
    assert contacts[known].validator, "the registry's word counts"
    assert 7 == len(contacts)
