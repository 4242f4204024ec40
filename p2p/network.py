"""The network of one node: listens, dials, shakes hands, keeps links alive, and carries payloads.

The mesh of validators is kept by itself; other links are kept as the user `want`s them (gossip decides which).  The
user sees peers by node key, payloads by channel, refusals by name.  All of it runs on one asyncio (or uvloop) loop.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Final

from cccnode.types.errors import (
    NET_CLOSED,
    NET_CROSSED,
    NET_DUPLICATE,
    NET_MALFORMED,
    NET_MISBEHAVED,
    NET_OVERSIZE,
    NODE_UNREGISTERED,
    Fault,
    fault,
)
from cccnode.types.validators import node_id
from p2p import handshake
from p2p.addresses import is_somewhere
from p2p.connection import Link
from p2p.dialling import Dialling
from p2p.directory import Directory, Identity, Node
from p2p.door import Door
from p2p.frames import Channel, frames
from p2p.heard import word_at_door, word_at_end
from p2p.keeping import Contender, Keeping, Live
from p2p.messages import ALTERNATIVES_MAX, PROGRAM_CHARS_MAX, Ack, Hello, Known, Notice, Reject, Role, write
from p2p.peers import (
    Counters,
    DialInfo,
    Direction,
    Handler,
    Heard,
    LastWord,
    PeerInfo,
    Refusal,
    Settings,
    Traffic,
)
from p2p.scores import Offence, Scores

CROSSED_MS: Final = 5_000
"""So long after two dials crossed, a peer's word of a second connection is about our own."""


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
        advertise: Iterable[str] = (),
        program: str = "",
        settings: Settings | None = None,
        wall_ms: Callable[[], int] | None = None,
    ) -> None:
        """A network that does nothing until `start`.

        `listen` is `host:port` (port 0: any free one) or None; `advertise` is where others can dial this node if that
        is not it, at most four addresses, the first of them in HELLO.
        """
        self._identity = identity
        self._chain = chain
        self._directory = directory
        self._handler = handler
        self._listen = listen
        self._advertise = tuple(advertise)
        self._program = program[:PROGRAM_CHARS_MAX]
        self._settings = settings or Settings()
        self._rng = rng
        self._wall_ms = wall_ms or (lambda: time.time_ns() // 1_000_000)
        self._dialling = Dialling(own_key=identity.node_key, settings=self._settings, chance=rng)
        self._scores = Scores()
        self._wanted: frozenset[bytes] = frozenset()
        self.height = 0
        """What HELLO and pings say; see `set_height`."""
        self._keeping = Keeping(self, self._settings, self._wall_ms)
        self._links = self._keeping.links
        self._tries: set[bytes] = set()
        """Nodes that are being dialled; until what came of it is noted."""
        self._crossed: dict[bytes, int] = {}
        """When an own dial last ended because the other side's was faster, and it may have probed us for it."""
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
            Fault: PORT_IN_USE; CONFIG_INVALID, the address cannot be listened on, or nobody can dial an advertised one.
        """
        self._loop = asyncio.get_running_loop()
        self._quiet = asyncio.Event()
        if self._advertise:
            self.advertise(self._advertise)
        self._running = True
        self._door = Door(self, self._directory, self._settings, self._wall_ms)
        if self._listen is not None:
            self.address = await self._door.listen(self._listen)
        self.advertise(self._advertise)
        self._aim()
        self._beat()

    async def stop(self, reason: Fault | None = None) -> None:
        """Say goodbye on every link, and why, and leave nothing behind.  A second call does nothing.

        All of the values of `reason` are told.
        """
        if not self._running:
            return
        self._running = False
        for timer in self._timers.values():
            timer.cancel()
        self._keeping.stop()
        reason = reason or fault(NET_CLOSED, why="the node stops")
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
        for key in sorted(self._links):
            if not self._directory.admits(key):
                self.drop(key, self._unregistered(key))
        self._aim()

    def set_height(self, height: int) -> None:
        """What HELLO and pings say from now on."""
        self.height = height

    def advertise(self, addresses: Iterable[str]) -> None:
        """Say from now on that this node can be dialled at these; at none given, where it listens.

        Gossip spreads it within seconds; nobody has to be connected.

        Raises:
            Fault: CONFIG_INVALID, too many of them, or one that nobody can dial.
        """
        self._advertise = said = tuple(addresses)
        if not said and self.address and is_somewhere(self.address):
            said = (self.address,)
        self._directory.book.advertise(said)

    def set_report(self, raw: bytes) -> None:
        """Tell every peer how this node is: at once if that changed (at most five times a second), else repeat it.

        An unchanged report is repeated at most every two seconds, when this is called.  Who links later gets the last.

        Raises:
            Fault: NET_OVERSIZE, more than 1 KiB.
        """
        self._keeping.set_report(raw)

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
        if not self._directory.admits(peer):
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
        return [self._info(link, live) for link, live in self._keeping.live()]

    def reports(self) -> Mapping[bytes, Heard]:
        """What nodes said last of how they are, also such as are gone; a view."""
        return self._keeping.reports.items

    def last_words(self) -> Mapping[bytes, LastWord]:
        """Why nodes went, or were not let in; it stays when they are back.  A view."""
        return self._keeping.words.items

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

    # Dialling

    def _aim(self) -> None:
        if not self._running:
            return
        own = self._identity.node_key
        mesh = [key for key, node in self._directory.nodes.items() if node.validator and key != own]
        self._dialling.aim(
            mesh=mesh if self._directory.is_validator(own) else (),
            wanted=[*(key for key in self._wanted if self._directory.admits(key)), *self._contacts()],
            linked=self._links,
            now_ms=self.now_ms(),
        )
        self._plan()

    def _contacts(self) -> Iterable[bytes]:
        """Nodes that the operator named, as long as this one is linked with no other."""
        contacts = self._directory.contacts
        return () if self._links.keys() - contacts.keys() else contacts

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
        self._tries.add(node_key)
        try:
            await self._door.dial(link, node_key, address)
        except Fault as reason:
            link.end(reason, farewell=False)
            self._dial_failed(link, node_key, reason)
        finally:
            self._tries.discard(node_key)

    def _dial_failed(self, link: Link, node_key: bytes, reason: Fault) -> None:
        now = self.now_ms()
        if node_key in self._links:  # the other side's dial was faster: this is how one of two ends
            if reason.spec is not NET_CROSSED:  # then it never took ours for a second process
                self._crossed[node_key] = now
            if reason.spec is NET_DUPLICATE and "told" not in reason.values:  # but another process answered ours
                self._refused(link, reason, node_key)
            return
        self._dial_failures += 1
        target = self._dialling.targets.get(node_key)
        first = target is not None and target.attempts == 0
        self._dialling.failed(node_key, reason, now)
        self._plan()
        if reason.spec is NET_CROSSED and first:  # its own HELLO must be on its way: no failure yet
            return
        alternatives: tuple[tuple[bytes, str], ...] = ()
        if isinstance(link.state, Reject):
            alternatives = tuple((known.node_key, known.address) for known in link.state.addresses)
        if alternatives and node_key in self._directory.contacts:  # a newcomer's registry may know none of them
            for key, address in alternatives:
                self._directory.add_contact(key, address)
            self._aim()
        self._refused(link, reason, node_key, alternatives)

    # What links tell (connection.Owner)

    def link_opened(self, link: Link) -> None:
        """TLS is done."""
        self._door.opened(link)

    def link_frame(self, link: Link, channel: Channel, payload: bytes) -> None:
        """A payload, before or after the link is up."""
        live = link.state
        if not isinstance(live, Live):
            self._door.frame(link, channel, payload)
        elif channel is Channel.LINK:
            self._keeping.on_message(link, live, payload)
        else:
            self._handler.on_frame(live.node_key, channel, payload)

    def link_closed(self, link: Link, reason: Fault, error: Exception | None) -> None:
        """The connection is gone."""
        if isinstance(link.state, Live):
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
            height=self.height,
            listen=next(iter(self._directory.book.addresses(key)), ""),
            program=self._program,
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
            crossed=self._own_dial_wins(tls_key),
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
            contender = Contender(
                link=link,
                admit=lambda: self._door.consider(link, message),
                refuse=lambda reason: self._door.refuse(link, reason),
            )
            self._keeping.contest(first, contender)
            return
        self._accepted += 1
        link.send(Channel.LINK, write(handshake.ack(message, self.own(), wall_ms=self._wall_ms())))
        self._establish(link, message.node_key, message)

    def accepted(self, link: Link, node_key: bytes, answer: Ack) -> None:
        """A node that we dialled says yes: the link is up, unless it has one already, or is registered no more."""
        if not self._directory.admits(node_key):
            self._door.give_up(link, self._unregistered(node_key))
        elif first := self._links.get(node_key):
            link.hold()
            contender = Contender(
                link=link,
                admit=lambda: self._accept_after_all(link, node_key, answer),
                refuse=lambda reason: self._door.give_up(link, reason),
            )
            self._keeping.contest(first, contender)
        else:
            self._establish(link, node_key, answer)

    def _accept_after_all(self, link: Link, node_key: bytes, answer: Ack) -> None:
        self.accepted(link, node_key, answer)
        link.go_on()

    def alternatives(self) -> tuple[Known, ...]:
        """Linked non-validators that listen: they have room for more."""
        known = [Known(live.node_key, live.listen) for _, live in self._keeping.live() if live.listen]
        peers = [entry for entry in known if not self._directory.is_validator(entry.node_key)]
        return tuple(peers[:ALTERNATIVES_MAX])

    def _establish(self, link: Link, node_key: bytes, said: Hello | Ack) -> None:
        """Both sides agreed: the link is up."""
        self._door.settled(link)
        live = self._keeping.add(link, node_key, height=said.height, listen=said.listen, program=said.program)
        self._dialling.linked(node_key)
        if said.listen:
            self._directory.hint(node_key, said.listen)
        self._aim()
        self._handler.on_peer(self._info(link, live))

    def refused(self, link: Link, reason: Fault) -> None:
        """A connection that another made did not become a link."""
        self._refused(link, reason, link.peer)

    # What links that are up tell (keeping.Company)

    def noticed(self, live: Live, notice: Notice) -> None:
        """Tell the user, unless the second connection that the peer reports was our own dial."""
        crossed_ms = self._crossed.get(live.node_key, -CROSSED_MS)
        own_dial = live.node_key in self._tries or self.now_ms() < crossed_ms + CROSSED_MS
        if not (own_dial and notice.name == NET_DUPLICATE.name):
            self._handler.on_notice(live.node_key, notice.name, notice.text)

    def _beat(self) -> None:
        self._keeping.beat()
        self._timers["beat"] = self._loop.call_later(min(self._settings.ping_ms, 1_000) / 1000, self._beat)

    def _lost(self, link: Link, live: Live, reason: Fault) -> None:
        self._losses[reason.spec.name] += 1
        self._keeping.words.put(live.node_key, word_at_end(reason, self.now_ms()))
        self._scores_at_end(link, reason)
        contender = self._keeping.remove(link, live)
        self._dialling.lost(live.node_key, reason, self.now_ms())
        self._aim()
        self._handler.on_lost(live.node_key, reason)
        if contender is not None and not contender.link.closing:
            contender.admit()

    def _scores_at_end(self, link: Link, reason: Fault) -> None:
        """A link that broke on unreadable bytes counts against its peer."""
        ours = "told" not in reason.values
        if link.peer is None or not ours or not self._directory.admits(link.peer):
            return
        for spec, offence in ((NET_MALFORMED, Offence.MALFORMED), (NET_OVERSIZE, Offence.OVERSIZE)):
            if reason.spec is spec:
                validator = self._directory.is_validator(link.peer)
                self._scores.offence(link.peer, offence, validator=validator, now_ms=self.now_ms())

    # Small things

    def _info(self, link: Link, live: Live) -> PeerInfo:
        node = self._directory.node(live.node_key)
        heard = self._keeping.reports.get(live.node_key)
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
            program=live.program,
            report=heard.raw if heard else None,
            report_ms=heard.at_ms if heard else None,
        )

    def _unregistered(self, node_key: bytes) -> Fault:
        return fault(NODE_UNREGISTERED, node_id=node_id(node_key), at_height=self.height)

    def _refused(
        self,
        link: Link,
        reason: Fault,
        node_key: bytes | None = None,
        alternatives: tuple[tuple[bytes, str], ...] = (),
    ) -> None:
        self._refusals[reason.spec.name] += 1
        dialled = link.direction is Direction.OUT
        if node_key is not None and (last := word_at_door(reason, self.now_ms(), dialled=dialled)) is not None:
            self._keeping.words.put(node_key, last)
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
