"""Recordings of whole nodes: begun and ended at any time, without harm to the node, and replayed bit for bit."""

from typing import Any

import pytest

from cccnode.driver import recording as recordings_module
from cccnode.driver.recording import FLUSH_MS, STEPS_WAITING_MAX, Recordings
from cccnode.types.errors import INCIDENT_BUSY, INCIDENT_NOTHING, INCIDENT_VERSION, OVERSIZE, Fault, fault
from consensus import capsule as capsules
from consensus.capsule import Capsule, Cause, mend, read_capsule
from consensus.chain import Chain
from consensus.engine import Engine
from consensus.events import BodyReady, Tick
from consensus.replay import Replay
from tests.simulation.nodes import SimulatedNetwork, SimulatedNode


class Fetched:
    """Whoever asked for a recording."""

    def __init__(self, network: SimulatedNetwork, node: SimulatedNode) -> None:
        self.pieces: list[bytes] = []
        self.ends = 0
        self.network = network
        self.recordings = Recordings(
            runtime=node.runtime, voting=lambda: node.replica and node.replica.voting, program="test", node=node.key
        )

    def start(self, seconds: int = 2, reason: str = "") -> Any:
        return self.recordings.start(
            seconds=seconds, reason=reason, write=self.pieces.append, ended=lambda: setattr(self, "ends", self.ends + 1)
        )

    def run(self, milliseconds: int) -> None:
        world = self.network.world
        world.run_until(world.now_ms + milliseconds, lambda: False)

    def busy(self, milliseconds: int) -> None:
        """Let time pass while transactions come."""
        for _ in range(0, milliseconds, 50):
            self.network.send(self.network.nodes[1], count=1)
            self.run(50)

    @property
    def raw(self) -> bytes:
        return b"".join(self.pieces)

    @property
    def capsule(self) -> Capsule:
        return read_capsule(self.raw)


def replayed(capsule: Capsule) -> int:
    return len(list(Replay(capsule).steps()))


@pytest.fixture
def network() -> SimulatedNetwork:
    found = SimulatedNetwork(5, validators=4, peers=1)
    found.start()
    found.world.run_until(1_000, lambda: False)
    return found


@pytest.fixture
def fetched(network: SimulatedNetwork) -> Fetched:
    return Fetched(network, network.nodes[0])


def test_recording_replays(network: SimulatedNetwork, fetched: Fetched) -> None:
    """A validator of a loaded network is recorded for its time, piece by piece, and the capsule replays."""
    fetched.start(seconds=2, reason="why is it slow?")
    fetched.busy(2_000)
    assert len(fetched.pieces) > 4
    fetched.run(500)
    capsule = fetched.capsule
    assert (capsule.end.cause, fetched.ends) == (Cause.TIME, 1)
    assert (capsule.head.reason, capsule.head.program, capsule.head.node) == (
        "why is it slow?",
        "test",
        network.nodes[0].key,
    )
    assert 2_000 - FLUSH_MS <= capsule.steps[-1].now_ms - capsule.head.now_ms <= 2_000
    assert replayed(capsule) > 50
    assert not network.violations


def test_recording_leaves_nothing_behind(network: SimulatedNetwork, fetched: Fetched) -> None:
    """Off, a recorder costs one comparison: nothing is kept, no callable stands between, and a new one may start."""
    voting = network.nodes[0].replica.voting
    core = voting.engine._core
    before = (core.guard._sign, core.verifier._verify_many)
    for _ in range(2):
        fetched.start(seconds=1)
        assert voting.recorder is not None
        fetched.run(1_500)
        assert voting.recorder is None
        assert (core.guard._sign, core.verifier._verify_many) == before
    assert fetched.ends == 2


def test_recording_is_stopped(fetched: Fetched) -> None:
    """Whoever asked may end it; ending twice, or after the end, is harmless."""
    stop = fetched.start(seconds=60)
    fetched.busy(400)
    stop()
    stop()
    fetched.run(100)
    stop()
    assert (fetched.capsule.end.cause, fetched.ends) == (Cause.STOPPED, 1)
    assert replayed(fetched.capsule)


def test_one_at_a_time(fetched: Fetched) -> None:
    """A second recording is refused by name while one runs."""
    fetched.start(seconds=10)
    fetched.run(1_500)
    with pytest.raises(Fault) as error:
        fetched.start()
    assert (error.value.spec, error.value.values) == (INCIDENT_BUSY, {"seconds_left": 8})


def test_nothing_to_record(network: SimulatedNetwork) -> None:
    """A node that takes no part in consensus has nothing to record."""
    with pytest.raises(Fault) as error:
        Fetched(network, network.nodes[4]).start()
    assert error.value.spec is INCIDENT_NOTHING


def test_ends_with_the_epoch() -> None:
    """An epoch has an engine of its own: the recording ends with the one that it began with, and another may begin."""
    network = SimulatedNetwork(5, validators=4, epoch_blocks=12)
    network.start()
    network.world.run_until(1_000, lambda: False)
    for epoch in range(2):
        fetched = Fetched(network, network.nodes[0])
        fetched.start(seconds=60)
        while not fetched.ends:
            fetched.busy(200)
        assert (fetched.capsule.end.cause, fetched.capsule.config.epoch) == (Cause.EPOCH, epoch)
        assert network.nodes[0].replica.epoch.number == epoch + 1
        assert replayed(fetched.capsule) > 50
    assert not network.violations


def test_ends_with_another_engine(network: SimulatedNetwork, fetched: Fetched) -> None:
    """Events for another engine than the one it began with are not recorded as that one's."""
    fetched.start(seconds=60)
    fetched.busy(300)
    voting = network.nodes[0].replica.voting
    engine = voting.engine
    voting.engine = other = _another(engine)
    voting.handle(Tick())
    fetched.run(50)
    assert voting.recorder is None
    assert (fetched.capsule.end.cause, fetched.ends) == (Cause.EPOCH, 1)
    assert replayed(fetched.capsule)
    assert other._core.now >= engine._core.now


def test_ends_when_the_node_votes_no_more(network: SimulatedNetwork, fetched: Fetched) -> None:
    """Where consensus is taken up anew, or not at all, the recording ends within one piece."""
    fetched.start(seconds=60)
    fetched.run(300)
    network.nodes[0].replica.voting = None
    fetched.run(FLUSH_MS + 50)
    assert fetched.capsule.end.cause is Cause.EPOCH


def _another(engine: Engine) -> Engine:
    core = engine._core
    return Engine(core.config, sign=core.guard._sign, verify_many=core.verifier._verify_many, now_ms=core.now)


def test_ends_with_a_failing_engine(
    network: SimulatedNetwork, fetched: Fetched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that fails takes the node down, and the last event of the capsule is what did it."""
    fetched.start(seconds=60)
    fetched.busy(300)
    poison, get = BodyReady(block_id=b"poison"), Chain.get

    def broken(chain: Chain, wanted: bytes) -> Any:
        assert wanted != poison.block_id, "as if a rule were wrong"
        return get(chain, wanted)

    monkeypatch.setattr(Chain, "get", broken)
    with pytest.raises(AssertionError):
        network.nodes[0].replica.voting.handle(poison)
    fetched.run(50)
    capsule = fetched.capsule
    assert (capsule.end.cause, capsule.end.state, capsule.steps[-1].outcome) == (Cause.FAILED, None, None)
    assert replayed(capsule)


def test_limit_of_size(network: SimulatedNetwork, fetched: Fetched, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the limit it stops by itself and says so; what it holds replays."""
    monkeypatch.setattr(capsules, "BYTES_MAX", 120_000)
    fetched.start(seconds=600)
    while not fetched.ends:
        fetched.busy(200)
    assert (fetched.capsule.end.cause, fetched.ends) == (Cause.LIMIT, 1)
    assert network.nodes[0].replica.voting.recorder is None
    assert sum(map(len, fetched.pieces)) < capsules.BYTES_MAX
    assert replayed(fetched.capsule) > 20


def test_limit_of_waiting_steps(fetched: Fetched, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that is too slow for the node ends the recording instead of filling memory."""
    assert STEPS_WAITING_MAX > 10_000
    monkeypatch.setattr(recordings_module, "STEPS_WAITING_MAX", 3)
    fetched.start(seconds=60)
    fetched.busy(1_000)
    assert fetched.capsule.end.cause is Cause.LIMIT


def test_state_too_large(network: SimulatedNetwork, fetched: Fetched, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine whose state alone is too large is refused by name, and goes on as before."""
    with monkeypatch.context() as patched:
        patched.setattr(capsules, "BYTES_MAX", 100)
        with pytest.raises(Fault) as error:
            fetched.start()
    assert error.value.spec is OVERSIZE
    assert network.nodes[0].replica.voting.recorder is None
    fetched.start(seconds=1)
    fetched.run(1_500)
    assert replayed(fetched.capsule)


def test_broken_writer(network: SimulatedNetwork, fetched: Fetched, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording that cannot be written ends; the node goes on, and what was fetched can be mended."""
    fetched.start(seconds=60)
    fetched.busy(600)

    def broken(*_: object) -> bytes:
        raise fault(INCIDENT_VERSION, what="as if something could not be written")

    monkeypatch.setattr(capsules.CapsuleWriter, "more", broken)
    before = network.nodes[0].replica.chain.height
    fetched.busy(1_000)
    assert fetched.ends
    assert network.nodes[0].replica.voting.recorder is None
    assert network.nodes[0].replica.chain.height > before
    assert read_capsule(mend(fetched.raw)).end.steps


def test_no_key_is_recorded(network: SimulatedNetwork, fetched: Fetched) -> None:
    """The capsule holds signatures and public keys, and neither of the node's secrets."""
    fetched.start(seconds=1)
    fetched.busy(1_500)
    capsule = fetched.capsule
    node = network.nodes[0]
    everything = b"".join((capsule.head.config, capsule.state, *(step.event for step in capsule.steps)))
    everything += b"".join(message + signature for step in capsule.steps for message, signature in step.signed)
    secrets = [partner.node_seed for partner in network.demo.partners]
    secrets += [partner.consensus.seed for partner in network.demo.partners if partner.consensus is not None]
    assert secrets
    assert node.consensus_key is not None
    assert all(secret not in everything for secret in secrets)
