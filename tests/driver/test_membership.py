"""Members, keys and nodes change while the network runs: who votes when, and what becomes of transactions."""

from itertools import pairwise

import pytest

from cccnode.city.members.messages import WeightedKey
from cccnode.city.members.state import Pillar
from cccnode.city.registry.messages import (
    AdmitOrganisation,
    NodeOffer,
    RegistryLeave,
    RegistryPause,
    RegistryRotateKey,
)
from cccnode.crypto.hashing import ZERO
from cccnode.crypto.signing import SigningKey
from cccnode.driver.quotas import OWN
from cccnode.node.data import unused_mark
from cccnode.types.errors import NOT_SIGNING_JOURNAL_LOST
from cccnode.types.readiness import rotation_bytes
from p2p.frames import Channel
from tests.driver.council import MINUTE, Council
from tests.driver.test_epochs import hold_finalizations

QUIET = frozenset({Channel.BATCH, Channel.HAVE, Channel.TX})


def proposers(network: Council, epoch: int) -> set[str]:
    """Organisations that led blocks of an epoch."""
    record = network.audit.records[epoch]
    return {
        record.validators[block.header.proposer].organisation
        for block in network.blocks()
        if block.header.epoch == epoch
    }


def work(network: Council, blocks: int = 12) -> None:
    """So many blocks, with transactions from everywhere."""
    height = network.height() + blocks
    up = [node.number for node in network.nodes if node.replica is not None and node.linked]
    while network.height() < height:
        ids = network.transfer(network.rng.choice(up))
        assert network.run(MINUTE, lambda: network.all_executed(ids)), network.picture()  # noqa: B023


def work_at(network: Council, number: int, *, blocks: int) -> None:
    """So many blocks, with transactions from one node."""
    height = network.height() + blocks
    while network.height() < height:
        network.transfer(number)
        network.run(50)


# Joining


def test_a_peer_becomes_a_validator(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its receipt and the members' approval: from the next epoch on it votes and leads like any other."""
    network = Council(monkeypatch, peers=1)
    assert network.replica(4).voting is None
    network.add(4)
    network.settle()

    assert ["org-00", "org-01", "org-02", "org-03", "org-04"] == network.members
    assert all(replica.pool.quorum == 4 for replica in network.alive())
    assert network.run(MINUTE, lambda: network.signing() == [0, 1, 2, 3, 4])
    work(network)
    assert "org-04" in proposers(network, network.epoch)
    network.sound()


def test_a_newcomer_looks_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was not in the epoch before: it listens before its first signature, and the network does not wait for it."""
    network = Council(monkeypatch, peers=1)
    network.add(4)
    assert network.run(MINUTE, lambda: network.replica(4).voting is not None)
    newcomer = network.replica(4).voting.engine

    assert "consensus/WATCHING" == newcomer.observing
    began = network.world.now_ms
    ids = network.transfer()
    assert network.run(MINUTE, lambda: network.all_executed(ids))
    assert network.world.now_ms - began < 1_000
    assert network.run(5_000, lambda: newcomer.observing is None)
    network.sound()


def test_what_a_peer_had_waiting_is_proposed_once_it_validates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Transactions that it could pass on to nobody become batches of its own."""
    network = Council(monkeypatch, peers=1)
    network.filters[4] = lambda peer, channel, payload: None if channel is Channel.TX else payload
    change = network.candidate(4)
    ids = network.transfer(4, count=3)
    network.decide(change)
    assert not set(ids) & set(network.decided)
    assert OWN == next(iter(network.replica(4).pool)).creator
    network.settle()

    assert network.run(MINUTE, lambda: network.all_executed(ids)), network.picture()
    assert set(ids) <= set(network.acknowledged)
    network.sound()


def test_a_stranger_is_admitted_follows_and_validates(monkeypatch: pytest.MonkeyPatch) -> None:
    """An organisation that genesis does not know: its node is let in as soon as that is executed, and it may vote."""
    network = Council(monkeypatch, strangers=1)
    stranger = network.nodes[4]
    network.transfer()
    network.run(2_000)
    assert ({}, 0) == (stranger.linked, stranger.replica.chain.height)
    keys = (WeightedKey(stranger.partner.owner.public_key, 1),)
    offer = NodeOffer(stranger.partner.certificate, ())
    network.decide(AdmitOrganisation(stranger.name, Pillar.ACADEMIA, keys, 1, (offer,)))
    height = network.height()
    assert network.run(MINUTE, lambda: stranger.replica.chain.height >= height)
    assert 0 == network.epoch, "who may connect is no matter of epochs"

    payment = network.transfer(4)
    assert network.run(MINUTE, lambda: network.all_executed(payment))
    network.add(4)
    network.settle()
    assert network.run(MINUTE, lambda: network.signing() == [0, 1, 2, 3, 4])
    work(network)
    assert stranger.name in proposers(network, 1)
    network.sound()


# Leaving


def test_a_validator_that_leaves_goes_on_as_a_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    """It votes no more, follows the chain, and passes its clients' transactions on."""
    network = Council(monkeypatch, validators=5)
    network.pause(2)
    network.settle()
    former = network.replica(2)

    assert ["org-00", "org-01", "org-03", "org-04"] == network.members
    assert (None, None) == (former.epoch.me, former.voting)
    work(network, 6)
    ids = network.transfer(2)
    assert network.run(MINUTE, lambda: network.all_executed(ids))
    assert 0 == len(former.pool), "what it passed on is decided"
    assert {0, 1, 2, 3} == {signer for epoch, signer, _ in network.audit.said if epoch == 1}
    assert "org-02" not in proposers(network, 1)
    network.sound()


def test_who_is_to_leave_keeps_its_links_until_it_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry drops it at once, but the epoch needs its votes: it and the others stay in the mesh until then."""
    network = Council(monkeypatch, validators=5)
    node = network.nodes[2]
    tx_id = network.order(node.partner, RegistryPause(), node)
    assert network.run(MINUTE, lambda: all(tx_id in replica.window for replica in network.alive()))
    hold_finalizations(network)
    network.run(500)
    assert {0} == {replica.epoch.number for replica in network.alive()}
    overlays = [replica.catch_up._gossip._overlay for replica in network.alive()]

    assert all(overlay.validator for overlay in overlays)
    assert all(overlay.is_validator(node.key) for overlay in overlays)
    network.filters.clear()
    network.settle()
    assert [True, True, False, True, True] == [overlay.validator for overlay in overlays]
    assert not any(overlay.is_validator(node.key) for overlay in overlays)
    network.sound()


def test_unfinished_batches_of_a_validator_that_leaves_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it had acknowledged and nobody else had seen is executed all the same."""
    network = Council(monkeypatch, validators=5)
    network.filters[2] = lambda peer, channel, payload: None if channel in QUIET else payload
    ids = network.transfer(2, count=3)
    network.run(100)
    assert set(ids) <= set(network.acknowledged)
    network.remove_member(2)
    former = network.replica(2)
    assert network.run(MINUTE, lambda: former.epoch.number == 1)
    network.run(500)
    assert not set(ids) & set(network.decided)
    network.filters.clear()

    assert network.run(MINUTE, lambda: network.all_executed(ids)), network.picture()
    assert 0 == former.pool.quotas.used(OWN)
    network.sound()


def test_a_peer_restarts_with_what_it_had_as_a_validator(monkeypatch: pytest.MonkeyPatch) -> None:
    """Power lost after the boundary, before anything was passed on: the batches lie on its disk."""
    network = Council(monkeypatch, validators=5)
    network.filters[2] = lambda peer, channel, payload: None if channel in QUIET else payload
    ids = network.transfer(2, count=3)
    network.run(100)
    network.remove_member(2)
    assert network.run(MINUTE, lambda: network.replica(2).epoch.number == 1)
    network.crash(network.nodes[2])
    network.filters.clear()
    network.restart(network.nodes[2])

    assert network.run(MINUTE, lambda: network.all_executed(ids)), network.picture()
    network.sound()


def test_an_organisation_that_left_is_a_stranger(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its node is trusted until the epoch ends that names it, and not a moment longer."""
    network = Council(monkeypatch, validators=5)
    leaver = network.nodes[4]
    assert "ok" == network.act(4, RegistryLeave())
    assert leaver.linked, "it still votes in this epoch"
    assert network.run(MINUTE, lambda: network.epoch == 1)
    work(network, 3)

    assert {} == leaver.linked
    assert ["org-00", "org-01", "org-02", "org-03"] == network.members
    network.sound()


def leaves(network: Council, number: int) -> list[bytes]:
    """An organisation leaves while its node takes transactions, to the last moment; those that it acknowledged."""
    left, ids = network.order(network.nodes[number].partner, RegistryLeave(), network.nodes[0]), []
    for _ in range(300):
        if left in network.replica(number).window:
            break
        ids += network.transfer(number)
        network.run(5)
    assert left in network.replica(number).window
    return [tx_id for tx_id in ids if tx_id in network.acknowledged]


@pytest.mark.parametrize("disk_ms", [0, 40])
def test_what_a_validator_promised_before_its_organisation_left(monkeypatch: pytest.MonkeyPatch, disk_ms: int) -> None:
    """Others have it by then, and it is executed, however slow the node is; the network goes on under load."""
    network = Council(monkeypatch, validators=5)
    network.nodes[4].runtime._disk_ms = (disk_ms, disk_ms)
    ids = leaves(network, 4)
    work_at(network, 0, blocks=6)

    assert ids
    assert network.run(MINUTE, lambda: network.all_executed(ids))
    assert {} == network.nodes[4].linked
    network.sound()


def test_what_nobody_fetched_before_an_organisation_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its batches stay with it; when its last epoch ends it passes them on, while others still take its links."""
    network = Council(monkeypatch, validators=5)
    network.filters[4] = lambda peer, channel, payload: None if channel in {Channel.BATCH, Channel.HAVE} else payload
    ids = leaves(network, 4)
    assert not set(ids) & set(network.decided)
    assert network.run(MINUTE, lambda: network.replica(4).epoch.number == 1)
    work_at(network, 0, blocks=4)

    assert network.run(MINUTE, lambda: network.all_executed(ids))
    assert {} == network.nodes[4].linked
    network.sound()


def test_a_member_that_paused_returns_with_a_new_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Out in one epoch, in again in a later one: with another key, which is all that it votes with."""
    network = Council(monkeypatch, validators=5)
    old = network.key_of(4)
    network.pause(4)
    network.settle()
    network.add(4)
    network.settle()

    assert 5 == len(network.members)
    assert network.key_of(4) != old
    assert network.run(MINUTE, lambda: network.signing() == [0, 1, 2, 3, 4])
    work(network)
    assert "org-04" in proposers(network, network.epoch)
    network.sound()


def test_one_replaces_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four members bear one change at a boundary: the newcomer comes in one epoch, the other goes in the next."""
    network = Council(monkeypatch, peers=1)
    change = network.candidate(4)
    network.decide(change)
    network.pause(1)
    network.settle()
    sizes = [len(network.audit.records[epoch].validators) for epoch in range(network.epoch + 1)]

    assert [4, 5, 4] == sizes
    assert ["org-00", "org-02", "org-03", "org-04"] == network.members
    work(network)
    network.sound()


def test_at_most_f_members_change_at_a_boundary(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven members bear two changes at once; the third waits for the next epoch, which comes at once."""
    network = Council(monkeypatch, validators=7)
    keys = []
    for number in (1, 3, 5):
        node = network.nodes[number]
        key = network.new_key(node)
        proof = key.sign(rotation_bytes(network.demo.genesis.chain, node.name, key.public_key))
        keys.append(key.public_key)
        network.order(node.partner, RegistryRotateKey(key.public_key, proof), network.nodes[0])
    assert network.run(MINUTE, lambda: network.epoch == 2 and min(r.epoch.number for r in network.alive()) == 2)
    records = [network.audit.records[epoch] for epoch in range(3)]
    changed = [
        sum(one.consensus_key != two.consensus_key for one, two in zip(old.validators, new.validators, strict=True))
        for old, new in pairwise(records)
    ]

    assert [2, 1] == changed
    assert keys == [network.key_of(number) for number in (1, 3, 5)]
    assert network.run(MINUTE, lambda: len(network.signing()) == 7)
    network.sound()


# Keys


def test_a_consensus_key_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """The epoch's record says which of the two keys of a home votes: no view is lost over it."""
    network = Council(monkeypatch)
    old = network.key_of(1)
    new = network.rotate(1)
    network.settle()

    assert (new, 1) == (network.key_of(1), network.epoch)
    assert old != new
    assert [0, 1, 2, 3] == network.signing()
    work(network)
    assert "org-01" in proposers(network, 1)
    views = [block.header.view for block in network.blocks() if block.header.epoch == 1]
    assert list(range(1, len(views) + 1)) == views, "nobody was waited for"
    network.sound()


def test_every_key_is_replaced_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under load, one after the other, until no key of genesis is left."""
    network = Council(monkeypatch)
    genesis = {row.consensus_key for row in network.record.validators}
    ids = []
    for number in range(4):
        ids += network.transfer((number + 1) % 4, count=2)
        network.rotate(number)
        network.settle()

    assert 4 == network.epoch
    assert not genesis & {row.consensus_key for row in network.record.validators}
    assert network.run(MINUTE, lambda: network.all_executed(ids))
    work(network)
    network.sound()


def test_a_key_that_is_not_at_home_does_not_vote(monkeypatch: pytest.MonkeyPatch) -> None:
    """The record names a key that the operator has not put there yet: the node follows; with it, it votes again."""
    network = Council(monkeypatch)
    node, key = network.nodes[1], SigningKey(b"elsewhere" + bytes(23))
    proof = key.sign(rotation_bytes(network.demo.genesis.chain, node.name, key.public_key))
    assert "ok" == network.act(1, RegistryRotateKey(key.public_key, proof))
    network.settle()
    assert (None, None) == (node.replica.epoch.me, node.replica.voting)
    work(network, 3)
    node.take_key(key.public_key)
    node.disk.replace_file(unused_mark(key.public_key), b"")  # It was made in this home, late.
    network.crash(node)
    network.restart(node)

    assert network.run(MINUTE, lambda: network.signing() == [0, 1, 2, 3])
    assert 1 == node.replica.epoch.me
    network.sound()


@pytest.mark.parametrize("seed", range(3))
def test_an_epoch_that_begins_idle_makes_no_block(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """A change that came true is no reason for a block of the next epoch: nothing was executed there that could be."""
    network = Council(monkeypatch, seed=seed)
    for number in range(3):
        network.rotate(number)
        network.settle()
        network.run(2_000)
        newest = network.blocks()[-1].header

        assert newest.next_epoch_record_hash != ZERO
        assert (number + 1, newest.height) == (network.epoch, network.height())
    assert network.run(MINUTE, lambda: network.signing() == [0, 1, 2, 3])
    work(network, 3)
    network.sound()


@pytest.mark.parametrize("joined", [False, True])
def test_an_old_key_in_a_new_home(monkeypatch: pytest.MonkeyPatch, *, joined: bool) -> None:
    """Key files from a backup in a home that was made for another key: it counts as one that lost its journal."""
    network = Council(monkeypatch, peers=1, epoch_blocks=5)
    number = 4 if joined else 1
    if joined:  # The epochs before know nothing of it, and begin no journal for it.
        network.add(4)
        network.settle()
    node = network.nodes[number]
    assert network.run(MINUTE, lambda: node.silent is None)
    work(network, 3)
    network.crash(node, wipe=True)
    node.disk.replace_file(unused_mark(b"made by init".ljust(32)), b"")
    network.restart(node)
    assert network.run(MINUTE, lambda: node.replica.chain.height == network.height())

    assert NOT_SIGNING_JOURNAL_LOST.name == node.silent
    work(network, 12)
    assert network.run(MINUTE, lambda: node.silent is None), "from an epoch on that it saw begin"
    network.sound()


def test_a_node_key_is_replaced_with_both_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register, wait for the epoch that names it, restart with it, unregister the old one: it votes all along."""
    network = Council(monkeypatch)
    old, new = network.nodes[1].key, network.register(1)
    network.settle()
    (row,) = [row for row in network.record.validators if row.organisation == "org-01"]
    assert {old, new} == set(row.node_keys)
    assert 1 == network.replica(1).epoch.me, "the old one counts still"
    network.move(1, new)
    assert network.run(MINUTE, lambda: network.signing() == [0, 1, 2, 3])
    work(network, 3)
    assert "ok" == network.unregister(1, old)
    network.settle()

    (row,) = [row for row in network.record.validators if row.organisation == "org-01"]
    assert (new,) == row.node_keys
    assert [0, 1, 2, 3] == network.signing()
    work(network)
    assert all(old not in node.trusted for node in network.nodes), "a stranger from the epoch's first block on"
    network.sound()


def test_a_node_whose_key_is_not_named_yet_does_not_vote(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is let in as soon as it is registered, but its votes would come over a node that the record does not name."""
    network = Council(monkeypatch)
    network.run(1_000)
    change = network.register(1)
    waiting = network.nodes[1]
    if network.epoch == 0:
        network.move(1, change)
        assert network.run(1_000, lambda: bool(waiting.linked))
    assert network.run(MINUTE, lambda: waiting.replica.epoch.number >= 1)

    assert network.run(MINUTE, lambda: network.signing() == [0, 1, 2, 3])
    network.sound()
