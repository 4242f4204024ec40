"""More than f validators are lost for ever: survivors and organisations agree, and whoever accepts goes on (J22)."""

import pytest
from msgspec.structs import replace

from cccnode.city.registry.restart import restart_flaw
from cccnode.driver.accepted import AcceptedRestarts
from cccnode.ledger.state import Overlay
from cccnode.node.data import found_journal
from cccnode.types.errors import NOT_SIGNING_JOURNAL_LOST, RESTART_REFUSED, Fault
from cccnode.types.restart import Approval, Restart, RestartCertificate, restart_bytes
from cccnode.types.validators import EpochRecord
from storage.memory import MemoryDisk, MemoryEngine
from tests.driver.support import Audited

LOST = (1, 3)
SURVIVORS = (0, 2)


def stalled(monkeypatch: pytest.MonkeyPatch, *, epoch_blocks: int | None = None) -> Audited:
    """Two of four validators are gone; the survivors stand at one height, and no block comes."""
    network = Audited(11, monkeypatch, validators=4, peers=1, epoch_blocks=epoch_blocks)
    network.start()
    network.send(network.nodes[0], count=4)
    network.run(3_000)
    for number in LOST:
        network.crash(network.nodes[number])
    network.send(network.nodes[0], count=2)
    network.run(20_000, lambda: len({replica.chain.height for replica in network.alive()}) == 1)
    return network


def certificate(network: Audited, *, keep: tuple[int, ...] = SURVIVORS) -> RestartCertificate:
    """What the survivors and all organisations agree on; as the ceremony does, signing founds the new journal."""
    replica = network.nodes[SURVIVORS[0]].replica
    assert replica is not None
    applied, old = replica.store.applied, replica.record
    assert applied is not None
    partners = network.demo.partners
    record = EpochRecord(
        old.epoch + 2, tuple(old.validators[number] for number in keep), old.limits, old.timers, old.features
    )
    restart = Restart(
        chain=network.demo.genesis.chain,
        height=applied.height,
        block_id=applied.block_id,
        state_root=applied.state_root,
        results_root=applied.results.root(),
        record=record,
    )
    signed = restart_bytes(restart)
    for number in keep:
        found_journal(network.nodes[number].disk, record.epoch)
    survivors = tuple(key.sign(signed) for number in keep if (key := partners[number].consensus) is not None)
    approvals = tuple(
        Approval(partner.name, (partner.owner.public_key,), (partner.owner.sign(signed),)) for partner in partners
    )
    return RestartCertificate(restart=restart, survivors=survivors, approvals=approvals)


def flaw(network: Audited, found: RestartCertificate) -> str | None:
    replica = network.nodes[SURVIVORS[0]].replica
    assert replica is not None
    return restart_flaw(Overlay(replica.store.state), replica.record, found)


def accepting(network: Audited, found: RestartCertificate) -> None:
    """From their next start on, nodes follow this certificate."""
    network.restarts = AcceptedRestarts(
        [found], lambda state, current, judged: restart_flaw(Overlay(state), current, judged)
    )


def restarted(network: Audited, *numbers: int) -> None:
    for number in numbers:
        network.crash(network.nodes[number])
        network.restart(network.nodes[number])


def test_survivors_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two survivors that accept make blocks again, in an epoch that nobody can have voted in; nothing is lost."""
    network = stalled(monkeypatch)
    before = network.height()
    accepting(network, certificate(network))

    restarted(network, *SURVIVORS)
    network.send(network.nodes[0], count=3)

    assert network.run(20_000, lambda: network.nodes[2].replica.chain.height >= before + 2)
    survivors = [network.nodes[number].replica for number in SURVIVORS]
    assert {2} == {replica.epoch.number for replica in survivors}
    assert {2} == {len(replica.record.validators) for replica in survivors}
    assert all(not replica.chain.roots_at(replica.chain.height).ahead.due for replica in survivors), "nobody comes back"
    assert not network.contradictions()


def test_what_survivors_forgot_matters_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two lost their journals, not their keys: in an epoch that nobody can have voted in they vote again."""
    network = stalled(monkeypatch)
    for number in LOST:
        node = network.nodes[number]
        node.disk, node.engine = MemoryDisk(), MemoryEngine()
        network.restart(node)
    network.run(20_000, lambda: len({replica.chain.height for replica in network.alive()}) == 1)
    before = network.height()
    accepting(network, certificate(network, keep=(0, 1, 2, 3)))

    restarted(network, 0, 1, 2, 3)
    network.send(network.nodes[0], count=3)

    assert network.run(30_000, lambda: network.height() >= before + 2)
    assert [None] * 4 == [replica.voting.engine.observing for replica in network.alive() if replica.voting is not None]


@pytest.mark.parametrize("wiped", [False, True])
def test_a_survivor_that_returns_to_where_the_restart_began(monkeypatch: pytest.MonkeyPatch, *, wiped: bool) -> None:
    """It voted since, lost that, and starts exactly at that block: only the ceremony founds the journal, once."""
    network = stalled(monkeypatch)
    node = network.nodes[2]
    network.crash(node)
    backup = network.backup(node)  # When the ceremony began, and before it was signed here.
    network.restart(node)
    accepting(network, certificate(network))
    restarted(network, *SURVIVORS)
    network.send(network.nodes[0], count=3)
    network.run(3_000)
    signed = list(network.signed[2])
    assert 2 == node.replica.epoch.number
    assert signed
    network.crash(node)
    if wiped:
        for name in backup[0].list("journal"):
            backup[0].remove_tree(f"journal/{name}")
    node.disk, node.engine = backup
    network.restart(node)

    assert (2, NOT_SIGNING_JOURNAL_LOST.name) == (node.replica.epoch.number, node.silent)
    network.run(3_000)
    assert not network.contradictions()


def test_the_restarted_epoch_ends_in_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """The record of the epoch after it is at hand, although no execution made it."""
    network = stalled(monkeypatch, epoch_blocks=9)
    accepting(network, certificate(network))
    restarted(network, *SURVIVORS)

    def busy() -> None:
        network.send(network.nodes[0], count=1)
        network.world.at(300, busy)

    busy()

    assert network.run(40_000, lambda: min(network.nodes[number].replica.epoch.number for number in SURVIVORS) >= 4)


def test_a_peer_that_accepts_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that does not vote needs the certificate too: with it, it catches up and restarts within the new epoch."""
    network = stalled(monkeypatch)
    before = network.height()
    accepting(network, certificate(network))
    restarted(network, *SURVIVORS, 4)
    network.send(network.nodes[0], count=3)
    peer = network.nodes[4]

    assert network.run(30_000, lambda: peer.replica.chain.height > before + 1)
    restarted(network, 4)
    network.send(network.nodes[2], count=1)
    reached = network.height()

    assert network.run(30_000, lambda: peer.replica.chain.height > reached)
    assert 2 == peer.replica.epoch.number


def test_without_the_certificate_nothing_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that has not accepted stays where it was, and says that others are in an epoch it cannot reach."""
    network = stalled(monkeypatch)
    before = network.height()
    accepting(network, certificate(network))
    restarted(network, *SURVIVORS)
    network.send(network.nodes[0], count=3)
    peer = network.nodes[4].replica

    network.run(20_000, lambda: peer.catch_up.unknown_epoch is not None)

    assert (before, 0, 2) == (peer.chain.height, peer.epoch.number, peer.catch_up.unknown_epoch)


def test_a_lost_validator_that_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    """It follows once its operator accepts, votes in no old epoch, and is no validator until it is admitted again."""
    network = stalled(monkeypatch)
    accepting(network, certificate(network))
    restarted(network, *SURVIVORS)
    network.send(network.nodes[0], count=3)
    network.run(5_000)
    network.restart(network.nodes[1])
    reached = network.height()

    assert network.run(30_000, lambda: network.nodes[1].replica.chain.height >= reached)
    assert network.nodes[1].replica.epoch.me is None
    assert not network.contradictions()


def test_what_makes_a_certificate_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every survivor signs, more than two thirds of the organisations approve, nothing but the members changes."""
    network = stalled(monkeypatch)
    good = certificate(network)
    restart, record = good.restart, good.restart.record
    assert flaw(network, good) is None

    def with_record(other: EpochRecord) -> RestartCertificate:
        return replace(good, restart=replace(restart, record=other))

    late = replace(record, epoch=record.epoch + 1)
    assert "comes next" in str(flaw(network, with_record(late)))
    other_key = replace(record.validators[0], consensus_key=record.validators[1].consensus_key)
    assert "names a validator" in str(flaw(network, with_record(replace(record, validators=(other_key,)))))
    twice = with_record(replace(record, validators=record.validators[:1] * 2))
    assert "validator twice" in str(flaw(network, twice))
    slower = replace(record, timers=replace(record.timers, delta_ms=9))
    assert "more than the validators" in str(flaw(network, with_record(slower)))
    assert "one signature for each" in str(flaw(network, replace(good, survivors=good.survivors[:1])))
    assert "has not signed" in str(flaw(network, replace(good, survivors=(good.survivors[0], None))))
    assert "has not signed" in str(flaw(network, replace(good, survivors=good.survivors[::-1])))
    assert "two thirds" in str(flaw(network, replace(good, approvals=good.approvals[:3])))
    assert flaw(network, replace(good, approvals=good.approvals[:4])) is None
    doubled = replace(good, approvals=(good.approvals[0],) * 5)
    assert "1 of 5" in str(flaw(network, doubled))


def test_a_certificate_over_other_results_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that executed something else, or more, does not start with it: the operator is told why."""
    network = stalled(monkeypatch)
    good = certificate(network)
    survivor = network.nodes[0].replica
    for other, words in (
        (replace(good.restart, state_root=bytes(32)), "other results"),
        (replace(good.restart, height=good.restart.height - 1), "holds the final block"),
    ):
        accepting(network, replace(good, restart=other))
        with pytest.raises(Fault) as refused:
            network.restarts.due(survivor.store, survivor.record)
        assert refused.value.spec is RESTART_REFUSED
        assert words in str(refused.value)
