"""A node without a state: what it waits for, whom it dials, and what it answers meanwhile."""

import asyncio
from pathlib import Path
from random import Random
from typing import Any

import pytest

from cccnode.cli.testnet_files import prepare
from cccnode.config import load
from cccnode.crypto.signing import SigningKey
from cccnode.home import Home
from cccnode.node import arriving
from cccnode.node.arriving import LINKS, LOOK_MS, SETTLE_MS, Arrival, arrive
from cccnode.node.connections import Connections
from cccnode.node.data import initialise, read_home_genesis, read_home_outline
from cccnode.node.members import nodes_of
from cccnode.node.restoring import head_of, origin_of
from cccnode.node.stateless import Stateless
from cccnode.telemetry import Metrics
from cccnode.types.errors import (
    BEHIND,
    NET_UNREACHABLE,
    NO_PEERS,
    NO_STATE,
    NODE_UNREGISTERED,
    POOL_NOT_READY,
    Fault,
    fault,
)
from genesis.bootstrap import INLINE_ACCOUNTS_MAX
from p2p.directory import Node
from p2p.frames import Channel
from p2p.peers import Direction, Refusal
from p2p.snapshots import ManifestReply, ManifestRequest, PieceReply, write_snapshot
from storage.files import RealDisk
from storage.leveldb import LevelDB
from storage.store import Store
from tests.node.support import FakeNetwork, peer

KEYS = [bytes((number,)) * 32 for number in range(40)]


class FakeRuntime:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now, self.rng, self.later = 0, Random(1), []

    def now_ms(self) -> int:
        return self.now

    def call_later(self, delay_ms: int, callback: Any) -> None:
        self.later.append((delay_ms, callback))


class FakeJoining:
    """Remembers its calls."""

    progress = None

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: self.calls.append((name, *arguments))


class Scene:
    """An arrival over made-up links."""

    def __init__(self) -> None:
        self.runtime, self.connections, self.network = FakeRuntime(), Connections(), FakeNetwork()
        self.over: list[int] = []
        self.arrival = Arrival(self.runtime, self.connections, lambda: self.over.append(self.runtime.now))  # type: ignore[arg-type]
        self.joining = self.arrival.joining = FakeJoining()  # type: ignore[assignment]
        self.connections.network, self.connections.replica = self.network, self.arrival  # type: ignore[assignment]

    def link(self, key: bytes, height: int = 0) -> None:
        self.network.infos.append(peer(key, height=height))
        self.connections.on_peer(self.network.infos[-1])

    def at(self, now: int, *, held: bool = False) -> bool:
        """Whether it is over after this moment."""
        self.runtime.now = now
        self.arrival.hold(held=held)
        return bool(self.over)


def test_nobody_is_there() -> None:
    """It waits a while for a first link, and then begins at genesis."""
    scene = Scene()

    assert not scene.at(LOOK_MS - 1)
    assert scene.at(LOOK_MS)


def test_the_others_are_not_far_ahead() -> None:
    """Soon after the first link it is known how far they are: with nothing to wait for it begins at genesis."""
    scene = Scene()
    scene.runtime.now = 500
    scene.link(KEYS[1])

    assert not scene.at(500 + SETTLE_MS - 1)
    assert scene.at(500 + SETTLE_MS)


def test_a_snapshot_is_coming() -> None:
    """As long as one is looked for or fetched it waits, however long that takes."""
    scene = Scene()
    scene.link(KEYS[1])

    assert not scene.at(10 * LOOK_MS, held=True)
    assert scene.at(10 * LOOK_MS + 1)


def test_links_serve_snapshots_only() -> None:
    """Who joins them hears of nodes and of answers; requests and other channels are for a node with a state."""
    scene = Scene()
    scene.link(KEYS[1])
    manifest, piece = ManifestReply(1, 0, 0, b"", ()), PieceReply(2, b"")
    for message in (manifest, piece, ManifestRequest(3, 0, 0, 0)):
        scene.connections.on_frame(KEYS[1], Channel.SNAPSHOT, write_snapshot(message))
    scene.connections.on_frame(KEYS[1], Channel.BLOCK, b"?")
    scene.connections.on_frame(KEYS[1], Channel.SNAPSHOT, b"\xc1")
    scene.connections.on_lost(KEYS[1], fault(NET_UNREACHABLE))
    refused = Refusal(fault=fault(NET_UNREACHABLE), node_key=KEYS[1], address="a", direction=Direction.OUT)
    scene.connections.on_refused(refused)

    assert [
        ("look",),
        ("offered", KEYS[1], manifest),
        ("came", KEYS[1], piece),
        ("forget", KEYS[1]),
    ] == scene.joining.calls
    assert ["offence"] == [name for name, *_ in scene.network.calls]


def _node(number: int) -> Node:
    return Node(node_key=KEYS[number], certificate=b"", addresses=(), organisation="", validator=number < 4)


def test_whom_it_dials() -> None:
    """Validators and some others; later again, as long as few answer, keeping those that do."""
    scene = Scene()
    scene.arrival.dial([_node(number) for number in range(40)], KEYS[0])
    (name, first) = scene.network.calls.pop()
    scene.link(KEYS[30])
    (_, again) = scene.runtime.later.pop()
    again()
    (_, second) = scene.network.calls.pop()
    for number in (1, 2):
        scene.link(KEYS[number])
    scene.runtime.later.pop()[1]()

    assert name == "want"
    assert {*KEYS[1:4]} <= {*first}
    assert KEYS[0] not in first
    assert len(first) == LINKS
    assert second[0] == KEYS[30]
    assert scene.network.calls == []


# When there is nothing to look for


def _peer_home(tmp_path: Path, *, accounts: int = INLINE_ACCOUNTS_MAX + 1, **settings: Any) -> Home:
    prepare(Home(tmp_path), validators=4, peers=1, accounts=accounts, settings=settings)
    return Home(tmp_path / "node4")


def _looks(home: Home, monkeypatch: pytest.MonkeyPatch, key: SigningKey | None = None) -> bool:
    """Whether a node of that home opens its ports to look for a snapshot."""
    opened: list[bool] = []

    async def assemble(*arguments: Any) -> None:
        opened.append(True)
        arguments[-1]()

    monkeypatch.setattr(arriving, "_assemble", assemble)

    async def whole() -> None:
        config = load(home, environment={}).config
        stopping: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        await arrive(
            config, read_home_outline(home.genesis_file), key or SigningKey(bytes(32)), lambda _: None, stopping
        )

    asyncio.run(whole())
    return bool(opened)


def test_a_large_genesis_is_spared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Accounts in an allocation file, no state yet: it looks first."""
    assert _looks(_peer_home(tmp_path), monkeypatch)


def test_a_small_genesis_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an allocation file the first state is there at once; snapshots are looked for beside the blocks."""
    assert not _looks(_peer_home(tmp_path, accounts=3), monkeypatch)


@pytest.mark.parametrize("setting", [{"storage.snapshot_behind": 0}, {"storage.engine": "memory"}])
def test_who_wants_none_gets_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: dict[str, Any]) -> None:
    """A node that is told never to begin at a snapshot, or that keeps its state in memory, builds the first state."""
    assert not _looks(_peer_home(tmp_path, **setting), monkeypatch)


def test_a_node_with_a_state_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A first state that is whole spares the looking; half of one, after a kill, does not."""
    home = _peer_home(tmp_path)
    genesis = read_home_genesis(home.genesis_file)
    depth = genesis.document.state_depth
    engine, disk = LevelDB(home.data / "state"), RealDisk(home.data)
    store = Store.open(disk, engine, chain=genesis.chain, node_id=b"n", depth=depth)
    engine.close()
    half = _looks(home, monkeypatch)
    engine = LevelDB(home.data / "state")
    store = Store.open(disk, engine, chain=genesis.chain, node_id=b"n", depth=depth)
    initialise(store, genesis)
    engine.close()

    assert half
    assert not _looks(home, monkeypatch)


def test_a_founder_begins_at_genesis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the validators of genesis begin nobody has anything."""
    home = _peer_home(tmp_path)
    nodes = nodes_of(head_of(read_home_outline(home.genesis_file)))
    founder = next(node.node_key for node in nodes if node.validator)

    class Key:
        public_key = founder

    assert not _looks(home, monkeypatch, Key())  # type: ignore[arg-type]


# What it answers


def _stateless(tmp_path: Path, scene: Scene) -> Stateless:
    home = _peer_home(tmp_path)
    home.data.mkdir(parents=True, exist_ok=True)
    return Stateless(
        connections=scene.connections,
        joining=scene.joining,  # type: ignore[arg-type]
        origin=origin_of(read_home_outline(home.genesis_file)),
        chain_name="ccc-demo",
        node_key=KEYS[0],
        organisation="org-04",
        metrics=Metrics(),
        data=home.data,
    )


def test_it_says_how_it_is(tmp_path: Path) -> None:
    """Nobody, then somebody who refuses, then somebody far ahead: never ready, and always with the reason."""
    scene = Scene()
    node = _stateless(tmp_path, scene)
    alone = [reason.spec for reason in node.status().reasons]
    scene.connections.on_refused(
        Refusal(fault=fault(NODE_UNREGISTERED), node_key=KEYS[1], address="a", direction=Direction.OUT)
    )
    refused = [reason.spec for reason in node.status().reasons]
    scene.link(KEYS[1], height=900)
    status = node.status()

    assert [alone[0], refused[0]] == [NO_PEERS, NODE_UNREGISTERED]
    assert [reason.spec for reason in status.reasons] == [BEHIND]
    assert (status.state, status.height, status.behind, status.peers) == ("catching_up", 0, 900, 1)
    assert len(status.validators) == 4
    assert [check.name for check in node.readiness() if check.failed] == ["behind"]
    assert [info.node_key for info in node.peers()] == [KEYS[1]]
    assert (node.dials(), node.evidence(), node.record().epoch) == ([], (), 0)


async def test_what_needs_a_state_must_wait(tmp_path: Path) -> None:
    """Every other question is refused by name, and a transaction like at any node that cannot take it."""
    node = _stateless(tmp_path, Scene())
    identity = bytes(32)
    asked = (
        lambda: node.tx_status(identity, None),
        lambda: node.transaction(identity),
        lambda: node.account_history(bytes(20), None, 1),
        lambda: node.header(1),
        lambda: node.block(1),
        lambda: node.receipts(1),
        node.applied_height,
        node.receipts_from,
        node.state,
        lambda: node.epoch_ends(0, 1),
        node.newest_anchor,
        lambda: node.prove_history(1, None),  # type: ignore[arg-type]
        node.observe,
    )
    for ask in asked:
        with pytest.raises(Fault) as found:
            ask()
        assert found.value.spec is NO_STATE
    for promise in (
        node.wait(identity, None, 1),
        node.prove_group(b"g", None, 1),
        node.prove_transaction(identity, 1),
        node.prove_events(1, 1),
        node.wait_applied(1, 1),
    ):
        with pytest.raises(Fault) as found:
            await promise
        assert found.value.spec is NO_STATE
    with pytest.raises(Fault) as found:
        await node.submit([b""])
    assert found.value.spec is POOL_NOT_READY
