"""What a node says of itself and hears of others: reports out and in, and observations."""

import dataclasses
from typing import Any

import msgspec
import pytest

from cccnode.codec import decode, encode
from cccnode.doctor.judging import diagnose
from cccnode.doctor.observation import Observation
from cccnode.node.hearing import LATELY_MS, Pace, one_line
from cccnode.node.reporting import BEAT_MS, REPORT_MS, TWIN_MS, Reporting
from cccnode.types.errors import DIVERGED, NET_DUPLICATE, NET_UNREACHABLE, NET_VERSION, NODE_UNREGISTERED, Fault, fault
from cccnode.types.report import ROOT_EVERY, Report, has_bit
from cccnode.types.vote import Kind, Proposal, Vote
from consensus.view import Core
from p2p.peers import DialInfo, Heard, LastWord, PeerInfo
from tests.node.support import Watched, peer

SECOND = 1_000


class Wire:
    """The network, as far as reports go: what is told is kept, what is heard is put there by the test."""

    def __init__(self, watched: Watched) -> None:
        self.watched = watched
        self.told: list[Report] = []
        self.heard: dict[bytes, Heard] = {}
        self.words: dict[bytes, LastWord] = {}
        self.failed: dict[bytes, Fault] = {}

    def set_report(self, raw: bytes) -> None:
        self.told.append(decode(Report, raw))

    def reports(self) -> dict[bytes, Heard]:
        return self.heard

    def last_words(self) -> dict[bytes, LastWord]:
        return self.words

    def peers(self) -> list[PeerInfo]:
        return self.watched.p2p.infos

    def dials(self) -> list[DialInfo]:
        return [
            DialInfo(
                node_key=key,
                organisation="",
                validator=True,
                addresses=(),
                attempts=1,
                last_fault=reason,
                next_try_ms=1,
            )
            for key, reason in self.failed.items()
        ]


class Told:
    """A node that reports, with the wire in the test's hands."""

    def __init__(self, **shape: Any) -> None:
        self.watched = Watched(**shape)
        self.wire = Wire(self.watched)
        self.reporting = Reporting(
            replica=self.watched.node.replica,
            connections=self.watched.connections,
            service=self.watched.service,
            carrier=self.wire,
            runtime=self.watched.node.runtime,
            version="1.0",
            data=self.watched.service._data,
        )

    @property
    def now(self) -> int:
        return self.watched.node.runtime.now_ms()

    def keys(self) -> list[bytes]:
        return [node.key for node in self.watched.network.nodes]

    def index(self, key: bytes) -> int:
        return self.watched.node.replica.epoch.nodes[key]

    def hear(self, key: bytes, **changes: Any) -> None:
        """A report of that node arrives."""
        own = self.reporting.observe().own
        self.wire.heard[key] = Heard(raw=encode(msgspec.structs.replace(own, **changes)), at_ms=self.now)

    def lose(self, key: bytes, reason: Fault) -> None:
        """That node is gone, and cannot be reached for this reason."""
        self.watched.connections._linked.pop(key, None)
        self.watched.p2p.infos = [info for info in self.watched.p2p.infos if info.node_key != key]
        self.wire.failed[key] = reason

    def seen(self, key: bytes) -> Any:
        return self.reporting.observe().validators[self.index(key)]


@pytest.fixture
def node() -> Told:
    told = Told()
    told.watched.run(SECOND)
    return told


# Out


def test_a_report_says_how_the_node_is(node: Told) -> None:
    """Height, root, state, disk, who is heard: what others compare with their own."""
    for _ in range(ROOT_EVERY + 2):
        node.watched.send()
        node.watched.run(300)
    node.reporting.beat()
    report, replica = node.wire.told[-1], node.watched.node.replica

    assert ("1.0", "validating", ()) == (report.version, report.state, report.reasons)
    assert replica.chain.height == report.height
    assert replica.chain.height // ROOT_EVERY * ROOT_EVERY == report.root_height > 0
    assert replica.chain.roots_at(report.root_height).results_root == report.root
    assert replica.store.applied.state_root == report.state_root
    assert replica.epoch.record_hash == report.epoch_record_hash
    assert all(has_bit(report.linked, index) for index in range(4))


def test_told_every_two_seconds_and_at_news(node: Told) -> None:
    """Nothing new is told at its pace; a changed reason, or a lost validator, at the next look."""
    node.reporting.start()
    node.watched.run(4 * REPORT_MS + BEAT_MS // 2)
    assert 5 == len(node.wire.told), "at once, then every two seconds"

    node.watched.node.replica.executor.halted = fault(DIVERGED, height=1)
    node.watched.run(BEAT_MS)
    assert 6 == len(node.wire.told)
    assert ("diverged", DIVERGED.name) == (node.wire.told[-1].state, node.wire.told[-1].reasons[0])

    node.lose(node.keys()[1], fault(NET_UNREACHABLE))
    node.watched.run(BEAT_MS)
    assert 7 == len(node.wire.told)
    assert not has_bit(node.wire.told[-1].linked, node.index(node.keys()[1]))


def test_somebody_uses_our_key(node: Told) -> None:
    """A peer's word of a second connection is repeated for a minute, then forgotten."""
    node.watched.connections.notices[NET_DUPLICATE.name] = "from 10.0.0.9:1"
    assert (NET_DUPLICATE.name,) == node.reporting.observe().own.reasons
    node.watched.run(TWIN_MS + SECOND)

    assert () == node.reporting.observe().own.reasons


def test_a_disk_that_does_not_answer(node: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    """No room is reported where the disk cannot even be asked."""

    def broken(_: object) -> object:
        raise OSError

    monkeypatch.setattr("shutil.disk_usage", broken)
    assert 0 == node.reporting.observe().own.free_disk_mb


# In


def test_a_healthy_network(node: Told) -> None:
    """All others report the same results: nothing is wrong, and every validator is seen."""
    for key in node.keys()[1:]:
        node.hear(key)
    observation = node.reporting.observe()

    assert node.index(node.keys()[0]) == observation.me
    others = [seen for seen in observation.validators if seen.index != observation.me]
    assert all(seen.linked and seen.told.same and seen.told.age_ms == 0 for seen in others)
    assert diagnose(observation).verdict in {"healthy", "idle"}


def test_other_results_are_noticed(node: Told) -> None:
    """A report whose root differs at a height that both have is not the same; an unknown height says nothing."""
    one, two, three = node.keys()[1:]
    node.hear(one, state_root=bytes(32))
    node.hear(two, height=10**6, root_height=10**6)
    node.hear(three)

    assert [False, None, True] == [node.seen(key).told.same for key in (one, two, three)]
    assert {"doctor/OTHER_ROOT"} <= {cause.spec.name for cause in diagnose(node.reporting.observe()).causes}


def test_clock_and_round_trip_of_a_link(node: Told) -> None:
    """They come from the link; a clock so wrong that no number of JSON holds it is cut."""
    key = node.keys()[1]
    node.watched.p2p.infos = [peer(key, skew_ms=2**62)]
    seen = node.seen(key)

    assert (2**52, 1) == (seen.ahead_ms, seen.rtt_ms)
    assert node.seen(node.keys()[2]).rtt_ms is None


def test_why_a_node_is_gone(node: Told) -> None:
    """Its last words, the error of the last try, and whether its machine refused the connection."""
    one, two, three = node.keys()[1:]
    refused = fault(NET_UNREACHABLE, address="a:1", why="x")
    refused.__cause__ = ConnectionRefusedError(111, "refused")
    node.lose(one, refused)
    several = fault(NET_UNREACHABLE, address="a:1", why="x")
    several.__cause__ = OSError("Multiple exceptions: [Errno 111] Connect call failed, [Errno 111] Connect call failed")
    node.lose(two, several)
    node.lose(three, fault(NET_UNREACHABLE, why="no answer in time"))
    node.wire.words[one] = LastWord(name="home/DISK_FULL", text="path=x", told=True, at_ms=node.now)
    node.wire.words[two] = LastWord(name="net/SILENT", text="", told=False, at_ms=node.now)

    assert [True, True, False] == [node.seen(key).closed for key in (one, two, three)]
    assert "home/DISK_FULL" == node.seen(one).left.name
    assert node.seen(two).left is None, "what we saw ourselves is no word of theirs"
    assert "no answer in time" in node.seen(three).failed.text
    diagnosis = diagnose(node.reporting.observe())
    assert [["home/DISK_FULL"], ["doctor/OFFLINE"]] == [[cause.spec.name] for cause in diagnosis.causes]
    assert "stalled" == diagnosis.verdict


def test_a_report_that_nobody_can_read(node: Told) -> None:
    """It is another program's: known as unreadable, and nothing else is concluded."""
    key = node.keys()[1]
    node.wire.heard[key] = Heard(raw=b"\xc1", at_ms=node.now)
    seen = node.seen(key)

    assert (True, None) == (seen.unreadable, seen.told)
    assert ["doctor/OTHER_VERSION"] == [
        cause.spec.name for cause in diagnose(node.reporting.observe()).causes if cause.spec.name != "doctor/IDLE"
    ]


def test_silence_is_the_shortest_known(node: Told) -> None:
    """A report counts as a sign of life, and so does a link that is new."""
    key = node.keys()[1]
    node.hear(key)
    node.watched.run(3 * SECOND)
    assert node.seen(key).silent_ms <= 3 * SECOND


@pytest.mark.parametrize("asleep", [False, True])
def test_pauses_while_this_node_slept(node: Told, monkeypatch: pytest.MonkeyPatch, *, asleep: bool) -> None:
    """Two reports that come far apart are a pause of the other, unless this node's loop stood still meanwhile."""
    key, runtime = node.keys()[1], node.watched.node.runtime
    node.watched.p2p.infos = [dataclasses.replace(peer(key), connected_ms=60 * SECOND)]
    node.reporting.start()
    node.hear(key)
    node.watched.run(BEAT_MS)
    later = runtime.call_later
    if asleep:
        monkeypatch.setattr(runtime, "call_later", lambda delay_ms, fired: later(delay_ms + 8 * SECOND, fired))
    node.watched.run(8 * SECOND)
    monkeypatch.undo()
    node.watched.run(2 * BEAT_MS)
    node.hear(key)
    node.watched.run(2 * BEAT_MS)

    told = node.seen(key).told
    assert told.gap_ms < SECOND if asleep else told.gap_ms > 8 * SECOND
    assert asleep is (node.reporting.observe().own.lag_ms > 7 * SECOND)


def test_views_without_a_vote_count_from_the_link(node: Told) -> None:
    """A validator that does not vote is noticed after as many views as it was connected."""
    silent = node.keys()[1]
    node.reporting.beat()
    before = node.seen(silent).quiet_views
    assert before <= 2, "it votes"
    node.watched.network.crash(node.watched.network.nodes[1])
    for _ in range(5):
        node.watched.send()
        node.watched.run(3 * SECOND)
    assert node.seen(silent).quiet_views >= 5, "for this node its link seems to be up"

    node.lose(silent, fault(NET_UNREACHABLE))
    assert node.seen(silent).quiet_views is None
    node.watched.p2p.infos.append(peer(silent))
    assert 0 == node.seen(silent).quiet_views, "back just now"


def test_nothing_to_do_is_calm_and_a_standstill_is_not() -> None:
    """How long it is stuck counts from when there was something to do and nothing became final."""
    told = Told()
    told.watched.run(SECOND)
    told.reporting.start()
    told.watched.run(20 * SECOND)
    assert 0 == told.reporting.observe().stuck_ms, "idle"
    for other in told.watched.network.nodes[1:]:
        told.watched.network.crash(other)
    told.watched.send()
    told.watched.run(15 * SECOND)

    assert told.reporting.observe().stuck_ms >= 12 * SECOND
    assert "stalled" == diagnose(told.reporting.observe()).verdict


def test_a_refusal_counts_only_when_alone(node: Told) -> None:
    """What others have against this node; that it is not registered is a bad guess where its state knows better."""
    connections = node.watched.connections
    connections.refusals[b"a" * 32] = fault(NET_VERSION, own="1..1", its="2..2")
    assert node.reporting.observe().refusal is None

    for key in node.keys()[1:]:
        node.lose(key, fault(NET_VERSION))
    assert "net/VERSION" == node.reporting.observe().refusal.name
    connections.refusals[b"a" * 32] = fault(NODE_UNREGISTERED, evidence="closed before any answer")
    assert node.reporting.observe().refusal is None
    connections.refusals[b"a" * 32] = fault(NODE_UNREGISTERED, evidence="TLS alert")
    assert "net/NOT_REGISTERED" == node.reporting.observe().refusal.name


def test_contradicting_votes_name_an_organisation(node: Told) -> None:
    """Evidence of this epoch is told by the name of whoever signed; that of another epoch is not."""
    record = node.watched.node.replica.record
    first, second = (Vote(Kind.NOTARIZE, Proposal(5, 4, 3, bytes([n]) * 32), 2, bytes(64)) for n in (1, 2))
    node.watched.node.replica.evidence.add(record.epoch + 1, first, second)
    assert () == node.reporting.observe().accused
    node.watched.node.replica.evidence.add(record.epoch, first, second)

    assert (record.validators[2].organisation,) == node.reporting.observe().accused


def test_an_epoch_that_waits_for_its_last_block(node: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    """What consensus says of it is observed: when nothing moves, that is the cause."""
    assert not node.reporting.observe().boundary
    monkeypatch.setattr(Core, "ending", True)
    observation = node.reporting.observe()

    assert observation.boundary
    assert ["doctor/EPOCH_PENDING"] == [
        cause.spec.name for cause in diagnose(msgspec.structs.replace(observation, stuck_ms=20 * SECOND)).causes
    ]


def test_a_follower_observes() -> None:
    """A node that only follows has no view of its own, and sees all validators."""
    told = Told(number=4, peers=1)
    told.watched.run(SECOND)
    observation = told.reporting.observe()

    assert (None, None, False) == (observation.me, observation.leader, observation.armed)
    assert 4 == len(observation.validators)
    assert isinstance(told.watched.service.observe(), Observation)


# Pace


def test_pace() -> None:
    """Blocks in a minute over what is not long ago, and the longest pause between two steps."""
    pace = Pace()
    assert (None, 0) == (pace.rate, pace.pause(0))
    for at_ms, height in ((0, 0), (0, 9), (2_000, 20), (9_000, 80), (10_000, 100)):
        pace.add(at_ms, height)
    assert 600 == pace.rate
    assert (7_000, 1_000) == (pace.pause(0), pace.pause(3_000))

    pace.add(9_000 + LATELY_MS, 100)
    assert 20 * 60_000 // LATELY_MS == pace.rate


def test_values_on_one_line() -> None:
    """Values of an error, short, bytes as hexadecimal."""
    assert "a=1, key=0102" == one_line({"a": 1, "key": b"\x01\x02"})
    assert 400 == len(one_line({"x": "y" * 999}))
