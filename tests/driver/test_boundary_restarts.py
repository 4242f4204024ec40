"""Power cuts around the end of an epoch, lost disks, backups, two processes: who may sign, and who must not."""

import copy
import random
from typing import Any

import pytest

from cccnode.driver.replica import Replica
from cccnode.types.errors import JOURNAL_CORRUPT, NOT_SIGNING_JOURNAL_LOST, WATCHING
from cccnode.types.vote import Kind, Vote
from consensus.messages import Message, VotesMessage, decode_message
from p2p.frames import Channel
from tests.driver.council import MINUTE, Council
from tests.driver.test_hostile_validators import on_consensus
from tests.simulation.nodes import SimulatedNetwork

LOST, LOOKING = NOT_SIGNING_JOURNAL_LOST.name, WATCHING.name


def said_by(network: Council, index: int, epoch: int) -> list[Vote]:
    """Votes of a validator that ever left a node."""
    return [
        vote
        for (when, signer, _), votes in network.audit.said.items()
        if (when, signer) == (epoch, index)
        for vote in votes
    ]


# Power cuts around the boundary


class Images:
    """What a power cut would leave of a node's data, before each of its disk operations."""

    def __init__(self, network: Council, number: int) -> None:
        self.network, self.node = network, network.nodes[number]
        self.taken: list[tuple[Any, Any, int, dict[int, list[Vote]]]] = []
        self.node.disk.refuse = self.node.engine.refuse = self._take

    def _take(self, _operation: str, _path: str) -> None:
        disk, engine = copy.copy(self.node.disk), copy.copy(self.node.engine)
        disk._files = copy.deepcopy(self.node.disk._files)
        for name in ("_data", "_durable", "_unsynced"):
            setattr(engine, name, copy.copy(getattr(self.node.engine, name)))
        said = {epoch: said_by(self.network, self.node.number, epoch) for epoch in range(self.network.epoch + 1)}
        self.taken.append((disk, engine, self.node.replica.epoch.number, said))


@pytest.mark.parametrize("luck", range(3))
def test_a_power_cut_at_every_step_around_a_boundary(monkeypatch: pytest.MonkeyPatch, luck: int) -> None:
    """Whatever was durable, the node knows its epoch and every vote that had left it, and no journal counts as lost."""
    network = Council(monkeypatch, epoch_blocks=2)
    images = Images(network, 2)
    network.until_epoch(2)
    rng = random.Random(luck)
    epochs = []
    for disk, engine, before, said in images.taken:
        for part in (disk, engine):
            part.crash(rng)
        again = SimulatedNetwork(1, validators=4, epoch_blocks=2)
        node = again.nodes[2]
        node.disk, node.engine = disk, engine
        again.boot(node)
        epoch = node.replica.epoch.number
        epochs.append(epoch)
        assert epoch in {before, before + 1}
        assert LOOKING == node.silent
        guard = node.replica.voting.engine._core.guard
        assert all(guard.signed(vote) for vote in said.get(epoch, ()))

    assert {0, 1} <= set(epochs)
    assert len(epochs) > 40


@pytest.mark.parametrize("step", [*range(0, 40, 2), *range(40, 200, 20)])
def test_everybody_loses_power_at_a_boundary(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """So many events after the first node began to store the last block: the network goes on, in the same epoch."""
    ending: list[int] = []
    begun = Replica._ending

    def remember(replica: Replica, number: int) -> None:
        ending.append(number)
        begun(replica, number)

    monkeypatch.setattr(Replica, "_ending", remember)
    network = Council(monkeypatch, seed=step, epoch_blocks=1)
    ids = network.transfer(count=2)
    assert network.run(MINUTE, lambda: bool(ending))
    left = iter(range(step))
    network.run(MINUTE, lambda: next(left, None) is None)
    for node in network.nodes:
        network.crash(node)
    for node in network.nodes:
        network.world.at(network.rng.randint(0, 2_000), lambda node=node: network.restart(node))
    network.run(2_500)

    assert not {LOST, JOURNAL_CORRUPT.name} & {node.silent for node in network.nodes}
    ids += network.transfer(1, count=1)
    assert network.run(MINUTE, lambda: network.all_executed(ids[2:])), network.picture()
    assert network.epoch >= 1
    network.sound()


def test_everybody_loses_power_between_the_last_block_and_the_next_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is durable everywhere, and nobody has begun the next epoch: all do so after the restart, and vote in it."""
    network = Council(monkeypatch, epoch_blocks=1)
    for node in network.nodes:
        node.runtime._disk_ms = (40, 40)
    ids = network.transfer(count=2)

    def storing() -> bool:
        return all(node.runtime._jobs.get("store") for node in network.nodes)

    assert network.run(MINUTE, storing)
    for node in network.nodes:
        (job,) = node.runtime._jobs["store"]
        job()
        network.crash(node)
    for node in network.nodes:
        network.restart(node)

    assert [(1, LOOKING)] * 4 == [(node.replica.epoch.number, node.silent) for node in network.nodes]
    network.acknowledged.clear()  # Nobody was told of that block: the network's own books lack it.
    ids += network.transfer(1, count=1)
    assert network.run(MINUTE, lambda: network.all_executed(ids)), network.picture()
    network.sound()


def test_blocks_without_state_are_executed_over_all_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The state is gone and the blocks are there: every epoch is passed once more, and the votes of now are kept."""
    network = Council(monkeypatch, epoch_blocks=2)
    network.until_epoch(4)
    network.settle()
    node = network.nodes[1]
    epoch, height = network.epoch, network.height()
    said = said_by(network, 1, epoch)
    network.crash(node)
    node.engine = type(node.engine)()
    network.restart(node)

    assert network.run(MINUTE, lambda: node.replica.chain.height >= height)
    assert (epoch, 1) == (node.replica.epoch.number, node.replica.epoch.me)
    assert all(node.replica.voting.engine._core.guard.signed(vote) for vote in said)
    assert network.run(MINUTE, lambda: network.signing() == [0, 1, 2, 3])
    network.sound()


# Lost disks (J22)


def test_a_wiped_validator_signs_again_in_the_next_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """It observes where it may have voted; having heard a quorum there, it votes from the next epoch on."""
    network = Council(monkeypatch, epoch_blocks=6)
    network.until_epoch(1)
    node = network.nodes[3]
    network.crash(node, wipe=True)
    network.restart(node)
    assert network.run(MINUTE, lambda: node.replica.epoch.number >= 1)
    epoch = node.replica.epoch.number
    assert LOST == node.silent
    before = len(network.signed[3])
    for _ in range(2):
        ids = network.transfer(3)
        assert network.run(MINUTE, lambda: network.all_executed(ids))  # noqa: B023
    assert (LOST, before, epoch) == (node.silent, len(network.signed[3]), node.replica.epoch.number)

    network.until_epoch(epoch + 1)
    assert network.run(MINUTE, lambda: node.silent is None)
    network.until_epoch(epoch + 2)
    assert {held for held, _ in network.signed[3][before:]} >= {epoch + 1}
    assert epoch not in {held for held, _ in network.signed[3][before:]}
    network.sound()


def test_a_wiped_validator_that_heard_nobody_stays_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """It passed the boundary by blocks alone: nothing tells that it never voted in the next epoch before."""
    network = Council(monkeypatch, epoch_blocks=4)
    network.until_epoch(1)
    node = network.nodes[3]
    network.crash(node, wipe=True)
    for other in network.nodes[:3]:
        network.filters[other.number] = lambda peer, channel, payload: (
            None if (peer, channel) == (node.key, Channel.CONSENSUS) else payload
        )
    network.restart(node)
    network.until_epoch(3)
    network.settle()
    assert LOST == node.silent
    network.filters.clear()
    epoch = network.epoch
    network.run(3_000)
    assert (LOST, epoch) == (node.silent, node.replica.epoch.number)

    network.until_epoch(epoch + 1)
    assert network.run(MINUTE, lambda: node.silent is None)
    network.sound()


def test_a_wiped_validator_stays_forgetful_over_restarts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking for a journal founds none: it may be started as often as one likes."""
    network = Council(monkeypatch, epoch_blocks=40)
    network.transfer()
    network.run(1_000)
    node = network.nodes[2]
    network.crash(node, wipe=True)
    for _ in range(4):
        network.restart(node)
        network.run(1_500)
        assert LOST == node.silent
        network.crash(node)
    network.restart(node)
    ids = network.transfer(2)

    assert network.run(MINUTE, lambda: network.all_executed(ids))
    assert LOST == node.silent
    network.sound()


def test_a_journal_of_another_epoch_that_is_lost_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The node needs that of the current epoch; without it, it observes until the next."""
    network = Council(monkeypatch, epoch_blocks=6)
    network.until_epoch(2)
    ids = network.transfer()
    assert network.run(MINUTE, lambda: network.all_executed(ids))
    epoch = network.epoch
    for lost, expected in ((epoch - 1, LOOKING), (epoch, LOST)):
        node = network.nodes[1]
        network.crash(node)
        node.disk.remove_tree(f"journal/{lost}")
        network.restart(node)
        assert (epoch, expected) == (node.replica.epoch.number, node.silent)
    network.until_epoch(epoch + 1)
    assert network.run(MINUTE, lambda: node.silent is None)
    network.sound()


def before_the_wipe(network: Council) -> Any:
    """Node 3 alone knows that the first epoch is over, and votes in the next before its disk is lost."""

    def held(peer: bytes, message: Message) -> Message | None:
        match message:
            case VotesMessage(votes=votes) if peer != network.nodes[3].key:
                rest = tuple(vote for vote in votes if vote.kind is not Kind.FINALIZE)
                return VotesMessage(message.epoch, message.executed, rest) if rest else None
        return message

    return on_consensus(held)


def only_of_the_next_epoch(peer: bytes, channel: Channel, payload: bytes) -> bytes | None:
    """Nobody learns from this node how the first epoch ended."""
    return payload if channel is Channel.CONSENSUS and decode_message(payload).epoch else None


def test_what_a_wiped_validator_voted_ahead_of_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was the only one in the next epoch and voted there; the others were not, and follow after it lost its disk.

    They spoke in the old epoch after the loss, which shows that no view of the next one was over then.  So all that it
    may have signed there was in the first view, and that is the one in which it signs nothing.
    """
    for seed in range(8):
        network = Council(monkeypatch, seed=seed, epoch_blocks=1)
        node = network.nodes[3]
        for other in network.nodes:
            network.filters[other.number] = before_the_wipe(network)
        network.filters[3] = only_of_the_next_epoch
        network.transfer()
        assert network.run(MINUTE, lambda: node.replica.epoch.number == 1)  # noqa: B023
        network.transfer(3)
        network.run(1_500)
        assert {0} == {network.replica(number).epoch.number for number in range(3)}
        if not said_by(network, 3, 1):
            continue
        network.crash(node, wipe=True)
        network.acknowledged.clear()  # Its disk was the only one that had them.
        network.restart(node)
        network.run(3_000)
        assert LOST == node.silent
        network.filters.clear()
        network.until_epoch(3)
        network.sound()
        return
    raise AssertionError("it never voted ahead")
