"""Between the replica and the network: each hears what concerns it, and a failure stops the node."""

from typing import Any

from cccnode.node.connections import NOTICES_MAX, Connections
from cccnode.types.errors import NET_CLOSED, NET_DUPLICATE, NET_UNREACHABLE, fault
from p2p.events import DialFailed
from p2p.frames import Channel
from p2p.peers import Direction, Refusal
from p2p.scores import Offence
from tests.node.support import FakeNetwork, peer

KEY = b"k" * 32


class FakeReplica:
    """Remembers its calls; `catch_up` is itself."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    @property
    def catch_up(self) -> "FakeReplica":
        return self

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: self.calls.append((name, *arguments))


def made(**options: Any) -> tuple[Connections, FakeNetwork, FakeReplica]:
    connections = Connections(**options)
    connections.network, connections.replica = FakeNetwork(), FakeReplica()
    return connections, connections.network, connections.replica


def test_links_come_and_go() -> None:
    """The replica hears of a link with the address where it was dialled; a link that is up ends old refusals."""
    connections, _, replica = made()
    connections.on_refused(Refusal(fault=fault(NET_UNREACHABLE), node_key=KEY, address="a", direction=Direction.OUT))
    assert NET_UNREACHABLE is connections.refusals[KEY].spec

    connections.on_peer(peer(KEY))
    assert [KEY] == list(connections.connected())
    assert {} == connections.refusals
    connections.on_lost(KEY, fault(NET_CLOSED))
    connections.on_peer(peer(KEY, direction=Direction.IN))

    assert [
        ("handle", DialFailed(peer=KEY, alternatives=())),
        ("on_linked", KEY, "10.0.0.1:1"),
        ("on_unlinked", KEY),
        ("on_linked", KEY, ""),
    ] == replica.calls


def test_refusals_of_others_dials_are_not_ours() -> None:
    """Only our own failed dials concern gossip and status; a stranger has no key."""
    connections, _, replica = made()
    for key, direction in ((KEY, Direction.IN), (None, Direction.OUT)):
        connections.on_refused(Refusal(fault=fault(NET_CLOSED), node_key=key, address="a", direction=direction))

    assert {} == connections.refusals
    assert [] == replica.calls


def test_what_the_replica_asks_for() -> None:
    """Every wish becomes one call of the network."""
    connections, network, _ = made()
    connections.send(KEY, Channel.HAVE, b"x")
    connections.pause(KEY, Channel.BATCH, paused=True)
    connections.pause(KEY, Channel.BATCH, paused=False)
    connections.punish(KEY, Offence.FLOOD, "why")
    connections.want([KEY])
    connections.hint(KEY, "a:1")
    connections.hang_up(KEY)

    names = ["send", "pause", "resume", "offence", "want", "hint", "drop"]
    assert names == [call[0] for call in network.calls]
    connections.on_notice(KEY, "net/DUPLICATE_IDENTITY", "twice")
    assert {"net/DUPLICATE_IDENTITY": "twice"} == connections.notices


def test_the_second_process_of_an_identity_knows_it() -> None:
    """Who refuses us, or ends our link, because of another process with our key is remembered until it takes us."""
    connections, _, _ = made()
    changes: list[int] = []
    connections.on_change = lambda: changes.append(len(connections.twin_at))
    told, seen = fault(NET_DUPLICATE, told="live_from=a:1"), fault(NET_DUPLICATE, live_from="a:1")
    connections.on_refused(Refusal(fault=seen, node_key=b"s" * 32, address="a", direction=Direction.OUT))
    connections.on_refused(Refusal(fault=told, node_key=b"i" * 32, address="a", direction=Direction.IN))
    assert {} == connections.twin_at

    connections.on_refused(Refusal(fault=told, node_key=KEY, address="a", direction=Direction.OUT))
    connections.on_lost(b"l" * 32, told)
    assert {KEY: told, b"l" * 32: told} == connections.twin_at
    connections.on_peer(peer(KEY))
    assert {b"l" * 32: told} == connections.twin_at
    assert [0, 1, 2, 1] == changes


def test_invalid_flood_of_notices() -> None:
    """A peer that invents notices fills no memory; those that are known are still kept up to date."""
    connections, _, _ = made()
    for number in range(NOTICES_MAX + 10):
        connections.on_notice(KEY, f"net/{number}", "first")
    connections.on_notice(KEY, "net/0", "second")

    assert NOTICES_MAX == len(connections.notices)
    assert connections.notices["net/0"] == "second"


def test_a_failure_in_a_frame_reaches_whoever_stops_the_node() -> None:
    """The transport would swallow it, and a half-done node would go on."""
    failures: list[str] = []

    def guarded(call: Any) -> None:
        try:
            call()
        except AssertionError as error:
            failures.append(str(error))

    connections, _, replica = made(guarded=guarded)

    def broken(*_: Any) -> None:
        raise AssertionError("bug")

    replica.on_frame = replica.on_linked = replica.on_unlinked = broken
    connections.on_frame(KEY, Channel.BATCH, b"")
    connections.on_peer(peer(KEY))
    connections.on_lost(KEY, fault(NET_CLOSED))

    assert ["bug"] * 3 == failures
