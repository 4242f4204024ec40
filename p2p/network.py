"""The network of one node: listens, dials, shakes hands, keeps links alive, and carries payloads.

The mesh of validators is kept by itself; other links are kept as the user `want`s them (gossip decides which).  The
user sees peers by node key, payloads by channel, refusals by name.  All of it runs on one asyncio (or uvloop) loop.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Final

from cccnode.types.errors import (
    NET_CLOSED,
    NET_DUPLICATE,
    NET_MALFORMED,
    NET_MISBEHAVED,
    NET_OVERSIZE,
    NET_SILENT,
    NODE_UNREGISTERED,
    Fault,
    fault,
)
from cccnode.types.validators import node_id
from p2p import handshake
from p2p.connection import Link
from p2p.dialling import Dialling
from p2p.directory import Directory, Identity, Node
from p2p.door import Door
from p2p.frames import Channel, frames
from p2p.messages import (
    ALTERNATIVES_MAX,
    Ack,
    Hello,
    Known,
    Notice,
    Pause,
    Ping,
    Pong,
    Reject,
    Resume,
    Role,
    read_link,
    write,
)
from p2p.peers import Counters, DialInfo, Direction, Handler, PeerInfo, Refusal, Settings, Traffic
from p2p.scores import Offence, Scores

CROSSED_MS: Final = 5_000
"""So long after two dials crossed, a peer's word of a second connection is about our own."""
BACKLOG: Final = 128
"""Connections the kernel holds for us to accept."""


@dataclass(slots=True)
class _Live:
    """State of a link that is up."""

    node_key: bytes
    since_ms: int
    height: int
    listen: str
    rtt_ms: int | None = None
    skew_ms: int | None = None
    ping_number: int = 0
    pinged_ms: int | None = None
    """When the unanswered ping left; None if all are answered."""
    next_ping_ms: int = 0
    contender: "Link | None" = None
    """A second connection of this identity, which waits until this one is probed."""
    contender_hello: Hello | None = None
    contender_timer: asyncio.TimerHandle | None = None


class Network:
    """Links to the other nodes of a chain."""

    def __init__(
        self,
        *,
        identity: Identity,
        chain: bytes,
        directory: Directory,
        handler: Handler,
        listen: str | None,
        rng: random.Random,
        advertise: str = "",
        settings: Settings | None = None,
        wall_ms: Callable[[], int] | None = None,
    ) -> None:
        """A network that does nothing until `start`.

        `listen` is `host:port` (port 0: any free one) or None; `advertise` is what HELLO says if that is not it.
        """
        self._identity = identity
        self._chain = chain
        self._directory = directory
        self._handler = handler
        self._listen = listen
        self._advertise = advertise
        self._settings = settings or Settings()
        self._rng = rng
        self._wall_ms = wall_ms or (lambda: time.time_ns() // 1_000_000)
        self._dialling = Dialling(own_key=identity.node_key, settings=self._settings, chance=rng)
        self._scores = Scores()
        self._wanted: frozenset[bytes] = frozenset()
        self._height = 0
        self._links: dict[bytes, Link] = {}
        self._crossed: dict[bytes, int] = {}
        """When an own dial last ended because the other side's was faster."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._running = False
        self._past: dict[Channel, Traffic] = {channel: Traffic() for channel in Channel}
        self._dials = self._dial_failures = self._accepted = 0
        self._refusals: Counter[str] = Counter()
        self._losses: Counter[str] = Counter()
        self.address = ""
        """Where this node listens, the port being the real one."""

    # Life

    async def start(self) -> None:
        """Listen and begin to dial.

        Raises:
            Fault: PORT_IN_USE; CONFIG_INVALID, the address cannot be listened on.
        """
        self._loop = asyncio.get_running_loop()
        self._quiet = asyncio.Event()
        self._running = True
        self._door = Door(self, self._directory, self._settings, self._wall_ms)
        if self._listen is not None:
            self.address = await self._door.listen(self._listen)
        self._aim()
        self._beat()

    async def stop(self) -> None:
        """Say goodbye on every link and leave nothing behind.  A second call does nothing."""
        if not self._running:
            return
        self._running = False
        for timer in self._timers.values():
            timer.cancel()
        reason = fault(NET_CLOSED, why="the node stops")
        self._door.close(reason)
        for link in list(self._links.values()):
            link.end(reason, farewell=True)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for _ in range(3):  # cancelled transports close their sockets within the next turns
            await asyncio.sleep(0)
        # Every ending link is aborted after a second at the latest.
        while self._links or self._door.shaking:
            self._quiet.clear()
            await self._quiet.wait()

    # Use

    def send(self, peer: bytes, channel: Channel, payload: bytes) -> bool:
        """Queue a payload for a peer; False if it is not linked or its queue is full.

        Raises:
            Fault: NET_OVERSIZE, the payload is larger than its channel allows.
        """
        link = self._links.get(peer)
        return link is not None and link.send(channel, payload)

    def broadcast(self, peers: Iterable[bytes], channel: Channel, payload: bytes) -> int:
        """Queue one payload for several peers, framed once; return how many took it.

        Raises:
            Fault: NET_OVERSIZE, the payload is larger than its channel allows.
        """
        pieces = frames(channel, payload)
        links = self._links
        return sum(links[peer].enqueue(channel, pieces, len(payload)) for peer in peers if peer in links)

    def want(self, keys: Iterable[bytes]) -> None:
        """Set the complete set of nodes to stay linked with, beside the mesh of validators."""
        self._wanted = frozenset(keys)
        self._aim()

    def hint(self, node_key: bytes, address: str) -> None:
        """Remember a further address of a registered node.  A wrong one does no harm: the key decides."""
        self._directory.hint(node_key, address)

    def set_nodes(self, nodes: Iterable[Node]) -> None:
        """The registry changed: trust, mesh and links follow at once."""
        self._directory.set_nodes(nodes)
        registered = frozenset(self._directory.nodes)
        self._scores.forget(registered)
        self._crossed = {key: when for key, when in self._crossed.items() if key in registered}
        for key in sorted(self._links.keys() - registered):
            self.drop(key, fault(NODE_UNREGISTERED, node_id=node_id(key), at_height=self._height))
        self._aim()

    def set_height(self, height: int) -> None:
        """What HELLO and pings say from now on."""
        self._height = height

    def pause(self, peer: bytes, channel: Channel) -> None:
        """Take no more payloads of this channel from this peer; it is told to stop, what still comes is held back."""
        assert channel is not Channel.LINK, "keepalive cannot wait"
        if link := self._links.get(peer):
            link.pause(channel)

    def resume(self, peer: bytes, channel: Channel) -> None:
        """Take payloads of this channel again."""
        if link := self._links.get(peer):
            link.resume(channel)

    def offence(self, peer: bytes, offence: Offence, detail: str = "") -> None:
        """Count an offence of a peer; at the limit it is dropped and kept out for a while."""
        now = self.now_ms()
        validator = self._directory.is_validator(peer)
        if self._directory.node(peer) is None:
            return
        if self._scores.offence(peer, offence, validator=validator, now_ms=now):
            seen = ", ".join(f"{name}: {count}" for name, count in sorted(self._scores.offences(peer).items()))
            for_ms = self._scores.banned_ms(peer, now)
            self.drop(
                peer, fault(NET_MISBEHAVED, node_id=node_id(peer), offences=seen, last=detail or "-", for_ms=for_ms)
            )

    def drop(self, peer: bytes, reason: Fault) -> None:
        """End a link and tell the peer why.  If the mesh or `want` holds the node, it is dialled again."""
        if link := self._links.get(peer):
            link.end(reason, farewell=True)

    def is_linked(self, peer: bytes) -> bool:
        """Whether a link to that node is up."""
        link = self._links.get(peer)
        return link is not None and not link.closing

    def peers(self) -> list[PeerInfo]:
        """The live links, by node key."""
        return [
            self._info(link, link.state) for _, link in sorted(self._links.items()) if isinstance(link.state, _Live)
        ]

    def dials(self) -> list[DialInfo]:
        """The nodes that should be linked and are not."""
        now = self.now_ms()
        return [
            DialInfo(
                node_key=key,
                organisation=node.organisation if node else "",
                validator=node.validator if node else False,
                addresses=self._directory.addresses(key),
                attempts=target.attempts,
                last_fault=target.last_fault,
                next_try_ms=None if target.next_ms is None else max(0, target.next_ms - now),
            )
            for key, target in self._dialling.targets.items()
            if key not in self._links
            for node in [self._directory.node(key)]
        ]

    def counters(self) -> Counters:
        """Traffic and events since the start."""
        channels = dict(self._past)
        peers = {}
        for key, link in sorted(self._links.items()):
            peers[key] = {channel: link.traffic[channel].plus(Traffic()) for channel in Channel}
            channels = {channel: channels[channel].plus(link.traffic[channel]) for channel in Channel}
        return Counters(
            channels=channels,
            peers=peers,
            dials=self._dials,
            dial_failures=self._dial_failures,
            accepted=self._accepted,
            refusals=dict(self._refusals),
            losses=dict(self._losses),
        )

    def now_ms(self) -> int:
        """Monotonic time of the loop."""
        return int(self._loop.time() * 1000)

    # Listening

    # Dialling

    def _aim(self) -> None:
        if not self._running:
            return
        own = self._identity.node_key
        mesh = [key for key, node in self._directory.nodes.items() if node.validator and key != own]
        self._dialling.aim(
            mesh=mesh if self._directory.is_validator(own) else (),
            wanted=[key for key in self._wanted if self._directory.node(key)],
            linked=self._links,
            now_ms=self.now_ms(),
        )
        self._plan()

    def _plan(self) -> None:
        """Set the timer for the next dial that is due."""
        if timer := self._timers.pop("dial", None):
            timer.cancel()
        due = self._dialling.next_ms
        if due is not None and self._running:
            self._timers["dial"] = self._loop.call_later(max(0, due - self.now_ms()) / 1000, self._dial_due)

    def _dial_due(self) -> None:
        for key in self._dialling.due(self.now_ms()):
            self.spawn(self._dial(key))
        self._plan()

    async def _dial(self, node_key: bytes) -> None:
        """One attempt; whatever comes of it is noted for the next."""
        self._dials += 1
        addresses = self._directory.addresses(node_key)
        target = self._dialling.targets.get(node_key)
        address = addresses[(target.attempts if target else 0) % len(addresses)] if addresses else ""
        link = Link(self, self._loop, direction=Direction.OUT, address=address)
        try:
            await self._door.dial(link, node_key, address)
        except Fault as reason:
            link.end(reason, farewell=False)
            self._dial_failed(link, node_key, reason)

    def _dial_failed(self, link: Link, node_key: bytes, reason: Fault) -> None:
        if node_key in self._links:  # the other side's dial was faster: this is how one of two ends
            self._crossed[node_key] = self.now_ms()
            return
        self._dial_failures += 1
        self._dialling.failed(node_key, reason, self.now_ms())
        self._plan()
        alternatives: tuple[tuple[bytes, str], ...] = ()
        if isinstance(link.state, Reject):
            alternatives = tuple((known.node_key, known.address) for known in link.state.addresses)
        self._refused(link, reason, node_key, alternatives)

    # What links tell (connection.Owner)

    def link_opened(self, link: Link) -> None:
        """TLS is done."""
        self._door.opened(link)

    def link_frame(self, link: Link, channel: Channel, payload: bytes) -> None:
        """A payload, before or after the link is up."""
        live = link.state
        if not isinstance(live, _Live):
            self._door.frame(link, channel, payload)
        elif channel is Channel.LINK:
            self._on_link_message(link, live, payload)
        else:
            self._handler.on_frame(live.node_key, channel, payload)

    def link_closed(self, link: Link, reason: Fault, error: Exception | None) -> None:
        """The connection is gone."""
        if isinstance(link.state, _Live):
            self._lost(link, link.state, reason)
        else:
            self._door.closed(link, reason, error)
        for channel, traffic in zip(Channel, link.traffic, strict=True):
            self._past[channel] = self._past[channel].plus(traffic)
        self._quiet.set()

    # What the door asks (door.House)

    def own(self) -> handshake.Self:
        """What this node says of itself now."""
        key = self._identity.node_key
        role = Role.VALIDATOR if self._directory.is_validator(key) else Role.PEER
        return handshake.Self(
            node_key=key,
            chain=self._chain,
            role=role,
            height=self._height,
            listen=self._advertise or self.address,
        )

    def facts(self, tls_key: bytes) -> handshake.Facts:
        """What decides on a HELLO of that key."""
        directory = self._directory
        validator = directory.is_validator(tls_key)
        own_validator = directory.is_validator(self._identity.node_key)
        settings = self._settings
        return handshake.Facts(
            own=self.own(),
            tls_key=tls_key,
            registered=directory.node(tls_key) is not None,
            validator=validator,
            linked=self._own_dial_wins(tls_key),
            banned_ms=self._scores.banned_ms(tls_key, self.now_ms()),
            peer_links=sum(not directory.is_validator(key) for key in self._links if key != tls_key),
            peer_links_max=settings.validator_peers_max if own_validator else settings.peer_links_max,
        )

    def _own_dial_wins(self, node_key: bytes) -> bool:
        """Two nodes may dial each other in the same moment: of the two connections the lower key's is kept."""
        return self._identity.node_key < node_key and self._door.is_dialling(node_key)

    def welcome(self, link: Link, message: Hello) -> None:
        """A HELLO passed all checks: the link is up, unless this identity has one already."""
        if first := self._links.get(message.node_key):
            self._contest(first, link, message)
            return
        self._accepted += 1
        link.send(Channel.LINK, write(handshake.ack(message, self.own(), wall_ms=self._wall_ms())))
        self.establish(link, message.node_key, height=message.height, listen=message.listen)

    def alternatives(self) -> tuple[Known, ...]:
        """Linked non-validators that listen: they have room for more."""
        live = [link.state for _, link in sorted(self._links.items()) if isinstance(link.state, _Live)]
        known = [Known(state.node_key, state.listen) for state in live if state.listen]
        peers = [entry for entry in known if not self._directory.is_validator(entry.node_key)]
        return tuple(peers[:ALTERNATIVES_MAX])

    def establish(self, link: Link, node_key: bytes, *, height: int, listen: str) -> None:
        """Both sides agreed: the link is up."""
        self._door.settled(link)
        live = _Live(node_key, self.now_ms(), height, listen)
        link.state = live
        self._links[node_key] = link
        self._dialling.linked(node_key)
        if listen:
            self._directory.hint(node_key, listen)
        self._ping(link, live)
        self._handler.on_peer(self._info(link, live))

    def refused(self, link: Link, reason: Fault) -> None:
        """A connection that another made did not become a link."""
        self._refused(link, reason, link.peer)

    # Live links

    def _contest(self, link: Link, contender: Link, message: Hello) -> None:
        """A second connection of a live identity: refused if the first answers a probe, else it takes its place."""
        live = link.state
        assert isinstance(live, _Live), "established links only"
        if live.contender is not None:
            self._door.refuse(
                contender, fault(NET_DUPLICATE, node_id=node_id(live.node_key), address=contender.address)
            )
            return
        live.contender, live.contender_hello = contender, message
        silent = fault(NET_SILENT, why="another connection of this node came, and this one did not answer")
        seconds = self._settings.probe_ms / 1000
        live.contender_timer = self._loop.call_later(seconds, lambda: link.end(silent, farewell=False))
        self._ping(link, live)

    def _keep(self, link: Link, live: _Live) -> None:
        """The first connection answered: both sides learn of the second."""
        contender = live.contender
        if contender is None or live.contender_timer is None:
            return
        live.contender_timer.cancel()
        live.contender = live.contender_hello = live.contender_timer = None
        if contender.closing:
            return
        text = f"a second connection of node {node_id(live.node_key).hex()} came from {contender.address}"
        link.tell(Notice(NET_DUPLICATE.name, text))
        self._door.refuse(contender, fault(NET_DUPLICATE, node_id=node_id(live.node_key), live_from=link.address))

    def _on_link_message(self, link: Link, live: _Live, payload: bytes) -> None:
        try:
            message = read_link(payload)
        except Fault as reason:
            link.end(reason, farewell=True)
            return
        match message:
            case Ping(number=number, height=height):
                live.height = max(live.height, height)
                link.tell(Pong(number, self._wall_ms(), self._height))
            case Pong():
                self._on_pong(link, live, message)
            case Pause(channel=channel):
                link.stop_channel(Channel(channel))
            case Resume(channel=channel):
                link.open_channel(Channel(channel))
            case Reject():
                link.end(handshake.told(message), farewell=False)
            case Notice():
                self._on_notice(live, message)
            case Hello() | Ack():
                link.end(fault(NET_MALFORMED, why="a handshake on a live link"), farewell=True)

    def _on_notice(self, live: _Live, notice: Notice) -> None:
        """Tell the user, unless the second connection that the peer reports was our own dial."""
        own_dial = (
            self._door.is_dialling(live.node_key) or self.now_ms() < self._crossed.get(live.node_key, 0) + CROSSED_MS
        )
        if not (own_dial and notice.name == NET_DUPLICATE.name):
            self._handler.on_notice(live.node_key, notice.name, notice.text)

    def _ping(self, link: Link, live: _Live) -> None:
        now = self.now_ms()
        live.ping_number += 1
        live.pinged_ms = now
        live.next_ping_ms = now + self._settings.ping_ms
        link.tell(Ping(live.ping_number, self._wall_ms(), self._height))

    def _on_pong(self, link: Link, live: _Live, pong: Pong) -> None:
        if pong.number != live.ping_number or live.pinged_ms is None:
            return
        live.rtt_ms = self.now_ms() - live.pinged_ms
        live.skew_ms = pong.wall_ms + live.rtt_ms // 2 - self._wall_ms()
        live.height = max(live.height, pong.height)
        live.pinged_ms = None
        self._keep(link, live)

    def _beat(self) -> None:
        """Find dead links, ping the others; once a second or oftener."""
        settings, now = self._settings, self.now_ms()
        for link in list(self._links.values()):
            live = link.state
            if not isinstance(live, _Live) or link.closing:
                continue
            blocked_ms = now - link.blocked_ms if link.blocked_ms is not None else 0
            silent_ms = now - link.heard_ms if link.reading else 0
            if max(blocked_ms, silent_ms) > settings.silence_ms:
                why = "takes nothing" if blocked_ms > settings.silence_ms else "says nothing"
                link.end(fault(NET_SILENT, node_id=node_id(live.node_key), why=why), farewell=False)
            elif now >= live.next_ping_ms:
                self._ping(link, live)
        self._timers["beat"] = self._loop.call_later(min(settings.ping_ms, 1_000) / 1000, self._beat)

    def _lost(self, link: Link, live: _Live, reason: Fault) -> None:
        self._losses[reason.spec.name] += 1
        self._scores_at_end(link, reason)
        contender, message = live.contender, live.contender_hello
        if live.contender_timer is not None:
            live.contender_timer.cancel()
        if self._links.get(live.node_key) is link:
            del self._links[live.node_key]
        self._dialling.lost(live.node_key, reason, self.now_ms())
        self._plan()
        self._handler.on_lost(live.node_key, reason)
        if contender is not None and message is not None and not contender.closing:
            self._door.consider(contender, message)

    def _scores_at_end(self, link: Link, reason: Fault) -> None:
        """A link that broke on unreadable bytes counts against its peer."""
        ours = "told" not in reason.values
        if link.peer is None or not ours or self._directory.node(link.peer) is None:
            return
        for spec, offence in ((NET_MALFORMED, Offence.MALFORMED), (NET_OVERSIZE, Offence.OVERSIZE)):
            if reason.spec is spec:
                validator = self._directory.is_validator(link.peer)
                self._scores.offence(link.peer, offence, validator=validator, now_ms=self.now_ms())

    # Small things

    def _info(self, link: Link, live: _Live) -> PeerInfo:
        node = self._directory.node(live.node_key)
        return PeerInfo(
            node_key=live.node_key,
            organisation=node.organisation if node else "",
            validator=node.validator if node else False,
            address=link.address,
            direction=link.direction,
            rtt_ms=live.rtt_ms,
            clock_skew_ms=live.skew_ms,
            height=live.height,
            queued_bytes=sum(link.queued),
            connected_ms=self.now_ms() - live.since_ms,
            paused=link.stopped,
            listen=live.listen,
        )

    def _refused(
        self,
        link: Link,
        reason: Fault,
        node_key: bytes | None = None,
        alternatives: tuple[tuple[bytes, str], ...] = (),
    ) -> None:
        self._refusals[reason.spec.name] += 1
        self._handler.on_refused(
            Refusal(
                fault=reason,
                node_key=node_key,
                address=link.address,
                direction=link.direction,
                alternatives=alternatives,
            )
        )

    def spawn(self, work: Coroutine[None, None, None]) -> None:
        """Run a task that ends with the network."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        """A task that fails is a mistake of ours: the loop's exception handler (the node's) hears of it."""
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._loop.call_exception_handler({"message": "p2p task failed", "exception": error, "task": task})
