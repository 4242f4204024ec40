"""Power cuts, lost disks and wrong results: what must survive survives, and who must be silent is."""

from typing import Any

import pytest

from cccnode.city import CITY
from cccnode.driver.restart import rebuild_chain, rebuild_window
from cccnode.ingress import trusted_transactions
from cccnode.types.errors import DISK_FAILED, DIVERGED, POOL_NOT_READY, Fault, fault
from cccnode.types.vote import Kind
from consensus.messages import CertificatesMessage, Message, ProposalMessage, VotesMessage
from p2p.frames import Channel
from p2p.scores import Offence
from tests.driver.support import Audited
from tests.driver.test_hostile_validators import MINUTE, on_consensus, partial_executed, send, sound
from tests.simulation.network import run_seed
from tests.simulation.nodes import LIFETIME_MS


def started(monkeypatch: pytest.MonkeyPatch, seed: int = 3, **shape: int) -> Audited:
    network = Audited(seed, monkeypatch, **shape)
    network.start()
    network.run(300)
    return network


def never_final(peer: bytes, message: Message) -> Message | None:
    """Nothing that makes a block final gets through."""
    match message:
        case VotesMessage(votes=votes) if any(vote.kind is Kind.FINALIZE for vote in votes):
            return None
        case CertificatesMessage(certificates=certificates):
            return None if any(held.kind is Kind.FINALIZE for held in certificates) else message
        case ProposalMessage(finalization=finalization) if finalization is not None:
            return None
    return message


def test_seed_145() -> None:
    """A batch executed in one block, listed again in the next and deleted everywhere once stalled the network."""
    assert [] == run_seed(145).violations


@pytest.mark.parametrize("lifetime_ms", [1_500, LIFETIME_MS])
def test_power_cut_over_notarized_blocks_that_are_not_final(monkeypatch: pytest.MonkeyPatch, lifetime_ms: int) -> None:
    """Everybody dies after notarizing; deadlines pass meanwhile: batches of such blocks are still there (J10)."""
    network = started(monkeypatch)
    for node in network.nodes:
        network.filters[node.number] = on_consensus(never_final)
    ids = send(network, 0, 3, lifetime_ms)
    network.run(1_000)
    assert any(node.replica.voting.engine._core.certificates.notarized for node in network.nodes)
    assert not set(ids) & set(network.decided)

    for node in network.nodes:
        network.crash(node)
    network.run(2_500)
    network.filters.clear()
    for node in network.nodes:
        network.restart(node)
    assert network.run(MINUTE, partial_executed(network, send(network, 1, 1)))
    network.run(LIFETIME_MS)
    assert network.run(MINUTE, partial_executed(network, send(network, 2, 1)))

    network.final_checks()
    assert all(len(node.replica.pool) == 0 for node in network.nodes)
    sound(network)


@pytest.mark.parametrize("seed", range(3))
def test_a_wiped_validator_observes_and_never_signs(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Without its journal it might contradict itself: it follows the chain, serves clients, and signs nothing (J22)."""
    network = started(monkeypatch, seed)
    assert network.run(MINUTE, partial_executed(network, send(network, 0)))
    network.crash(network.nodes[3], wipe=True)
    before = len(network.signed[3])
    network.run(500)
    network.restart(network.nodes[3])
    for number in (0, 1, 3):
        assert network.run(MINUTE, partial_executed(network, send(network, number)))
    network.crash(network.nodes[3])
    network.restart(network.nodes[3])
    assert network.run(MINUTE, partial_executed(network, send(network, 3)))

    wiped = network.nodes[3].replica
    assert "consensus/JOURNAL_LOST" == wiped.voting.engine.observing
    assert before == len(network.signed[3])
    sound(network)


def test_crashes_never_make_anyone_sign_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random power cuts while blocks are made: every vote ever signed is consistent with all others of its key."""
    network = started(monkeypatch, 9)
    for step in range(40):
        node = network.rng.choice(network.nodes)
        if node.replica is None:
            network.restart(node)
        elif len(network.alive()) > 2:
            network.crash(node)
        if step % 3 == 0:
            network.send(network.rng.choice([node for node in network.nodes if node.replica is not None]), count=1)
        network.run(network.rng.randint(20, 400))
    for node in network.nodes:
        network.restart(node)

    assert network.run(MINUTE, partial_executed(network, send(network, 0)))
    sound(network)


def test_a_node_that_diverged_stops_and_stays_readable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its results differ from the certified ones: storage/DIVERGED, no more votes, reads go on, others are unharmed."""
    network = started(monkeypatch)
    wrong = network.nodes[3]
    stage = wrong.replica.store.stage

    def staged(block: Any, block_id: bytes, writes: Any, receipts: Any, **roots: Any) -> Any:
        return stage(block, block_id, {**writes, b"cosmic": {b"ray": b"1"}}, receipts, **roots)

    wrong.replica.store.stage = staged
    first = send(network, 0)
    network.run(3_000)
    wrong.replica.store.stage = stage
    for _ in range(3):
        ids = send(network, 1)
        assert network.run(MINUTE, lambda: all(tx_id in network.nodes[0].replica.window for tx_id in ids))  # noqa: B023

    replica = wrong.replica
    assert DIVERGED is replica.executor.halted.spec
    signed, height = len(network.signed[3]), replica.chain.height
    answers: list[tuple[bytes, Fault | None]] = []
    replica.submit([b"x"], answers.extend)
    assert POOL_NOT_READY is answers[0][1].spec
    network.run(20_000)
    assert (signed, height) == (len(network.signed[3]), replica.chain.height)
    assert replica.decision(first[0]) is not None
    assert replica.store.block(1) is not None
    assert len(replica.chain.bodies) < 100
    assert network.accused() == set()

    network.crash(wrong)
    network.restart(wrong)
    assert DIVERGED is wrong.replica.executor.halted.spec, "its disk says so, before anybody else does"
    network.run(20_000)
    assert DIVERGED is wrong.replica.executor.halted.spec, "a restart does not make it right"
    assert signed == len(network.signed[3])
    assert network.violations, "as the checker sees too"
    assert all(" differs at height " in text for text in network.violations), network.violations


def test_another_fault_than_divergence_stops_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that cannot be read is no divergence: the error escapes to whoever stops the node."""
    network = started(monkeypatch)
    replica = network.nodes[2].replica

    def broken(*_: Any, **__: Any) -> Any:
        raise fault(DISK_FAILED, path="state")

    replica.store.stage = broken
    send(network, 0)
    with pytest.raises(Fault, match="home/DISK_FAILED"):
        network.run(5_000)
    assert replica.executor.halted is None


def test_what_is_rebuilt_equals_what_was_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Window, roots and history after a restart are those that the running node had."""
    network = started(monkeypatch)
    for number in range(4):
        assert network.run(MINUTE, partial_executed(network, send(network, number)))
    for replica in network.alive():
        chain = rebuild_chain(replica.store, replica.record)
        window = rebuild_window(replica.store, replica.record)

        assert (chain.height, chain.block_id, chain.history) == (
            replica.chain.height,
            replica.chain.block_id,
            replica.chain.history,
        )
        assert chain.roots == replica.chain.roots
        assert chain.window == replica.chain.window
        assert set(window.ids) == set(replica.window.ids)
        assert (window.height, window.time_ms) == (replica.window.height, replica.window.time_ms)


# Nodes that do not validate (J8)


def test_a_peer_passes_transactions_to_a_validator(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a peer acknowledges is executed, and then forgotten by it: memory, disk and quota."""
    network = started(monkeypatch, peers=1)
    for _ in range(3):
        assert network.run(MINUTE, partial_executed(network, send(network, 4)))
    network.run(1_000)

    peer = network.nodes[4].replica
    assert 0 == len(peer.pool)
    assert [] == peer._batches.ids()
    assert 0 == peer.pool.quotas.used(-1)
    assert network.acknowledged
    sound(network)


def test_a_peer_tries_another_validator(monkeypatch: pytest.MonkeyPatch) -> None:
    """A validator that swallows transactions delays them by two seconds: f + 1 are tried in turn."""
    network = started(monkeypatch, peers=1)
    asked: list[bytes] = []

    def swallow_first(peer: bytes, channel: Channel, payload: bytes) -> bytes | None:
        if channel is not Channel.TX:
            return payload
        asked.append(peer)
        return None if peer == asked[0] else payload

    network.filters[4] = swallow_first
    began = network.world.now_ms
    assert network.run(MINUTE, partial_executed(network, send(network, 4)))

    assert 2_000 <= network.world.now_ms - began < 4_000
    assert 2 == len(set(asked))
    sound(network)


def test_a_peer_passes_on_after_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Acknowledged means durable: a peer that lost power before anybody heard of them sends them afterwards."""
    network = started(monkeypatch, peers=1)
    network.filters[4] = lambda peer, channel, payload: None if channel is Channel.TX else payload
    ids = send(network, 4)
    network.run(200)
    assert set(ids) <= set(network.acknowledged)
    network.crash(network.nodes[4])
    network.filters.clear()
    network.run(500)
    network.restart(network.nodes[4])

    assert network.nodes[4].replica.pool.quotas.used(-1) > 0
    assert network.run(MINUTE, partial_executed(network, ids))
    sound(network)


def test_a_peer_forgets_what_expired(monkeypatch: pytest.MonkeyPatch) -> None:
    """What no validator would take is kept until its deadline is final, and no longer."""
    network = started(monkeypatch, peers=1)
    network.filters[4] = lambda peer, channel, payload: None if channel is Channel.TX else payload
    ids = send(network, 4, lifetime_ms=3_000)
    network.run(5_000)
    assert 1 == len(network.nodes[4].replica.pool)
    assert network.run(MINUTE, partial_executed(network, send(network, 0)))
    network.run(1_000)

    assert not set(ids) & set(network.decided)
    assert 0 == len(network.nodes[4].replica.pool)
    assert [] == network.nodes[4].replica._batches.ids()


def test_forwarded_garbage_is_an_offence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who passes transactions on has checked them: what does not decode or is not signed costs the one who sent it."""
    from p2p.messages import Forward, write  # noqa: PLC0415 - beside its only use

    network = started(monkeypatch, peers=2)
    peer, other = network.nodes[4], network.nodes[5]
    good = network.send(network.nodes[0], count=1)
    for target in (network.nodes[0], other):
        peer.links.send(target.key, Channel.TX, write(Forward(3, (b"garbage", good[0][:-64] + bytes(64)))))
    network.run(500)

    assert [Offence.INVALID_TRANSACTION] == [offence for _, offence, _ in network.nodes[0].links.punished]
    assert [Offence.INVALID_TRANSACTION] == [offence for _, offence, _ in other.links.punished]
    assert {peer.key} == network.accused()


def test_a_transaction_that_the_state_refuses_is_nobody_s_offence(monkeypatch: pytest.MonkeyPatch) -> None:
    """A duplicate, or one that came too late, is dropped without a word about who sent it."""
    from p2p.messages import Forward, write  # noqa: PLC0415 - beside its only use

    network = started(monkeypatch, peers=1)
    raws = network.send(network.nodes[0], count=2)
    ids = [verified.id for verified in trusted_transactions(CITY, raws)]
    assert network.run(MINUTE, partial_executed(network, ids))
    network.nodes[4].links.send(network.nodes[1].key, Channel.TX, write(Forward(3, tuple(raws))))
    network.run(500)

    assert set() == network.accused()


def test_a_flood_of_forwards_is_read_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than a mebibyte of one node's transactions under verification: that channel of it is paused, and resumed."""
    network = started(monkeypatch, peers=1)
    replica, links = network.nodes[0].replica, network.nodes[0].links
    record: list[tuple[bytes, Channel, bool]] = []
    links.pause = lambda peer, channel, *, paused: record.append((peer, channel, paused))
    peer = network.nodes[4].key
    for number in range(6):
        replica.forwarding.arrived(peer, (bytes([number]) + bytes(200_000),), 3)
    assert (peer, Channel.TX, True) in record
    network.run(200)

    assert (peer, Channel.TX, False) == record[-1]
    assert 0 == sum(replica.forwarding.foreign.values())
