"""A process that has just started looks before it signs, and older copies of a home meet what the newer one said."""

import pytest

from cccnode.node.data import unused_mark
from cccnode.types.errors import NOT_SIGNING_JOURNAL_LOST, SAFETY_ALARM, WATCHING
from consensus.messages import Message, StatusMessage, VotesMessage
from tests.driver.council import MINUTE, Council
from tests.driver.support import Audited
from tests.driver.test_hostile_validators import on_consensus
from tests.simulation.nodes import SimulatedNode

LOST, LOOKING = NOT_SIGNING_JOURNAL_LOST.name, WATCHING.name


def signed(network: Audited) -> int:
    """Votes that ever left a node."""
    return sum(map(len, network.audit.said.values()))


# R13


def test_nothing_is_signed_before_a_quorum_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of four wait for ever; with a third they begin, after the time that a leader has."""
    network = Audited(3, monkeypatch)
    for number in (0, 1):
        node = network.nodes[number]
        node.disk.replace_file(unused_mark(node.consensus_key), b"")
        network.boot(node)
    network.relink()
    network.send(network.nodes[0], count=1)
    network.run(MINUTE)
    assert 0 == signed(network)
    assert [LOOKING, LOOKING] == [network.nodes[number].silent for number in (0, 1)]

    third = network.nodes[2]
    third.disk.replace_file(unused_mark(third.consensus_key), b"")
    began = network.world.now_ms
    network.boot(third)
    network.relink()
    network.send(third, count=1)
    timers = network.nodes[0].replica.record.timers
    quiet_ms = timers.min_interval_ms + 3 * timers.delta_ms
    assert network.run(MINUTE, lambda: all(node.silent is None for node in network.nodes[:3]))
    assert quiet_ms <= network.world.now_ms - began <= quiet_ms + 100
    assert 0 == signed(network)
    assert network.run(5_000, lambda: network.height() > 0)


def test_one_validator_alone_signs_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nobody to listen to."""
    network = Audited(3, monkeypatch, validators=1)
    network.start()
    ids = network.send(network.nodes[0], count=1)

    assert ids
    assert network.run(200, lambda: network.height() == 1)


def test_all_restarted_together_get_going(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a power cut of everybody blocks come within two view time-outs of the quorum being linked."""
    network = Council(monkeypatch)
    ids = network.transfer(count=2)
    network.run(30)
    for node in network.nodes:
        network.crash(node)
    network.run(5_000)
    for node in network.nodes:
        network.restart(node)
    assert [LOOKING] * 4 == [node.silent for node in network.nodes]
    began, height = network.world.now_ms, network.height()
    network.transfer(2)

    assert network.run(MINUTE, lambda: network.height() > height)
    assert network.world.now_ms - began <= 2 * (50 + 4 * 250)
    assert network.run(MINUTE, network.settled)
    assert set(ids)
    network.sound()


def test_a_node_that_returns_to_a_busy_network_lets_it_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not needed: it signs once as many views as there are validators went by without it."""
    network = Council(monkeypatch)
    node = network.nodes[2]
    network.crash(node)
    network.run(500)
    network.restart(node)
    began = node.replica.voting.engine.status().view
    for _ in range(200):
        network.transfer(0)
        network.run(25)
        if node.silent is None:
            break

    assert node.silent is None
    assert node.replica.voting.engine.status().view - began >= 4
    network.sound()


def test_a_restart_within_a_view_keeps_its_votes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it signed before stays in force, and it repeats it only once it signs again."""
    network = Council(monkeypatch)
    for number in range(12):
        network.transfer(number % 4)
        network.run(35)
        node = network.nodes[number % 4]
        network.crash(node)
        network.restart(node)
    assert network.run(MINUTE, network.settled)

    assert [] == network.contradictions()
    network.sound()


# Backups (J22, N23)


def busy(network: Council, milliseconds: int) -> None:
    for _ in range(0, milliseconds, 100):
        up = [node.number for node in network.nodes[:4] if node.replica is not None]
        network.transfer(network.rng.choice(up))
        network.run(100)


def test_an_older_home_meets_what_it_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restored from a backup it finds own votes in certificates that it does not remember: it observes (J22).

    Where others made every certificate that it is shown, it finds nothing, and signs in later views than before.
    """
    found = []
    for seed in range(4):
        network = Council(monkeypatch, seed=seed, epoch_blocks=60)
        node = network.nodes[1]
        busy(network, 400)
        backup = network.backup(node)
        busy(network, 1_000)
        network.restore(node, backup)
        busy(network, 1_500)
        found.append(node.silent)
        assert 0 == network.epoch
        assert node.silent is None or "does not remember" in node.replica.voting.alarm

        network.until_epoch(1)
        assert network.run(MINUTE, lambda: node.silent is None)  # noqa: B023
        network.until_epoch(2)
        assert [] == list(network.audit.contradictions())
        network.sound()
    assert {LOST} <= set(found) <= {LOST, None}


@pytest.mark.parametrize("seed", range(4))
def test_an_older_home_of_epochs_ago(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """It passes epochs of which it has no journal, and contradicts in none of them what it said there."""
    network = Council(monkeypatch, seed=seed, epoch_blocks=4)
    node = network.nodes[1]
    busy(network, 300)
    backup = network.backup(node)
    network.until_epoch(4)
    busy(network, 200)
    network.restore(node, backup)
    assert node.replica.epoch.number < 4
    busy(network, 3_000)
    network.until_epoch(network.epoch + 2)

    assert network.run(MINUTE, lambda: node.silent is None)
    assert [] == list(network.audit.contradictions())
    network.sound()


@pytest.mark.parametrize("seed", range(4))
def test_an_older_self_beside_the_newer_one(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """The newer one runs and is reachable, so nobody takes a second link of its key: the older one signs nothing."""
    network = Council(monkeypatch, seed=seed, epoch_blocks=20)
    node = network.nodes[1]
    backup = network.backup(node)
    busy(network, 500)
    twin = network.twin(node, backup)
    busy(network, 4_000)

    assert network.epoch >= 1
    assert LOOKING == twin.silent
    assert node.silent is None
    assert [] == list(network.audit.contradictions())
    network.remove(twin)
    network.sound()


def apart(network: Council, twin: SimulatedNode, *others: int) -> None:
    """The older self and these nodes on one side, everybody else on the other."""
    network.world.conditions.groups = {twin.place: 1, **{network.nodes[number].place: 1 for number in others}}
    network.relink()


@pytest.mark.parametrize("seed", range(4))
def test_two_selves_in_two_parts_of_a_network(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """The limit: cut apart from each other both may sign.  One organisation contradicts itself; the ledger is safe."""
    network = Council(monkeypatch, seed=seed, epoch_blocks=20)
    node = network.nodes[1]
    backup = network.backup(node)
    busy(network, 500)
    twin = network.twin(node, backup)
    for _ in range(4):
        apart(network, twin, *network.rng.sample([0, 2, 3], 2))
        busy(network, 1_200)
        network.world.conditions.groups = {}
        network.relink()
        busy(network, 300)
    network.remove(twin)
    busy(network, 1_000)

    assert {name for name, *_ in network.audit.contradictions()} <= {"org-01"}
    network.sound(1)


# Two machines of one organisation


def standby(network: Council, number: int, *, copied: bool) -> SimulatedNode:
    """A second registered machine of an organisation, with the same consensus key; `copied`: and the same data."""
    node = network.nodes[number]
    key = network.register(number)
    network.settle()
    network.run(5_000)
    other = SimulatedNode(number, node.partner, key, node.consensus_key, f"{number}b")
    if copied:
        other.disk, other.engine = network.backup(node)
    else:
        other.disk.replace_file(unused_mark(node.consensus_key), b"")
        other.card = network.card()
    network.forgetful.add(node.name)
    network.nodes.append(other)
    network.boot(other)
    network.relink()
    return other


@pytest.mark.parametrize("idle", [True, False])
@pytest.mark.parametrize("copied", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_two_machines_with_one_key(monkeypatch: pytest.MonkeyPatch, seed: int, *, copied: bool, idle: bool) -> None:
    """The first goes on in this epoch and the next; the second keeps silent, also if nobody votes when it comes."""
    network = Council(monkeypatch, seed=seed)
    first, other = network.nodes[1], standby(network, 1, copied=copied)
    for _ in range(2):
        network.run(6_000) if idle else busy(network, 2_000)
        busy(network, 1_000)
        assert other.replica.epoch.number == network.epoch
        assert other.silent in {SAFETY_ALARM.name, LOST}, "by the other's word, or by votes that it does not remember"
        assert first.silent is None
        network.rotate(3)
        network.settle()
    assert [] == list(network.audit.contradictions())
    network.remove(other)
    network.sound()


def test_an_older_self_takes_over_and_the_newer_one_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    """The newer process ends: the older one is linked, looks, and nearly always finds that its journal is too old.

    Now and then the network has left every view in which the newer one voted: then it signs, and the newer one waits.
    """
    ends = []
    for seed in range(4):
        network = Council(monkeypatch, seed=seed, epoch_blocks=60)
        node = network.nodes[1]
        backup = network.backup(node)
        busy(network, 700)
        twin = network.twin(node, backup)
        network.run(200)
        network.crash(node)
        busy(network, 2_000)

        ends.append(twin.silent)
        assert [] == list(network.audit.contradictions())
        network.remove(twin)
        network.restart(node)
        newer = None if ends[-1] == LOST else LOST
        assert network.run(MINUTE, lambda: node.silent == newer)  # noqa: B023
        network.sound()
    assert LOST in ends
    assert set(ends) <= {LOST, None}


def test_an_older_self_whose_last_vote_nobody_could_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """The newer self voted, and the network stood still there: others show the older one what its key signed."""
    told, found = 0, []
    for seed in range(24):
        network = Council(monkeypatch, seed=seed)
        network.transfer()
        assert network.run(MINUTE, lambda: network.height() >= 1 and network.settled())  # noqa: B023
        node = network.nodes[1]
        backup = network.backup(node)
        before = signed(network)

        def nothing(peer: bytes, message: Message) -> Message | None:
            """Only where everybody stands, and what the node itself said."""
            mine = isinstance(message, VotesMessage) and all(vote.signer == 1 for vote in message.votes)
            return message if mine or isinstance(message, StatusMessage) else None

        for other in (0, 2, 3):
            network.filters[other] = on_consensus(nothing)
        network.transfer(0)
        network.run(network.rng.choice([300, 700, 1_200]))
        told += signed(network) - before
        network.restore(node, backup)
        network.run(network.rng.choice([0, 300, 560, 700]))
        network.filters.clear()
        busy(network, 3_000)
        found.append(node.silent)

        assert [] == list(network.audit.contradictions()), seed
        network.sound()
    assert told
    assert {LOST, None} == set(found), "where it had signed nothing it goes on"
