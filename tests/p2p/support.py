"""Nodes on loopback with real TLS, and a handler that remembers what it was told and lets tests wait for it."""

import asyncio
import dataclasses
import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Self

import msgspec

from cccnode.types.errors import NET_FULL, Fault, fault
from p2p.addresses import split_address
from p2p.book import AddressBook
from p2p.directory import Directory, Identity, Node
from p2p.events import (
    Contact,
    DialFailed,
    Frame,
    Hangup,
    Hint,
    Linked,
    Punish,
    Registered,
    Send,
    Tick,
    Unlinked,
    Want,
)
from p2p.frames import Channel, Splitter, frames
from p2p.gossip import Gossip
from p2p.handshake import Self as Own
from p2p.handshake import hello
from p2p.messages import Role, read_link, write
from p2p.network import Network
from p2p.overlay import GossipConfig
from p2p.peers import Direction, PeerInfo, Refusal, Settings

CHAIN = bytes(range(32))
OTHER_CHAIN = bytes(32)
PATIENCE_S = 20.0
FAST = Settings(backoff_min_ms=5, backoff_max_ms=40, second_dial_ms=60, probe_ms=150, ping_ms=100, silence_ms=5_000)
CALM = dataclasses.replace(FAST, probe_ms=10_000)
"""For a link that is alive: it answers at once, but a busy machine may be slow."""


def identity(number: int) -> Identity:
    """The transport identity number `number`."""
    return Identity(bytes([number]) * 32)


def row(who: Identity, *, validator: bool = True, addresses: Iterable[str] = (), organisation: str = "") -> Node:
    """A registry row."""
    return Node(
        node_key=who.node_key,
        certificate=who.certificate,
        addresses=tuple(addresses),
        organisation=organisation or who.node_key.hex()[:4],
        validator=validator,
    )


def made_directory(who: Identity, nodes: Iterable[Node] = (), *, chain: bytes = CHAIN, **options) -> Directory:
    """A directory of the test network; a missing clock is the real one."""
    return Directory(who, nodes, chain=chain, **{key: value for key, value in options.items() if value is not None})


@dataclass
class Recorder:
    """A p2p.peers.Handler that remembers."""

    peers: list[PeerInfo] = field(default_factory=list)
    lost: list[tuple[bytes, Fault]] = field(default_factory=list)
    frames: list[tuple[bytes, Channel, bytes]] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    notices: list[tuple[bytes, str, str]] = field(default_factory=list)
    on: Callable[[bytes, Channel, bytes], None] | None = None
    _waiting: list[tuple[Callable[[], object], asyncio.Future[None]]] = field(default_factory=list)

    def on_peer(self, peer):
        self.peers.append(peer)
        self._look()

    def on_lost(self, peer, reason):
        self.lost.append((peer, reason))
        self._look()

    def on_frame(self, peer, channel, payload):
        self.frames.append((peer, channel, payload))
        if self.on:
            self.on(peer, channel, payload)
        self._look()

    def on_refused(self, refusal):
        self.refused.append(refusal)
        self._look()

    def on_notice(self, peer, name, text):
        self.notices.append((peer, name, text))
        self._look()

    def names(self):
        return [refusal.fault.spec.name for refusal in self.refused]

    async def until(self, true: Callable[[], object]) -> None:
        """Wait until `true()` holds; looked at after every call of the network."""
        if true():
            return
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((true, future))
        async with asyncio.timeout(PATIENCE_S):
            await future

    def _look(self):
        for entry in list(self._waiting):
            if entry[0]():
                self._waiting.remove(entry)
                if not entry[1].done():
                    entry[1].set_result(None)


class Town:
    """Networks that a test makes; all are stopped at its end."""

    def __init__(self) -> None:
        self.networks: list[Network] = []
        self.drivers: list[Driver] = []

    async def node(
        self,
        who: Identity,
        nodes: Iterable[Node],
        *,
        chain: bytes = CHAIN,
        settings: Settings = FAST,
        listen: str | None = "127.0.0.1:0",
        height: int = 0,
        wall_ms=None,
        directory: Directory | None = None,
        start: bool = True,
        **options,
    ) -> tuple[Network, Recorder]:
        """A started node with its recorder."""
        recorder = Recorder()
        network = Network(
            identity=who,
            chain=chain,
            directory=directory or made_directory(who, nodes, chain=chain, wall_ms=wall_ms),
            handler=recorder,
            listen=listen,
            rng=random.Random(who.node_key),
            settings=settings,
            wall_ms=wall_ms,
            **options,
        )
        network.set_height(height)
        self.networks.append(network)
        if start:
            await network.start()
        return network, recorder

    async def driven(self, who: Identity, nodes: Iterable[Node], **options) -> tuple[Network, "Driver"]:
        """A started node whose gossip runs."""
        directory = made_directory(who, nodes)
        network, _ = await self.node(who, nodes, directory=directory, start=False, **options)
        driver = Driver(network, who, nodes, directory.book)
        self.drivers.append(driver)
        network._handler = driver
        await network.start()
        driver.tell(Tick())
        return network, driver

    async def close(self) -> None:
        for driver in self.drivers:
            driver.stop()
        for network in self.networks:
            await network.stop()
        await asyncio.sleep(0)


async def eventually(true: Callable[[], object]) -> None:
    """Let the loop turn until `true()` holds, where no callback tells of it."""
    async with asyncio.timeout(PATIENCE_S):
        while not true():  # noqa: ASYNC110 - turns of the loop, no time
            await asyncio.sleep(0)


def in_town(scenario: Callable[[Town], Awaitable[None]], loop_factory=None) -> None:
    """Run a scenario on a new loop; fail on anything that the loop's exception handler hears of."""
    problems: list[object] = []

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
        town = Town()
        try:
            await scenario(town)
        finally:
            await town.close()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(run())
    assert not problems


async def pair(town: Town, **options) -> tuple[Network, Recorder, Network, Recorder]:
    """Two validators that know each other, linked; `a` dialled."""
    a, b = sorted((identity(1), identity(2)), key=lambda who: who.node_key)
    network_b, recorder_b = await town.node(b, [row(a), row(b)], **options)
    network_a, recorder_a = await town.node(a, [row(a), row(b, addresses=[network_b.address])], **options)
    await recorder_a.until(lambda: recorder_a.peers)
    await recorder_b.until(lambda: recorder_b.peers)
    return network_a, recorder_a, network_b, recorder_b


class Driver(Recorder):
    """A recorder that also joins a network with its gossip, as the driver of a node does."""

    def __init__(self, network: Network, who: Identity, nodes: Iterable[Node], book: AddressBook) -> None:
        super().__init__()
        self.network = network
        self.gossip = Gossip(GossipConfig(node_key=who.node_key), random.Random(who.node_key), self._now_ms(), book)
        self._timer: asyncio.TimerHandle | None = None
        self.register(nodes)

    def register(self, nodes: Iterable[Node]) -> None:
        contacts = [Contact(node_key=n.node_key, validator=n.validator, addresses=n.addresses) for n in nodes]
        self.tell(Registered(contacts=tuple(contacts)))

    def on_peer(self, peer):
        super().on_peer(peer)
        self.tell(Linked(peer=peer.node_key, validator=peer.validator))

    def on_lost(self, peer, reason):
        super().on_lost(peer, reason)
        self.tell(Unlinked(peer=peer))

    def on_frame(self, peer, channel, payload):
        super().on_frame(peer, channel, payload)
        self.tell(Frame(peer=peer, channel=channel, payload=payload))

    def on_refused(self, refusal):
        super().on_refused(refusal)
        if refusal.direction is Direction.OUT:
            self.tell(DialFailed(peer=refusal.node_key, alternatives=refusal.alternatives))

    def tell(self, event) -> None:
        for effect in self.gossip.handle(event, self._now_ms()):
            match effect:
                case Send(peer=peer, channel=channel, message=message):
                    self.network.send(peer, channel, write(message))
                case Want(keys=keys):
                    self.network.want(keys)
                case Hint(node_key=key, address=address):
                    self.network.hint(key, address)
                case Hangup(peer=peer):
                    self.network.drop(peer, fault(NET_FULL, why="making room"))
                case Punish(peer=peer, offence=offence, detail=detail):
                    self.network.offence(peer, offence, detail)
        if self._timer:
            self._timer.cancel()
        due = self.gossip.deadline_ms(self._now_ms())
        if due is not None and self.network._running:
            wait_ms = max(1, due - self._now_ms())
            self._timer = asyncio.get_running_loop().call_later(wait_ms / 1000, self.tell, Tick())

    def stop(self) -> None:
        if self._timer:
            self._timer.cancel()

    def _now_ms(self) -> int:
        return int(asyncio.get_running_loop().time() * 1000)


class Raw:
    """A node made by hand: TLS by the rules, and then whatever the test says."""

    def __init__(self, who: Identity, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.who, self.reader, self.writer = who, reader, writer
        self._splitter = Splitter()
        self._heard = []

    @classmethod
    async def dial(cls, who: Identity, address: str, **options: Any) -> Self:
        host, port = split_address(address)
        context = made_directory(who).client_context
        reader, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname="x", **options)
        return cls(who, reader, writer)

    async def greet(self, *, chain: bytes = CHAIN, **changes: Any) -> Any:
        """Say HELLO; return the answer."""
        own = Own(node_key=self.who.node_key, chain=chain, role=Role.PEER, height=0, listen="")
        message = msgspec.structs.replace(hello(own, wall_ms=0, nonce=bytes(16)), **changes)
        self.say(Channel.LINK, write(message))
        return await self.hear_link()

    def say(self, channel: Channel, payload: bytes) -> None:
        self.writer.writelines(frames(channel, payload))

    async def hear(self):
        """The next payload; None at the end of the stream."""
        async with asyncio.timeout(PATIENCE_S):
            while not self._heard:
                data = await self.reader.read(65_536)
                if not data:
                    return None
                self._heard += feed(self._splitter, data)
        return self._heard.pop(0)

    async def hear_link(self, kind=None):
        """The next LINK message (of a kind)."""
        while (heard := await self.hear()) is not None:
            channel, payload = heard
            if channel is Channel.LINK and (kind is None or isinstance(read_link(payload), kind)):
                return read_link(payload)
        return None

    def close(self) -> None:
        self.writer.transport.abort()


def feed(splitter, data):
    """Give a splitter bytes as they come from a socket, in portions that it has room for."""
    done = []
    while data:
        room = splitter.room()
        portion, data = data[: len(room)], data[len(room) :]
        room[: len(portion)] = portion
        done += splitter.filled(len(portion))
    return done
